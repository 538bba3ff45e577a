"""Other pools, as a replica knows them: what lives there, and how a request is carried there.

`forwarding.others.OtherPools` decides and counts; a `Carrier` only carries. There are two:
`forwarding.carrier.HttpCarrier` goes through the node's ingress, `forwarding.memory.MemoryCarrier`
calls doors of the same process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from plaza_core.errors import NotCertified
from plaza_core.ids import OrganisationId


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Where a version is served when not here."""

    pools: tuple[str, ...]
    """As the settings order them; never empty."""
    limit_s: float
    """How long the version itself allows a request to take."""


class LivesElsewhere(NotCertified):
    """This pool must not open the version, others may. Who cannot forward tells it the caller."""

    def __init__(self, message: str, where: Elsewhere) -> None:
        super().__init__(message)
        self.where = where


@dataclass(frozen=True, slots=True)
class Passed:
    """A request to be passed on, as it came: it is parsed again where it is served."""

    organisation: OrganisationId
    method: str
    target: bytes
    """Path and query below the address of a pool, quoted."""
    headers: Sequence[tuple[bytes, bytes]] = field(repr=False)
    """Without those of the connection and without the length."""
    body: Sequence[bytes] = field(repr=False)
    """In the pieces in which it came."""


class Passage(Protocol):
    """The answer as it arrives."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Without those of the connection."""

    def pieces(self) -> AsyncIterator[bytes]:
        """The body; read as fast as it is asked for. Raises PoolLost when it breaks off."""


class Carrier(Protocol):
    def carry(self, pool: str, passed: Passed) -> AbstractAsyncContextManager[Passage]:
        """Entered once the head of the answer is there. Left early, the request is given up there
        too. Raises PoolUnavailable when nothing was begun, PoolLost when that is not known."""
