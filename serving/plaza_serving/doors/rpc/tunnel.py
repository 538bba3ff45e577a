"""gRPC calls between pools: a message over HTTP, and the answer with its status and metadata.

    main pool: Far.ask ──▶ POST /pools/NAME/grpc/METHOD, the message as body ──▶ Near, door
    client ◀── message or status ◀── grpc-status, grpc-message, metadata as headers ──────┘

So one way of forwarding does for both protocols: the ingress balances it, a stream may name models
of several pools, and the pool needs no gRPC port. The client's message goes on as it came.
"""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote, unquote

import grpc

from plaza_core.clock import Clock
from plaza_core.errors import PayloadTooLarge, PlazaError, PoolLost, PoolUnavailable, RouteNotFound
from plaza_serving.doors.body import BodyReader
from plaza_serving.doors.exchange import Exchange
from plaza_serving.doors.rpc.asked import Asked
from plaza_serving.doors.rpc.problems import Metadata
from plaza_serving.forwarding.others import OtherPools
from plaza_serving.forwarding.seal import Hop, Seal
from plaza_serving.pools import Elsewhere, Passed
from plaza_serving.reply import Header, Reply

STREAMED = "ModelStreamInfer"
_MEDIA = b"application/grpc+proto"
_STATUS, _DETAILS = b"grpc-status", b"grpc-message"
_METADATA = b"x-plaza-metadata"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Answered(NamedTuple):
    """By the other pool: a message for the client, and trailing metadata."""

    message: bytes
    metadata: Metadata


class Refused(Exception):
    """By the other pool, with a status."""

    def __init__(self, code: Any, details: str, metadata: Metadata) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
        self.metadata = metadata


class Far:
    """The other pools, as a gRPC door asks them."""

    def __init__(self, others: OtherPools, seal: Seal, clock: Clock) -> None:
        self._others = others
        self._seal = seal
        self._clock = clock

    async def ask(
        self, asked: Asked, method: str, message: bytes, where: Elsewhere, *, streamed: bool = False
    ) -> Answered:
        """Raises Refused, and what `OtherPools.answer` raises."""
        remaining_s = asked.context.time_remaining()
        hop = Hop(
            age_ns=self._clock.monotonic_ns() - asked.started_ns,
            left_us=None if remaining_s is None else max(0, int(remaining_s * 1e6)),
            streamed=streamed,
        )
        passed = Passed(
            asked.principal.organisation,
            "POST",
            b"/grpc/" + method.encode(),
            [(b"content-type", _MEDIA), *_headers(asked), self._seal.mark(hop)],
            [message],
        )
        async with self._others.answer(where, passed) as passage:
            said = dict(passage.headers)
            body = b"".join([piece async for piece in passage.pieces()])
        if _STATUS not in said:
            raise _stranger(passage.status)
        code = _CODES.get(int(said[_STATUS]), grpc.StatusCode.UNKNOWN)
        metadata = _read(said.get(_METADATA, b""))
        if code is not grpc.StatusCode.OK:
            raise Refused(code, unquote(said[_DETAILS].decode("ascii")), metadata)
        return Answered(body, metadata)


def _headers(asked: Asked) -> list[Header]:
    """What of a call's metadata acts."""
    given = ((b"authorization", asked.authorization), (b"x-plaza-sticky", asked.sticky))
    return [(name, text.encode("latin-1")) for name, text in given if text is not None]


def _stranger(status: int) -> PlazaError:
    """No replica of the pool has answered, but the ingress or the main pool itself."""
    if status == 503:
        return PoolUnavailable("no replica of the pool is ready", retry_after=2)
    if status == 413:
        return PayloadTooLarge("the message is too long")
    return PoolLost("the other pool did not answer")


def _read(text: bytes) -> Metadata:
    pairs = (pair.partition("=") for pair in text.decode("ascii").split("&") if pair)
    return tuple((unquote(name), unquote(value)) for name, _, value in pairs)


class Aborted(Exception):
    """A handler has called `abort`."""


class HopContext:
    """A forwarded call, as the handlers of a door see it. Implements `asked.Context`."""

    def __init__(self, exchange: Exchange, hop: Hop, message: bytes, clock: Clock) -> None:
        self._headers = exchange.headers
        self._message = message
        self._clock = clock
        self._ends_ns = None if hop.left_us is None else clock.monotonic_ns() + hop.left_us * 1000
        self.age_ns = hop.age_ns
        self.metadata: Metadata = ()
        self.refusal: tuple[Any, str] | None = None

    async def read(self) -> bytes:
        return self._message

    async def write(self, message: bytes) -> None:
        raise AssertionError("a forwarded call has one answer")

    async def abort(self, code: Any, details: str, trailing_metadata: Metadata) -> NoReturn:
        self.refusal, self.metadata = (code, details), trailing_metadata
        raise Aborted

    def invocation_metadata(self) -> list[tuple[str, str | bytes]]:
        names = (b"authorization", b"x-plaza-sticky")
        found = ((name, self._headers.get(name)) for name in names)
        return [(n.decode(), v.decode("latin-1")) for n, v in found if v is not None]

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        self.metadata = metadata

    def time_remaining(self) -> float | None:
        if self._ends_ns is None:
            return None
        return max(0.0, (self._ends_ns - self._clock.monotonic_ns()) / 1e9)

    def peer(self) -> str:
        return "hop"


class Near:
    """Answers forwarded calls with the methods of a door: an `http.Tunnel`."""

    def __init__(self, methods: Any, streamed: Any, clock: Clock) -> None:
        """`methods`: name -> handler of one message; `streamed`: of a message of a stream."""
        self._methods = methods
        self._streamed = streamed
        self._clock = clock

    async def __call__(
        self, exchange: Exchange, hop: Hop, method: str, bodies: BodyReader
    ) -> Reply:
        call = self._methods.get(method)
        if call is None:
            raise RouteNotFound("no such method")
        pieces = await bodies.pieces(exchange)
        message = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        context = HopContext(exchange, hop, message, self._clock)
        try:
            if hop.streamed:
                body = await self._streamed(context, message)
            else:
                body = await call(None, context)
        except Aborted:
            assert context.refusal is not None
            code, details = context.refusal
            told = ((_STATUS, b"%d" % code.value[0]), (_DETAILS, quote(details).encode()))
            return Reply(200, _MEDIA, b"", (*told, _written(context.metadata)))
        return Reply(200, _MEDIA, body, ((_STATUS, b"0"), _written(context.metadata)))


def _written(metadata: Metadata) -> Header:
    pairs = (f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in metadata)
    return _METADATA, "&".join(pairs).encode()
