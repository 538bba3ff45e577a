"""Carries requests to doors of the same process: pools without a network between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

from plaza_core.errors import PoolLost, PoolUnavailable
from plaza_serving.doors.exchange import Message, Receive, Scope
from plaza_serving.pools import Passed

Door = Any
"""An ASGI application that serves a pool's paths."""


class MemoryPassage:
    """Implements `pools.Passage`. At most one piece waits to be taken."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.headed = asyncio.Event()
        self._ready: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
            self.headed.set()
            return
        if message.get("body"):
            await self._ready.put(message["body"])
        if not message.get("more_body", False):
            await self._ready.put(None)

    async def pieces(self) -> AsyncIterator[bytes]:
        while (piece := await self._ready.get()) is not None:
            yield piece


class MemoryCarrier:
    """`doors`: pool -> (what its paths begin with, door). Implements `pools.Carrier`."""

    def __init__(self, doors: Mapping[str, tuple[str, Door]]) -> None:
        self._doors = doors

    @asynccontextmanager
    async def carry(self, pool: str, passed: Passed) -> AsyncIterator[MemoryPassage]:
        if pool not in self._doors:
            raise PoolUnavailable(f"the pool '{pool}' cannot be reached", retry_after=1)
        prefix, door = self._doors[pool]
        passage = MemoryPassage()
        task = asyncio.create_task(
            door(_scope(prefix, passed), _receive(passed), passage.send), name="other pool"
        )
        headed = asyncio.create_task(passage.headed.wait())
        try:
            await asyncio.wait((task, headed), return_when=asyncio.FIRST_COMPLETED)
            if not passage.headed.is_set():
                raise PoolLost("the other pool did not answer")
            yield passage
        finally:
            for one in (task, headed):
                one.cancel()
            await asyncio.gather(task, headed, return_exceptions=True)


def _scope(prefix: str, passed: Passed) -> Scope:
    path, _, query = passed.target.partition(b"?")
    size = sum(map(len, passed.body))
    length = [(b"content-length", b"%d" % size)] if size else []
    return {
        "type": "http",
        "method": passed.method,
        "path": prefix + unquote(path.decode("ascii")),
        "query_string": query,
        "headers": [*passed.headers, *length],
    }


def _receive(passed: Passed) -> Receive:
    """Each piece of the body, then nothing until the request is given up."""
    rest = list(passed.body) or [b""]

    async def receive() -> Message:
        if rest:
            piece = rest.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(rest)}
        await asyncio.Event().wait()
        raise AssertionError("nothing sets it")

    return receive
