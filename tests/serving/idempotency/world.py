"""A real control over its database, and replicas beside it, in one process and without sockets.

Replicas are real planes behind real doors. They follow control's table once, and claim idempotency
keys over its internal API, through a wire that can be cut.
"""

from __future__ import annotations

import itertools
import json
import os

import httpx

from plaza_core.ids import ReplicaId
from plaza_core.settings import Settings
from plaza_core.table import Visibility
from plaza_core.testing import MemoryUsage
from plaza_serving.dataplane.claims import RemoteClaims
from plaza_serving.dataplane.control_client import ControlClient
from plaza_serving.dataplane.plane import DataPlane, PlaneOptions
from plaza_serving.doors.http import HttpDoor
from plaza_serving.idempotency.keeper import Keeper
from tests.serving.control.conftest import NODE_TOKEN, open_world
from tests.serving.dataplane.world import PlaneKit, make_model, make_table

_numbers = itertools.count(1)


class Wire(httpx.ASGITransport):
    """To control; `cut` names the paths that are not reached (all: "")."""

    def __init__(self, app) -> None:
        super().__init__(app, raise_app_exceptions=True)
        self.cut: str | None = None
        self.lose_answers = False
        self.requests: list[str] = []

    async def handle_async_request(self, request):
        self.requests.append(request.url.path)
        if self.cut is not None and request.url.path.endswith(self.cut):
            raise httpx.ConnectError("cut", request=request)
        answer = await super().handle_async_request(request)
        if self.lose_answers:
            raise httpx.ReadError("lost", request=request)
        return answer


class Replica:
    """A plane with the key and the model `echo`, its door, and its way to control."""

    def __init__(self, world, sleep=None) -> None:
        self.kit = PlaneKit()
        self.usage = world.usage
        self.wire = Wire(world.control.app)
        self.control = ControlClient("http://control.test", NODE_TOKEN)
        self.control._async = httpx.AsyncClient(
            base_url="http://control.test",
            headers={"authorization": f"Bearer {NODE_TOKEN}"},
            transport=self.wire,
        )
        self.plane = DataPlane(
            replica=ReplicaId(f"replica-{next(_numbers)}"),
            options=PlaneOptions("main", 64, 10_000, 1, 0),
            host=self.kit.host,
            sink=world.usage,
            pepper=b"pepper of this test",
            clock=self.kit.clock,
            random=os.urandom,
        )
        options = {} if sleep is None else {"sleep": sleep}
        self.keeper = Keeper(RemoteClaims(self.control.tell), os.urandom, **options)
        self.door = HttpDoor(self.plane, Settings(), keeper=self.keeper)

    async def serve(self, table) -> None:
        self.plane.admit_table(table)
        await self.plane.publish_table(table)

    def client(self, key) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {key}"}
        door = httpx.ASGITransport(self.door, raise_app_exceptions=True)
        return httpx.AsyncClient(transport=door, base_url="http://door.test", headers=headers)

    async def infer(self, key, name, values=(1.0, 2.0), **headers):
        async with self.client(key) as client:
            if name is not None:
                headers["idempotency-key"] = name
            return await client.post("/v2/models/echo/infer", json=asking(values), headers=headers)

    async def close(self) -> None:
        await self.keeper.close()
        await self.plane.close()
        await self.kit.plane.close()
        await self.control.close()


class World:
    def __init__(self, directory) -> None:
        self.control = open_world(directory)
        self.usage = MemoryUsage()
        self.replicas: list[Replica] = []

    async def replica(self, **options) -> Replica:
        """One more, with the table as it is now and everybody's model `echo`."""
        replica = Replica(self, **options)
        self.replicas.append(replica)
        self.control.parts.feed.refresh()
        async with self.control.node() as node:
            table = (await node.get("/internal/v1/table")).json()
        keys = self.control.parts.tenancy.table().keys
        echo = make_model(versions=(1,))
        mine = next(key for key in keys if key.organisation_name == "acme")
        echo = echo.model_copy(
            update={"organisation": mine.organisation, "visibility": Visibility.PUBLIC}
        )
        await replica.serve(make_table([echo], keys, version=table["version"]))
        return replica

    async def close(self) -> None:
        for replica in self.replicas:
            await replica.close()
        self.control.parts.close_waits()
        self.control.parts.tenancy.close()

    def charged(self) -> list[tuple[str, str]]:
        """(request id, outcome) of everything in the ledger."""
        return [(r.request_id, r.outcome) for r in self.usage.records.values()]


def asking(values) -> dict:
    data = [float(v) for v in values]
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": data}]}


def said(answer) -> dict:
    return json.loads(answer.content)
