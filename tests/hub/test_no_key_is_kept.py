"""Fifty keys at work on a whole hub, used well and badly, sent to every port that serves requests
and in every wrong place. Then every byte that is left on the machine is searched, while the hub
runs and after it.

Searched: all answers but those that show a new key; the pages of every port; every file of the
state directory (databases, MLflow's too, spool, caches, logs, uploads, secrets) and of Ray's.
Only `admin.key` holds a key. Part of `make prove`.

Not sent to: Ray's dashboard, its agents and GCS. They take Ray's own token, on loopback, and log
what is sent to them.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from benchmarks import exact
from benchmarks.hub import Hub, running_hub, tidy
from plaza_core.settings import Settings
from plaza_serving.control.main import ADMIN_KEY_FILE
from plaza_serving.supervisor.places import Places
from plaza_serving.supervisor.ports import Ports, fixed_ports
from tests.serving.control.conftest import bundle
from tests.serving.misplaced import (
    kept,
    misplace_at_control,
    misplace_at_the_door,
    upload_wrongly,
    work,
)

pytestmark = [pytest.mark.hub, pytest.mark.prove, pytest.mark.timeout(600)]

MADE = 25
"""And each of them is rotated."""


@dataclass
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]


@dataclass
class Asked:
    """The real hub as `tests.serving.misplaced` speaks to it. `said` keeps every answer that has no
    business to show a key."""

    hub: Hub
    said: list[bytes] = field(default_factory=list)

    @property
    def admin(self) -> str:
        return self.hub.admin_key

    async def ask(self, method, path, body=b"", *, key=None, headers=None, query="") -> Answer:
        given = {} if key is None else {"authorization": f"Bearer {key}"}
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        where = quote(path) + (f"?{query}" if query else "")
        return await self._exchange(exact.port(self.hub), method, where, body, given, headers)

    async def control(self, method, path, document=None, *, key=None, headers=None, quiet=False):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        given = {
            "authorization": f"Bearer {key or self.admin}", "content-type": "application/json"
        }  # fmt: skip
        port = int(self.hub.environment["PLAZA_CONTROL_PORT"])
        sent = b"" if document is None else body
        answer = await self._exchange(port, method, path, sent, given, headers, quiet=quiet)
        try:
            return answer.status, json.loads(answer.body) if answer.body else None
        except ValueError:
            return answer.status, None

    async def made(self, method, path, document=None, **more):
        status, found = await self.control(method, path, document, **more)
        assert status < 300, found
        return found

    async def new_key(self, **body) -> str:
        body = {"role": "consumer", **body}
        made = await self.made("POST", "/api/v1/organisations/acme/keys", body, quiet=True)
        return made["key"]

    async def until(self, status, key, seconds=10.0) -> None:
        async with asyncio.timeout(seconds):
            while (await self.ask("GET", "/v2", key=key)).status != status:
                await asyncio.sleep(0.02)

    async def _exchange(self, port, method, path, body, given, more, *, quiet=False) -> Answer:
        headers = {name: value for name, value in {**given, **(more or {})}.items() if value}
        answer = await asyncio.to_thread(_exchange, port, method, path, body, headers)
        if not quiet:
            self.said.append(answer.body + str(answer.headers).encode())
        return answer


def _exchange(port, method, path, body, headers) -> Answer:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as client:
        client.request(method, path, body, headers)
        answer = client.getresponse()
        return Answer(answer.status, answer.read(), dict(answer.getheaders()))


def raw(port: int, data: bytes) -> bytes:
    """What a port answers to bytes that are no request, if anything."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.settimeout(0.3)
            connection.sendall(data)
            return connection.recv(65_536)
    except OSError:
        return b""


def no_requests(key: str) -> list[bytes]:
    """Nearly HTTP, with a key where it does not belong."""
    end, bearer = b"\r\n\r\n", f"Bearer {key}".encode()
    text = key.encode()
    return [
        b"GET /v2?key=" + text + b" HTTP/9.9" + end,
        b"GET /v2/" + text + b" HTTP/1.1" + end,
        b"GET /v2 HTTP/1.1\r\nhost: x\r\n" + bearer + end,
        b"GET /v2 HTTP/1.1\r\nhost: x\r\nauthorization " + bearer + end,
        b"GET /v2 HTTP/1.1\r\nhost: " + text + end,
        b"GET /v2 HTTP/1.1\r\nhost: x\r\n" + text + b": 1" + end,
        b"GET /v2 HTTP/1.1\r\nhost: x\r\nauthorization: " + bearer + b"\0" + end,
        b"GET /v2 HTTP/1.1\r\nhost: x\r\nx: " + text * 1000 + end,
        b"POST /v2 HTTP/1.1\r\nhost: x\r\ncontent-length: " + text + end,
        b"POST /v2 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked" + end + text + b"\r\n",
        text + b" /v2 HTTP/1.1\r\nhost: x" + end,
        text + end,
        b"\x16\x03\x01" + text + end,
        b"PRI * HTTP/2.0" + end + text + end,
    ]


