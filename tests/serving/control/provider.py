"""A real OpenID provider in a process of its own, and a browser that logs in at it."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.parse import parse_qs, quote, urlsplit

import httpx

from plaza_core.settings import Settings
from plaza_serving.control.app import build_app
from plaza_serving.control.logins import CALLBACK, logins_of

HUB = "http://127.0.0.1:8080"


class Issuer:
    """The provider as its users and its administrator see it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.http = httpx.Client(base_url=address, trust_env=False)

    def register(self, callback: str = HUB + CALLBACK) -> tuple[str, str]:
        """A client's id and secret."""
        made = self.http.post("/oauth2/clients", json={"redirect_uris": [callback]})
        assert made.status_code == 201, made.text
        return made.json()["client_id"], made.json()["client_secret"]

    def person(self, subject: str, **claims) -> None:
        done = self.http.put(f"/users/{quote(subject)}", json=claims)
        assert done.status_code == 204, done.text

    def consent(self, address: str, subject: str) -> str:
        """Log in at the provider and say yes; returns the address it sends the browser to."""
        answer = self.http.post(address, data={"sub": subject})
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]


@contextmanager
def issuer():
    """A provider that knows only registered clients."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock"]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--require-registration", "true"],
        env=os.environ | {"AUTHLIB_INSECURE_TRANSPORT": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    found = Issuer(f"http://127.0.0.1:{port}")
    try:
        while process.poll() is None:
            try:
                found.http.get("/.well-known/openid-configuration")
                break
            except httpx.TransportError:
                time.sleep(0.05)  # a process that starts has nothing to wait on but its port
        assert process.poll() is None, "the provider did not start"
        yield found
    finally:
        found.http.close()
        process.kill()
        process.wait()


def with_logins(world, found: Issuer, client: tuple[str, str], **more):
    """The same world where people may log in; its clock is moved to the provider's."""
    world.clock.advance(time.time() - world.clock.unix_us() / 1e6)
    settings = Settings(
        state_dir=world.parts.settings.state_dir,
        oidc_issuer=found.address,
        oidc_client_id=client[0],
        oidc_client_secret=client[1],
        **more,
    )
    logins = logins_of(
        settings, world.parts.tenancy, key=b"key of logins", clock=world.clock, random=os.urandom
    )
    parts = dataclasses.replace(world.parts, settings=settings, logins=logins)
    return dataclasses.replace(world, parts=parts, app=build_app(parts))


class Browser:
    """Keeps cookies, follows nothing by itself, and shows the token when it changes something."""

    def __init__(self, world, found: Issuer, base: str = HUB) -> None:
        transport = httpx.ASGITransport(world.app, raise_app_exceptions=True)
        self.http = httpx.AsyncClient(transport=transport, base_url=base)
        self.issuer = found
        self.csrf = ""

    async def begin(self, then: str = "/") -> str:
        """The provider's address that the hub sends the browser to."""
        answer = await self.http.get("/auth/login", params={"next": then})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def come_back(self, address: str) -> httpx.Response:
        parts = urlsplit(address)
        return await self.http.get(f"{parts.path}?{parts.query}")

    async def log_in(self, subject: str, then: str = "/") -> httpx.Response:
        back = await self.come_back(self.issuer.consent(await self.begin(then), subject))
        if back.status_code == 303:
            self.csrf = (await self.http.get("/auth/session")).json()["csrf"]
        return back

    async def ask(self, method: str, path: str, **more) -> httpx.Response:
        headers = {"x-csrf-token": self.csrf, **more.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **more)


def query_of(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
