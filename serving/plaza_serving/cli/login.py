"""`plaza login` and `plaza logout`: work as a person, by a login in the browser.

The session is kept in the user's configuration, for its owner alone, one per hub. It administers;
models are called with keys.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs, urlencode, urlsplit

import typer

import plaza
from plaza import PlazaError
from plaza_serving.cli.session import Session, kept_login, kept_logins, login_file, session
from plaza_serving.cli.show import moment, table_of

_WAIT_S = 300.0


def mount(app: typer.Typer) -> None:
    for command in (login, logout):
        app.command()(command)


def login(
    context: typer.Context,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the browser.")] = _WAIT_S,
) -> None:
    """Work as yourself: log in with the browser on this computer."""
    here = session(context)
    verifier = secrets.token_urlsafe(32)
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    with here.hub() as hub, HTTPServer(("127.0.0.1", 0), _Catcher) as catcher:
        query = urlencode({"port": catcher.server_port, "challenge": challenge})
        _demand_logins(hub, verifier)
        here.err.print("Open this address in a browser on this computer:", markup=False)
        here.err.print(f"{here.control}/auth/cli?{query}", markup=False, soft_wrap=True)
        here.err.print(f"The page must show: {challenge[:4]} {challenge[4:8]}", markup=False)
        code = _caught(catcher, wait)
        if code is None:
            raise PlazaError("deadline_exceeded", "the browser did not come back in time")
        made = hub.finish_login(code, verifier)
        keep(here, {"token": made.token, "expires_unix_us": made.expires_unix_us})
    until = moment(made.expires_unix_us)
    here.answer(
        {"expires_unix_us": made.expires_unix_us}, table_of(["logged in until (UTC)"], [(until,)])
    )


def _demand_logins(hub: plaza.Client, verifier: str) -> None:
    """Raise before anybody waits for a browser, where people cannot log in."""
    try:
        hub.finish_login("none", verifier)
    except PlazaError as error:
        if error.code == "route_not_found":
            raise


def logout(context: typer.Context) -> None:
    """End the login at this hub."""
    here = session(context)
    if token := kept_login(here.control):
        # A login that the hub has ended, or cannot be told of now, ends by itself.
        with plaza.Client(control_url=here.control, api_key=token) as hub, suppress(PlazaError):
            hub.end_login()
    keep(here, None)
    here.answer({"logged_in": False}, table_of(["logged out of"], [(here.control,)]))


def keep(here: Session, entry: dict[str, str | int] | None) -> None:
    """Write or drop the login of this hub; the file is never readable by others."""
    kept = {name: value for name, value in kept_logins().items() if name != here.control}
    if entry is not None:
        kept[here.control] = entry
    path: Path = login_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(kept))
    fresh.replace(path)


class _Catcher(BaseHTTPRequestHandler):
    """Takes the one request that carries a code; says nothing about others."""

    code: str | None = None
    timeout = 5.0

    def do_GET(self) -> None:
        found = parse_qs(urlsplit(self.path).query).get("code", [])
        text = b"Done; you may close this page." if found else b"Nothing here."
        self.send_response(200 if found else 404)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        if found:
            type(self).code = found[0]

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the address holds the code."""


def _caught(catcher: HTTPServer, wait_s: float) -> str | None:
    _Catcher.code = None
    ends = time.monotonic() + wait_s
    while _Catcher.code is None and (left := ends - time.monotonic()) > 0:
        catcher.timeout = left
        catcher.handle_request()
    return _Catcher.code
