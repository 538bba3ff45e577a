"""Two pools without Ray: the main one in front, `ov` behind it, over each of the two carriers."""

from __future__ import annotations

import asyncio
import itertools
import logging
from contextlib import asynccontextmanager

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from plaza_core.clock import SystemClock
from plaza_core.pools import Pool
from plaza_core.settings import Settings
from plaza_serving.doors.http import HttpDoor
from plaza_serving.doors.rpc.door import GrpcDoor
from plaza_serving.doors.rpc.tunnel import Far
from plaza_serving.forwarding.carrier import HttpCarrier
from plaza_serving.forwarding.memory import MemoryCarrier
from plaza_serving.forwarding.others import OtherPools
from plaza_serving.forwarding.seal import Seal
from plaza_serving.pools import Elsewhere, LivesElsewhere
from tests.serving.doors.asgi import Client
from tests.serving.doors.conftest import hub, new_hub
from tests.serving.doors.small_hub import SmallRepository

__all__ = ["hub", "new_hub"]

SEAL = Seal("the node's token")
SETTINGS = Settings(
    max_body_mb=1, default_deadline_ms=2000, pools=[Pool(name="ov"), Pool(name="npu")]
)
PREFIX = "/pools/ov"


def front_of(small):
    """The main pool's plane: of the models in `away` it has the names only."""

    class Front(type(small)):
        away = frozenset({"echo", "words", "embedder", "classifier", "forecaster", "detector"})

        def elsewhere(self, principal, name, version):
            return Elsewhere(("ov",), 2.0) if name in self.away else None

        async def infer(self, principal, call):
            if call.model in self.away:
                raise LivesElsewhere("not certified here", Elsewhere(("ov",), 2.0))
            return await super().infer(principal, call)

    small.__class__ = Front
    return small


class Pools:
    """`front` and `back` are planes; `door` and `there` their doors; `others` joins them."""

    def __init__(self, front, back, carrier_to, *, most=16, clock=None) -> None:
        self.front, self.back = front, back
        front._ids, back._ids = itertools.count(1001), itertools.count(5001)
        there = GrpcDoor(back, SETTINGS, repository=SmallRepository(back))
        self.there = HttpDoor(
            back,
            SETTINGS,
            prefix=PREFIX,
            repository=SmallRepository(back),
            seal=SEAL,
            tunnel=there.near(),
        )
        self.seen = []
        self.server = None
        self.carrier = carrier_to(self.watched)
        self.others = OtherPools(
            {"ov", "npu"}, self.carrier, clock or SystemClock(), most=most, load_s=2.0
        )
        self.door = HttpDoor(
            front, SETTINGS, repository=SmallRepository(front), others=self.others, seal=SEAL
        )
        self.grpc = GrpcDoor(
            front,
            SETTINGS,
            repository=SmallRepository(front),
            far=Far(self.others, SEAL, front.clock),
        )

    async def watched(self, scope, receive, send):
        self.seen.append(scope)
        await self.there(scope, receive, send)

    def client(self, key="consumer"):
        return Client(self.door, key)

    def direct(self, key="consumer"):
        return Client(self.there, key)


@asynccontextmanager
async def listening(app):
    """(port, server's state) of `app` on a loopback port, on this very loop."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: HttpToolsProtocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1], state
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        for task in list(state.tasks):
            task.cancel()


@pytest.fixture(params=["memory", "http"])
async def pools(request, new_hub):
    front, back = front_of(new_hub()), new_hub()
    if request.param == "memory":
        yield Pools(front, back, lambda app: MemoryCarrier({"ov": (PREFIX, app)}))
        return
    held = []

    async def app(scope, receive, send):
        await held[0].watched(scope, receive, send)

    async with listening(app) as (port, state):
        prefixes = {"ov": PREFIX, "npu": "/pools/npu"}
        carrier = HttpCarrier("127.0.0.1", port, prefixes, SystemClock())
        held.append(Pools(front, back, lambda _: carrier))
        held[0].server = state
        yield held[0]
        carrier.close()
