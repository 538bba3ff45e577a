"""Bytes to a server and back: uvicorn's own protocol and ours, over sockets and without them."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from plaza_serving.rayapp.protocol import Direct
from plaza_serving.reply import WHOLE

READ = ("type", "method", "path", "query_string", "headers")
"""What doors read of a scope, besides the peer."""


class App:
    """Tells what it was asked; the path says how it is to answer. `direct` is, for each request,
    whether it could be answered at once."""

    def __init__(self) -> None:
        self.direct: list[bool] = []
        self.asked: list[str] = []
        self.heard: list[str] = []
        self.go = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        path = scope["path"]
        self.direct.append(WHOLE in scope)
        self.asked.append(path)
        body = b"" if path == "/unread" else await _body(receive)
        listener = await self._before(path, receive)
        if path.startswith("/odd/"):
            await _odd(path, send)
            return
        told = repr(([scope[key] for key in READ], scope["client"][0], body)).encode()
        size = int(scope["query_string"]) if path == "/sized" else len(told)
        status = int(path[8:]) if path.startswith("/status/") else 200
        extra = [(b"x-name", b"a\r\nset-cookie: b")] if path == "/breaks" else []
        await _answer(scope, send, told.ljust(size)[:size], status, extra)
        if listener is not None:
            self.heard.append((await listener)["type"])
        if path == "/late":
            raise RuntimeError("after it was done")

    async def _before(self, path: str, receive: Any) -> Awaitable[Any] | None:
        """What comes before the answer; returns what is asked of the server behind it."""
        if path == "/raises":
            raise RuntimeError("before it began")
        if path == "/held":
            await self.go.wait()
        if path == "/left":
            self.heard.append((await receive())["type"])
        if path == "/unread":
            return receive()  # begun when it is awaited
        if path == "/listens":
            listener = asyncio.create_task(receive())
            await asyncio.sleep(0)  # it waits now
            return listener
        return None


async def _body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _answer(scope: Any, send: Any, body: bytes, status: int, extra: Iterable[Any]) -> None:
    length = (b"content-length", b"%d" % len(body))
    headers = [(b"content-type", b"text/plain"), length, *extra]
    whole = scope.get(WHOLE)
    if whole is None or not whole(status, headers, body):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def _odd(path: str, send: Any) -> None:
    """Answers that are never whole."""
    if path == "/odd/silent":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"some", "more_body": True})
    if path == "/odd/raises":
        raise RuntimeError("after it began")
    if path == "/odd/streamed":
        await send({"type": "http.response.body", "body": b" more"})


def ours(app: Any) -> type[HttpToolsProtocol]:
    """Our protocol; to its `app` belongs all but what is Ray Serve's."""

    def owner(scope: Any) -> Any:
        return None if scope["path"].startswith("/-/") else app

    return type("Ours", (Direct,), {"owner": staticmethod(owner)})


def stock(app: Any) -> type[HttpToolsProtocol]:
    return HttpToolsProtocol


def configured(app: Any, made: type[HttpToolsProtocol], **settings: Any) -> uvicorn.Config:
    settings = {"timeout_keep_alive": 0, "access_log": False} | settings
    config = uvicorn.Config(
        app, http=made, lifespan="off", log_config=None, date_header=False, port=0, **settings
    )
    config.load()
    return config


@contextlib.asynccontextmanager
async def serving(
    app: Any, made: type[HttpToolsProtocol], **settings: Any
) -> AsyncIterator[tuple[uvicorn.Server, int]]:
    """A server and its port."""
    config = configured(app, made, **settings)
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    await server.on_tick(0)
    try:
        yield server, server.servers[0].sockets[0].getsockname()[1]
    finally:
        for each in server.servers:
            each.close()
        for connection in [*server.server_state.connections]:
            connection.transport.abort()


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def told(
    pieces: Iterable[bytes], of: Callable[[Any], type[HttpToolsProtocol]], **settings: Any
) -> tuple[bytes, App]:
    """All that a client reads who sends these pieces, each once the one before has come. The
    server closes when it has nothing more to answer."""
    app, came = App(), asyncio.Queue[int]()

    class Watched(of(app)):  # type: ignore[misc]  # a class made by a function
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            came.put_nowait(len(data))

    async with serving(app, Watched, **settings) as (_, port), connected(port) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            left = len(piece)
            while left:
                left -= await asyncio.wait_for(came.get(), 10)
        read = await asyncio.wait_for(reader.read(), 10)
    return re.sub(rb"(?i)date: [^\r]*", b"date", read), app


class Clock:
    """The running loop, but for its time, which a test lets pass."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._now = 0.0
        self._count = itertools.count()
        self._timers: list[tuple[float, int, asyncio.Handle]] = []

    def create_task(self, coroutine: Any) -> asyncio.Task[Any]:
        return self._loop.create_task(coroutine)

    def time(self) -> float:
        return self._now

    def call_later(self, delay: float, call: Callable[[], None]) -> asyncio.Handle:
        handle = asyncio.Handle(call, (), self._loop)
        heapq.heappush(self._timers, (self._now + delay, next(self._count), handle))
        return handle

    def waiting(self) -> int:
        return sum(not handle.cancelled() for *_, handle in self._timers)

    def turn(self, seconds: float) -> None:
        end = self._now + seconds
        while self._timers and self._timers[0][0] <= end:
            self._now, _, handle = heapq.heappop(self._timers)
            if not handle.cancelled():
                handle._run()
        self._now = end


class Line(asyncio.Transport):
    """One connection without a network: what was written, and whether it is closed."""

    def __init__(self, app: Any, made: type[HttpToolsProtocol], **settings: Any) -> None:
        super().__init__({"peername": ("127.0.0.1", 9), "sockname": ("127.0.0.1", 80)})
        self.loop = Clock()
        self.state = ServerState()
        self.written: list[bytes] = []
        self.closed = self.paused = False
        self.closed_s: float | None = None
        config = configured(app, made, **settings)
        self.protocol = made(config, self.state, {}, self.loop)  # type: ignore[arg-type]  # near enough
        self.protocol.connection_made(self)

    def write(self, data: Any) -> None:
        if not self.closed:
            self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        if not self.closed:
            self.closed, self.closed_s = True, self.loop.time()
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    async def feed(self, piece: bytes) -> None:
        """Nothing comes while it is paused, nor after it was closed."""
        if self.paused:
            await settled()
        if not (self.paused or self.closed):
            self.protocol.data_received(piece)

    @property
    def read(self) -> bytes:
        return b"".join(self.written)


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(12):
        await asyncio.sleep(0)
