"""Requests over HTTP whose model lives in another pool: passed on as they came, answered likewise.

    exchange ──▶ body as it came, headers without the connection's ──▶ OtherPools
    client ◀── status, headers and body of the other pool, in the pieces in which they come

Not parsed again here and not charged: the replica that serves authenticates, admits and charges.
"""

from __future__ import annotations

import logging
from urllib.parse import quote

from plaza_core.clock import Clock
from plaza_core.errors import PlazaError
from plaza_serving.doors.body import BodyReader
from plaza_serving.doors.exchange import Exchange, Send
from plaza_serving.forwarding.others import OtherPools
from plaza_serving.forwarding.seal import HEADER, Hop, Seal
from plaza_serving.pools import Elsewhere, Passage, Passed
from plaza_serving.reply import Header

log = logging.getLogger(__name__)

_OF_THE_CONNECTION = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding",
     b"upgrade", b"expect", b"host", b"content-length", HEADER}
)  # fmt: skip
_UNQUOTED = "/:@-._~!$&'()*+,;="


class Forwarding:
    """What an HttpDoor does with a request of another pool."""

    def __init__(self, others: OtherPools, seal: Seal, bodies: BodyReader, clock: Clock) -> None:
        self._others = others
        self._seal = seal
        self._bodies = bodies
        self._clock = clock

    async def relay(self, exchange: Exchange, where: Elsewhere, send: Send) -> None:
        """Answer the exchange. What it raises it raises before anything was sent.

        An answer that breaks off half-way ends without its end, so that the server closes the
        connection and the client knows.
        """
        began = exchange.began_ns or self._clock.monotonic_ns()
        method = exchange.scope["method"]
        body: list[bytes] = []
        if method in {"GET", "HEAD"}:
            exchange.reading = False
        else:
            body = await self._bodies.pieces(exchange)
        passed = Passed(
            exchange.principal.organisation,
            "GET" if method == "HEAD" else method,  # whose answers have a body or none alike
            _target(exchange),
            self._headers(exchange, Hop(self._clock.monotonic_ns() - began)),
            body,
        )
        begun = False
        try:
            async with self._others.answer(where, passed) as passage:
                start = {"status": passage.status, "headers": passage.headers}
                await send({"type": "http.response.start", **start})
                begun = True
                await _copy(passage, send, head_only=method == "HEAD")
        except PlazaError as error:
            if not begun:
                raise
            log.warning("request %s broke off: %s", exchange.request_id, error.message)

    def _headers(self, exchange: Exchange, hop: Hop) -> list[Header]:
        """All but those of the connection, which its `Connection` header may name too."""
        named = exchange.headers.get(b"connection", b"").lower().split(b",")
        left_out = _OF_THE_CONNECTION.union(name.strip() for name in named)
        kept = [header for header in exchange.scope["headers"] if header[0] not in left_out]
        return [*kept, self._seal.mark(hop)]


async def _copy(passage: Passage, send: Send, *, head_only: bool) -> None:
    """One message to the server for an answer that is there already in one piece."""
    last = b""
    async for piece in passage.pieces():
        if last and not head_only:
            await send({"type": "http.response.body", "body": last, "more_body": True})
        last = piece
    await send({"type": "http.response.body", "body": b"" if head_only else last})


def _target(exchange: Exchange) -> bytes:
    """What was matched, quoted again, not what a client wrote."""
    path = quote(exchange.scope["path"], safe=_UNQUOTED).encode()
    query = exchange.scope["query_string"]
    return path + b"?" + query if query else path
