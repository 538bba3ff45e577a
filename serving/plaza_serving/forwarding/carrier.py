"""Carries requests to other pools through the node's own ingress, on connections that stay open.

    replica of the main pool ──▶ HAProxy of this node ──▶ /pools/NAME: a replica of that pool

HAProxy knows which replicas live, also on other nodes, and balances among them. Why this way:
docs/decisions/0029-one-address.md.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from plaza_core.clock import Clock
from plaza_core.errors import PoolUnavailable
from plaza_core.settings import Settings
from plaza_serving.forwarding.connection import Connection
from plaza_serving.pools import Passed

_CONNECT_S = 1.0
_IDLE_NS = 5 * 10**9
"""HAProxy closes a connection on which nothing came for 10 s; before that we do not use it."""


class HttpCarrier:
    """`prefixes`: pool -> what its paths begin with. Implements `pools.Carrier`."""

    def __init__(self, host: str, port: int, prefixes: Mapping[str, str], clock: Clock) -> None:
        self._host, self._port = host, port
        self._clock = clock
        self._prefixes = {pool: prefix.encode() for pool, prefix in prefixes.items()}
        self._authority = f"{f'[{host}]' if ':' in host else host}:{port}".encode()
        self._idle: list[Connection] = []

    @asynccontextmanager
    async def carry(self, pool: str, passed: Passed) -> AsyncIterator[Connection]:
        head = self._head(self._prefixes[pool], passed)
        connection = self._waiting() or await self._open(pool)
        try:
            await connection.ask(head, passed.body)
            yield connection
        finally:
            if connection.release():
                connection.idle_since_ns = self._clock.monotonic_ns()
                self._idle.append(connection)
            else:
                connection.abort()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().abort()

    def _waiting(self) -> Connection | None:
        """The one used last, so that those beyond need grow old; the old ones are closed."""
        oldest = self._clock.monotonic_ns() - _IDLE_NS
        while self._idle and (self._idle[0].lost or self._idle[0].idle_since_ns < oldest):
            self._idle.pop(0).abort()
        while self._idle:
            connection = self._idle.pop()
            if not connection.lost:
                return connection
        return None

    async def _open(self, pool: str) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, made = await loop.create_connection(Connection, self._host, self._port)
        except (OSError, TimeoutError):
            raise PoolUnavailable(f"the pool '{pool}' cannot be reached", retry_after=1) from None
        return made

    def _head(self, prefix: bytes, passed: Passed) -> bytes:
        """The parser of the server let no line break into any part of it."""
        size = sum(map(len, passed.body))
        lines = [b"%b %b%b HTTP/1.1" % (passed.method.encode(), prefix, passed.target)]
        lines += [b"host: " + self._authority]
        lines += [b"%b: %b" % header for header in passed.headers]
        if size or passed.method not in {"GET", "HEAD"}:
            lines.append(b"content-length: %d" % size)
        return b"\r\n".join((*lines, b"", b""))


def ingress_of(settings: Settings) -> tuple[str, int]:
    """Where this node's HAProxy listens, as seen from the node itself."""
    host = settings.listen
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host, settings.http_port
    if address.is_unspecified:
        host = "::1" if address.version == 6 else "127.0.0.1"
    return host, settings.http_port
