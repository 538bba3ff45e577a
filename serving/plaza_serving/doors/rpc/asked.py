"""One gRPC call while it is in the house: its metadata, who calls, and until when.

Of the metadata only `authorization`, `x-plaza-sticky` and `grpc-timeout` (as the context's
remaining time) act. `idempotency-key` is refused: nobody would keep the answer.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any, NoReturn, Protocol
from urllib.parse import unquote

from plaza_core.clock import Clock
from plaza_core.errors import BadRequest, MalformedRequest
from plaza_core.ids import RequestId
from plaza_core.principal import Principal

_ONCE = ("authorization", "idempotency-key", "x-plaza-sticky")


class Context(Protocol):
    """The part of `grpc.aio.ServicerContext` that the door uses; the library ships no types."""

    async def read(self) -> Any: ...
    async def write(self, message: bytes) -> None: ...
    async def abort(
        self, code: Any, details: str, trailing_metadata: tuple[tuple[str, str], ...]
    ) -> NoReturn: ...
    def invocation_metadata(self) -> Iterable[tuple[str, str | bytes]] | None: ...
    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None: ...
    def time_remaining(self) -> float | None: ...
    def peer(self) -> str: ...


class Asked:
    """`principal` is set by the door, unless the verb is for everybody."""

    __slots__ = ("_clock", "age_ns", "authorization", "context", "infers", "principal",
                 "request_id", "started_ns", "sticky")  # fmt: skip

    principal: Principal

    def __init__(self, context: Context, request_id: RequestId, clock: Clock) -> None:
        self.context = context
        self._clock = clock
        self.request_id = request_id
        self.started_ns = clock.monotonic_ns()
        self.age_ns = 0
        self.authorization: str | None = None
        self.sticky: str | None = None
        self.infers = False
        """Whether it asks for an inference, which has a price."""

    def forwarded(self, age_ns: int) -> None:
        """Another replica had it for so long: that counts."""
        self.age_ns = age_ns
        self.started_ns -= age_ns

    def read_metadata(self, loopback_key: str | None) -> None:
        """Raises MalformedRequest for a name given twice, BadRequest for an Idempotency-Key."""
        found: dict[str, str] = {}
        for name, value in self.context.invocation_metadata() or ():
            if name in _ONCE:
                if name in found:
                    raise MalformedRequest("this is given twice in the metadata", input=name)
                found[name] = str(value)
        if "idempotency-key" in found:
            raise BadRequest(
                "answers are kept for HTTP requests only; leave the key out",
                input="idempotency-key",
            )
        self.authorization = found.get("authorization")
        self.sticky = found.get("x-plaza-sticky")
        bare = self.authorization is None and loopback_key is not None
        if bare and is_loopback(self.context.peer()):
            self.authorization = f"Bearer {loopback_key}"

    def deadline_ns(self, timeout_us: int | None, default_ms: int) -> int | None:
        """On the monotonic clock; None leaves it to the plane.

        The call's own deadline only shortens what the request or the hub would allow.
        """
        remaining_s = self.context.time_remaining()
        if timeout_us is None:
            if remaining_s is None:
                return None
            timeout_us = default_ms * 1000
        ends_ns = self.started_ns + timeout_us * 1000
        if remaining_s is None:
            return ends_ns
        call_ends_ns = self._clock.monotonic_ns() + max(0, int(remaining_s * 1e9))
        return min(ends_ns, call_ends_ns)


def is_loopback(peer: str) -> bool:
    """Whether gRPC's name of a peer (`ipv4:ADDRESS:PORT`, `ipv6:[ADDRESS]:PORT`) is this machine's
    loopback."""
    kind, _, rest = unquote(peer).partition(":")
    host = rest.rpartition(":")[0].strip("[]")
    if kind not in {"ipv4", "ipv6"}:
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
