"""One HTTP/1.1 connection to the node's own ingress, for one request at a time.

The answer is handed on in the pieces in which it comes, and read no faster than they are taken.
It stands on the parser of the server side, because a general client costs more than the hop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import cast

import httptools

from plaza_core.errors import PoolLost

_JOINED = 1 << 14
"""A request up to this size is one write."""
_HIGH, _LOW = 1 << 18, 1 << 16
_SILENT_S = 60.0
"""How long an answer that has begun may stand still."""
_FINAL = 200
_OF_THE_CONNECTION = frozenset(
    {b"connection", b"keep-alive", b"transfer-encoding", b"trailer", b"date", b"server"}
)


class Connection(asyncio.Protocol):
    """Implements `pools.Passage` for the request that was sent last."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.lost = False
        self.idle_since_ns = 0
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._busy = self._sent = self._headed = self._complete = False
        self._keep = self._full = False

    # ── what the loop calls ──────────────────────────────────────────────────────────────────────
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._wake()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._wake()

    def data_received(self, data: bytes) -> None:
        if not self._busy or self._complete:
            self.abort()  # nobody asked for this
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.abort()
        self._wake()

    # ── what the parser calls ────────────────────────────────────────────────────────────────────
    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name not in _OF_THE_CONNECTION:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self._headed = self.status >= _FINAL

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)
        self._held += len(body)
        if self._held > _HIGH and self._transport is not None:
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._headed:
            self._complete = True
            self._keep = self._parser.should_keep_alive()
        else:
            self.headers = []

    # ── what a carrier calls ─────────────────────────────────────────────────────────────────────
    async def ask(self, head: bytes, body: Sequence[bytes]) -> None:
        """Send a request; returns when the head of its answer is there. Raises PoolLost."""
        assert self._transport is not None
        self._busy = True
        self.status, self.headers = 0, []
        self._sent = self._headed = self._complete = self._keep = False
        if sum(map(len, body)) <= _JOINED:
            self._transport.write(b"".join((head, *body)))
        else:
            self._transport.write(head)
            for piece in body:
                self._transport.write(piece)
                while self._full and not self._headed:
                    await self._news()
                if self._headed:  # refused before it was read
                    return
        self._sent = True
        while not self._headed:
            await self._news()

    async def pieces(self) -> AsyncIterator[bytes]:
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._held -= len(piece)
                if self._held < _LOW and self._transport is not None:
                    self._transport.resume_reading()
                yield piece
            if self._complete:
                return
            try:
                async with asyncio.timeout(_SILENT_S):
                    await self._news()
            except TimeoutError:
                raise PoolLost("the answer of the other pool stood still") from None

    def release(self) -> bool:
        """Whether the request is over and the connection can take another."""
        whole = self._sent and self._complete and not self._pieces and not self.lost
        self._busy = False
        return whole and self._keep

    def abort(self) -> None:
        """Close at once; at the other end a request that runs is given up."""
        if self._transport is not None:
            self._transport.abort()

    async def _news(self) -> None:
        if self.lost:
            raise PoolLost("the connection to the other pool broke")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
