"""Holds the public port while nobody else does: an honest 503 instead of a refused connection.

Its one rule needs no knowledge of phases: if nobody listens on the port, listen; if somebody else
does, stop. Both sides use SO_REUSEPORT, so the ingress takes the port while it is still held here
and no moment is left uncovered. In the moment both listen, the ingress has no replica yet and
answers 503 as well (see `ingress`). A living ingress is never joined, so nothing is taken from it,
with one exception on purpose: whoever is about to end the ingress wraps that in `covering`.

Whoever has the port is watched by pidfd: its death is seen at once, and while it lives nothing is
looked for.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from plaza_core.errors import Unavailable
from plaza_core.ids import new_request_id
from plaza_serving.doors.problems import problem
from plaza_serving.supervisor.process import Identity, table
from plaza_serving.supervisor.sockets import held, holders
from plaza_serving.supervisor.watch import first, gone

RETRY_AFTER_S = 2
_ABSENT_LOOK_S = 1.0
"""For an ingress that stops to listen without dying; a look is one bind."""
_HOLDING_LOOK_S = 0.1
_READ_S = 5.0
_MAX_HEAD = 16 * 1024


class StandIn:
    """Guards one address. `run` until cancelled; then the port is free."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._socket: socket.socket | None = None
        self._answering: set[asyncio.Task[None]] = set()
        self._covering = 0
        self._watched: Sequence[Identity] = ()
        """The processes that listen in this one's stead."""
        self.answered = 0

    @property
    def holding(self) -> bool:
        return self._server is not None

    async def run(self) -> None:
        try:
            while True:
                if self._server is None:
                    if _free(self._host, self._port):
                        await self._take()
                elif not self._covering and self._others():
                    await self._give()
                await self._pause()
        finally:
            await self._give()
            for task in self._answering:
                task.cancel()
            await asyncio.gather(*self._answering, return_exceptions=True)

    async def _pause(self) -> None:
        """Until it is worth while to look again."""
        if not self.holding and not self._watched:
            self._watched = await asyncio.to_thread(_processes_at, self._port)
        if self.holding or not self._watched:
            await asyncio.sleep(_HOLDING_LOOK_S)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_ABSENT_LOOK_S):
                await first(*(gone(one) for one in self._watched))
                self._watched = ()  # who has the port now is asked anew

    @asynccontextmanager
    async def covering(self) -> AsyncIterator[None]:
        """Listen beside an ingress that is being ended, so that no connection is refused."""
        self._covering += 1
        try:
            if self._server is None:
                await self._take()
            yield
        finally:
            self._covering -= 1

    async def _take(self) -> None:
        own = _socket(self._host)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            own.bind((self._host, self._port))
            self._server = await asyncio.start_server(self._greet, sock=own, limit=_MAX_HEAD)
        except OSError:
            own.close()  # somebody was faster; the next look decides again
        else:
            self._socket, self._watched = own, ()

    def _others(self) -> bool:
        assert self._socket is not None
        mine = os.fstat(self._socket.fileno()).st_ino
        return any(one.inode != mine for one in held([self._port]).get(self._port, ()))

    async def _give(self) -> None:
        """Stop listening. Who is connected but was not accepted yet is still answered: closing
        the socket over such a connection would reset it."""
        if self._server is None or self._socket is None:
            return
        last, server = self._socket.dup(), self._server
        self._server = self._socket = None
        server.close()
        with last:
            while (waiting := _accept(last)) is not None:
                self._greet(*await asyncio.open_connection(sock=waiting, limit=_MAX_HEAD))

    def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._answer(reader, writer))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Any request gets the same answer; its body is not waited for."""
        try:
            with suppress(OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
                async with asyncio.timeout(_READ_S):
                    await reader.readuntil(b"\r\n\r\n")
                    writer.write(refusal())
                    writer.write_eof()
                    await writer.drain()
                    self.answered += 1
                    await _discard(reader)
        finally:
            writer.transport.abort()  # everything was said; nothing may linger


def refusal() -> bytes:
    """The whole HTTP/1.1 response: 503, Retry-After and the standard error body."""
    error = Unavailable("the hub is starting, try again soon", retry_after=RETRY_AFTER_S)
    reply = problem(error, new_request_id(time.time_ns() // 1_000_000, os.urandom))
    head = [f"HTTP/1.1 {reply.status} Service Unavailable"]
    head += [f"{name.decode()}: {value.decode()}" for name, value in reply.headers]
    head += [
        f"content-type: {reply.media.decode()}",
        f"content-length: {len(reply.body)}",
        "connection: close",
    ]
    return "\r\n".join([*head, "", ""]).encode() + reply.body


async def _discard(reader: asyncio.StreamReader) -> None:
    """Read on until the client closes: closing first would reset the connection under a body that
    still arrives, and the client would never see the answer."""
    while await reader.read(64 * 1024):
        pass


def _socket(host: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


def _processes_at(port: int) -> Sequence[Identity]:
    """All that listen there; empty where they are another user's. Looks at every open file."""
    processes = table()
    return [processes[pid].identity for pid in holders(port, processes)]


def _accept(listening: socket.socket) -> socket.socket | None:
    try:
        return listening.accept()[0]
    except BlockingIOError:
        return None


def _free(host: str, port: int) -> bool:
    """Whether nobody listens: without SO_REUSEPORT a bind fails exactly then."""
    with _socket(host) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
