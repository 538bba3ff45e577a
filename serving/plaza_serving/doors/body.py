"""Request bodies: read within limits, decompressed within limits, and parsed as JSON.

The size limit counts bytes as they arrive; a Content-Length over it only shortens the wait. All
bodies that arrive in pieces share one budget, so that many large uploads at once are refused with
503 instead of exhausting the memory of the replica.

JSON: depth is checked before parsing. NaN, Infinity, invalid UTF-8, lone surrogates and numbers
beyond a double are refused; integers beyond 64 bits become doubles (and are then refused where an
integer is wanted); of duplicate keys the last one counts.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import orjson

from plaza_core.errors import (
    MalformedRequest,
    Overloaded,
    PayloadTooLarge,
    PlazaError,
    UnsupportedMedia,
)
from plaza_serving.doors.exchange import ClientGoneError, Exchange
from plaza_serving.reply import BODY

OFFLOAD_BYTES = 1 << 15
"""Above this size decoding and encoding leave the event loop.

Half a millisecond of JSON. Below, the hop costs more than it spares: a parser holds the interpreter
lock in any thread.
"""

_T = TypeVar("_T")
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_NOT_STRUCTURE = bytes(sorted(set(range(256)) - set(b'[]{}"')))
_STEP = np.zeros(256, np.int8)
_STEP[list(b"[{")] = 1
_STEP[list(b"]}")] = -1
_BLOCK = 1 << 16
_QUOTE = ord('"')


async def off_loop(size: int, work: Callable[..., _T], *args: Any) -> _T:
    """`work(*args)`, in a thread when `size` bytes are too many for the event loop."""
    if size <= OFFLOAD_BYTES:
        return work(*args)
    return await in_thread(work, *args)


async def in_thread(work: Callable[..., _T], *args: Any) -> _T:
    return await asyncio.get_running_loop().run_in_executor(None, work, *args)


def too_large(limit: int) -> PlazaError:
    return PayloadTooLarge(f"the body has more than {limit} bytes", input="body")


class BodyReader:
    """Reads bodies of at most `limit` bytes; those in pieces hold at most `budget` together."""

    def __init__(self, limit: int, budget: int) -> None:
        self.limit = limit
        self._budget = budget
        self._held = 0

    def at_hand(self, exchange: Exchange) -> bytes | None:
        """What `read` would return, where nothing has to be waited for. None: ask that."""
        body: bytes | None = exchange.scope.get(BODY)
        if body is None or exchange.body is not None or exchange.pieces is not None:
            return exchange.body
        if len(body) > self.limit or b"content-encoding" in exchange.headers:
            return None
        exchange.body_read = True
        exchange.reading = False
        exchange.pieces = [body]
        return body

    async def read(self, exchange: Exchange) -> bytes:
        """The whole body, decompressed.

        Raises PayloadTooLarge, Overloaded, MalformedRequest, UnsupportedMedia, ClientGoneError.
        """
        if exchange.body is not None:
            return exchange.body
        pieces = await self.pieces(exchange)
        if len(pieces) > 1:
            pieces[:] = [b"".join(pieces)]
        body = pieces[0]
        encoding = exchange.headers.get(b"content-encoding")
        if encoding is not None and encoding != b"identity":
            return await in_thread(inflate, body, encoding.decode("latin-1").lower(), self.limit)
        return body

    async def pieces(self, exchange: Exchange) -> list[bytes]:
        """The body as it comes, in at least one piece; read once, also when it is asked for again.

        Raises PayloadTooLarge, Overloaded, ClientGoneError.
        """
        if exchange.pieces is not None:
            return exchange.pieces
        announced = exchange.headers.get(b"content-length")
        if announced is not None and announced.isdigit() and int(announced) > self.limit:
            raise too_large(self.limit)
        message = await exchange.receive()
        if message["type"] != "http.request":
            raise ClientGoneError
        body: bytes = message.get("body", b"")
        if len(body) > self.limit:
            raise too_large(self.limit)
        pieces = [body]
        if message.get("more_body", False):
            await self._rest(exchange, pieces)
        exchange.body_read = True
        exchange.reading = False
        exchange.pieces = pieces
        return pieces

    async def _rest(self, exchange: Exchange, pieces: list[bytes]) -> None:
        size = len(pieces[0])
        self._hold(exchange, size)
        while True:
            message = await exchange.receive()
            if message["type"] != "http.request":
                raise ClientGoneError
            piece = message.get("body", b"")
            size += len(piece)
            if size > self.limit:
                raise too_large(self.limit)
            self._hold(exchange, len(piece))
            pieces.append(piece)
            if not message.get("more_body", False):
                return

    def _hold(self, exchange: Exchange, size: int) -> None:
        if self._held + size > self._budget:
            raise Overloaded("too many large bodies at once", input="body")
        self._held += size
        exchange.held += size

    def release(self, exchange: Exchange) -> None:
        if exchange.held:
            self._held -= exchange.held
            exchange.held = 0


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo `Content-Encoding: gzip` or `deflate`; never makes more than `limit` bytes.

    Raises UnsupportedMedia for another encoding, MalformedRequest for damaged data.
    """
    if encoding == "gzip":
        bits = 31
    elif encoding == "deflate":
        # RFC 9110 §8.4.1.2 means the zlib format; some senders leave its two-byte header out.
        zlib_header = len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2]) % 31 == 0
        bits = 15 if zlib_header else -15
    else:
        raise UnsupportedMedia(
            "content-encoding may be gzip, deflate or identity", input="content-encoding"
        )
    machine = zlib.decompressobj(bits)
    try:
        plain = machine.decompress(body, limit + 1)
    except zlib.error:
        raise MalformedRequest("the compressed body is damaged", input="body") from None
    if len(plain) > limit:
        raise too_large(limit)
    if not machine.eof or machine.unused_data:
        raise MalformedRequest("the compressed body is truncated or has a tail", input="body")
    return plain


def parse_json(data: bytes, max_depth: int) -> Any:
    """Raises MalformedRequest, see the module's docstring."""
    # Few brackets cannot nest deeply: two counts spare nearly every request the scan.
    if data.count(b"[") + data.count(b"{") > max_depth and deeper_than(data, max_depth):
        raise MalformedRequest(f"JSON nests deeper than {max_depth}", input="body")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"not valid JSON at character {error.pos}", input="body") from None


def deeper_than(data: bytes, limit: int) -> bool:
    """Whether brackets outside strings nest deeper than `limit`; exact for valid JSON."""
    if b"\\" in data:
        data = _ESCAPED.sub(b"", data)
    skeleton = np.frombuffer(data.translate(None, _NOT_STRUCTURE), np.uint8)
    depth = quotes = 0
    for start in range(0, len(skeleton), _BLOCK):
        block = skeleton[start : start + _BLOCK]
        seen = np.cumsum(block == _QUOTE) + quotes
        depths = np.cumsum(np.where(seen & 1, 0, _STEP[block])) + depth
        if depths.max() > limit:
            return True
        depth, quotes = int(depths[-1]), int(seen[-1])
    return False
