"""A whole hub without Ray: real control over a socket, a real replica that follows it, its door."""

from __future__ import annotations

import asyncio
import http.client
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from plaza_core.settings import Settings
from plaza_serving.assembly import Replica, open_replica
from plaza_serving.control.app import build_app
from plaza_serving.control.main import ADMIN_KEY_FILE, compose
from plaza_serving.control.parts import Parts
from tests.client.sockets import serving
from tests.mlflow_file import place_store
from tests.serving.control.conftest import bundle
from tests.serving.doors.asgi import Answer, Client

ROWS = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1]}]}


@dataclass
class Hub:
    """`said` keeps every body of an answer that has no business to show a key."""

    state: Path
    parts: Parts
    replica: Replica
    address: str
    admin: str
    said: list[bytes] = field(default_factory=list)

    async def control(self, method, path, document=None, *, key=None, headers=None, quiet=False):
        """(status, body) from control. Plain sockets: a client library would log URLs itself."""
        return await asyncio.to_thread(
            self._control, method, path, document, key or self.admin, headers or {}, quiet
        )

    def _control(self, method, path, document, key, headers, quiet):
        where = urlsplit(self.address)
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        given = {"authorization": f"Bearer {key}", "content-type": "application/json", **headers}
        given = {name: value for name, value in given.items() if value is not None}
        try:
            connection.request(method, path, None if document is None else body, given)
            answer = connection.getresponse()
            found = answer.read()
        finally:
            connection.close()
        if not quiet:
            self.said.append(found + str(answer.getheaders()).encode())
        try:
            return answer.status, json.loads(found) if found else None
        except ValueError:
            return answer.status, None

    async def made(self, method, path, document=None, **more):
        status, found = await self.control(method, path, document, **more)
        assert status < 300, found
        return found

    async def new_key(self, **body) -> str:
        path = "/api/v1/organisations/acme/keys"
        body = {"role": "consumer", **body}
        return (await self.made("POST", path, body, quiet=True))["key"]

    async def ask(self, method, path, body=b"", *, key=None, **more) -> Answer:
        """One request at the replica's door."""
        answer = await Client(self.replica.door, key).send(method, path, body, **more)
        self.said.append(answer.body + str(answer.headers).encode())
        return answer

    async def until(self, status, key, seconds=30.0) -> float:
        """Seconds until the door answers `key` with `status`."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        while (await self.ask("GET", "/v2", key=key)).status != status:
            if loop.time() - start > seconds:
                raise AssertionError(f"the door did not come to say {status}")
            await asyncio.sleep(0.001)
        return loop.time() - start

    async def register(self, key, files=None) -> None:
        upload = (await self.made("POST", "/api/v1/uploads", key=key))["upload"]
        for path, content in (files or bundle("doubler")).items():
            where = f"/api/v1/uploads/{upload}/files/{path}"
            await self.made("PUT", where, content, key=key)
        commit = f"/api/v1/uploads/{upload}/commit"
        await self.made("POST", commit, {"visibility": "organisation"}, key=key)


@asynccontextmanager
async def whole_hub(state: Path):
    """A hub in an empty directory, with the organisation `acme` and no model."""
    place_store(state / "mlflow.db")
    parts, _ = compose(Settings(state_dir=state))
    with serving(build_app(parts)) as address:
        replica = await open_replica(Settings(state_dir=state, control_url=address), pool="main")
        hub = Hub(state, parts, replica, address, (state / ADMIN_KEY_FILE).read_text().strip())
        try:
            await hub.made("POST", "/api/v1/organisations", {"name": "acme"})
            yield hub
        finally:
            parts.close_waits()
            await replica.close()
            # MLflow makes its tables on the mirror's thread, and alembic knows one migration at a
            # time: the next hub of this process makes its own.
            await asyncio.to_thread(parts.registrar.mirror.close)
    parts.tenancy.close()