def serving(settings: Settings) -> list[int]:
    """Ports that take requests, or whose pages show what became of them."""
    inside = Ports.of(settings)
    replicas = range(inside.replicas_http[0], inside.replicas_http[0] + 4)
    return [
        settings.http_port,
        settings.control_port,
        settings.haproxy_stats_port,
        settings.haproxy_metrics_port,
        inside.fallback_http,
        *replicas,
    ]


def send_everywhere(settings: Settings, key: str) -> list[bytes]:
    """The key at every port, as a request and as nonsense."""
    answers = []
    for port in serving(settings):
        for path in (f"/api/jobs/?token={key}", f"/{key}", f"/-/routes?key={key}"):
            head = f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n"
            answers.append(raw(port, head.encode()))
        answers += [raw(port, data) for data in no_requests(key)]
    return answers


def pages(settings: Settings, ray_token: str) -> dict[str, bytes]:
    """What statistics, metrics and the dashboard show."""
    found = {}
    for port in {*serving(settings), *fixed_ports(settings)}:
        for path in ("/metrics", "/stats", "/", "/api/serve/applications/", "/-/routes"):
            head = f"GET {path} HTTP/1.0\r\nauthorization: Bearer {ray_token}\r\n\r\n"
            found[f"port {port}{path}"] = raw(port, head.encode())
    return found


def files(*places: Path) -> dict[str, bytes]:
    """Every file below these directories, but the one that is there to hold a key."""
    found = {}
    for place in places:
        for path in place.rglob("*"):
            with contextlib.suppress(OSError):  # a socket, or it has just gone
                if path.is_file() and path.name != ADMIN_KEY_FILE:
                    found[str(path)] = path.read_bytes()
    return found


async def register(asked: Asked, key: str) -> None:
    upload = (await asked.made("POST", "/api/v1/uploads", key=key))["upload"]
    for path, content in bundle("doubler").items():
        await asked.made("PUT", f"/api/v1/uploads/{upload}/files/{path}", content, key=key)
    await asked.made(
        "POST", f"/api/v1/uploads/{upload}/commit", {"visibility": "organisation"}, key=key
    )


async def use(asked: Asked) -> list[str]:
    """Issue, use, misuse, rotate and revoke keys; all that were ever issued."""
    await asked.made("POST", "/api/v1/organisations", {"name": "acme"})
    engineer = await asked.new_key(role="engineer")
    await register(asked, engineer)
    issued = [engineer]
    keys = "/api/v1/organisations/acme/keys"
    for number in range(MADE):
        key = await asked.new_key(label=f"gateway {number}", role=["consumer", "admin"][number % 2])
        rotate = f"{keys}/{key.split('_')[1]}/rotate"
        new = (await asked.made("POST", rotate, {"overlap_s": 600}, quiet=True))["key"]
        issued += [key, new]
    for number, key in enumerate(issued):
        await work(asked, key)
        if number % 5 == 0:
            await misplace_at_the_door(asked, key)
            await misplace_at_control(asked, key)
            await upload_wrongly(asked, asked.admin, key)
        if number % 3 == 1:
            await asked.made("DELETE", f"{keys}/{key.split('_')[1]}")
            await asked.until(401, key)
    return issued


async def test_after_fifty_keys_at_work_no_key_is_anywhere_but_in_its_file(tmp_path):
    state = tmp_path / "state"
    with running_hub(state, keep=True, replicas=2, log_level="DEBUG", **exact.SETTINGS) as hub:
        asked = Asked(hub)
        with pytest.MonkeyPatch.context() as environment:
            for name, value in hub.environment.items():
                if name.startswith("PLAZA_"):
                    environment.setenv(name, value)
            settings = Settings()
        issued = await use(asked)
        everywhere = await asyncio.to_thread(send_everywhere, settings, issued[-1])
        await asyncio.sleep(3)  # usage is shipped, logs are written
        temp = Places.of(settings).temp
        searched = files(state, temp)
        searched |= pages(settings, (state / "secrets" / "ray.token").read_text().strip())
        searched["answers"] = b"\n".join([*asked.said, *everywhere])
        admin = asked.admin
    searched |= {f"afterwards {path}": content for path, content in files(state, temp).items()}
    tidy(state)
    assert len(issued) > 50
    assert kept([*issued, admin], searched) == []
    assert kept([admin], {"there": (state / ADMIN_KEY_FILE).read_bytes()})
    the_search_reaches_what_matters(searched, issued)


def the_search_reaches_what_matters(searched: dict[str, bytes], issued: list[str]) -> None:
    """Ids of the same keys are found where they belong, and no place was left out."""
    identity = issued[-1].split("_")[1].encode()
    for where in ("plaza.db", "cache/table-main.json"):
        assert any(identity in content for name, content in searched.items() if where in name), (
            where
        )
    assert identity in searched["answers"]
    for where in (
        "mlflow.db", "spool/", "up.log", "logs/control", "serve/controller", "haproxy", "raylet",
        "gcs_server", "/metrics",
    ):  # fmt: skip
        assert any(where in name and content for name, content in searched.items()), where
    # Ray Serve's file of a replica has words only if something went wrong.
    assert any("serve/replica" in name for name in searched)
