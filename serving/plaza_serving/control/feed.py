"""The hub table as replicas pull it: one snapshot in memory, serialised once, long-polled by many.

    admin verb ──commit──▶ refresh() ──read──▶ snapshot ──wake──▶ every replica that waits

Owns the order of table versions, by which a promotion knows who has caught up. The database is
the truth; a snapshot is only ever replaced by a later read.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from plaza_core.errors import Unavailable
from plaza_core.table import HubTable
from plaza_serving.control.broadcast import Broadcast

_REMEMBERED = 4096
"""Versions whose order is kept; a replica further behind counts as not caught up."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One table as it goes over the wire. `sequence` grows with every change seen here."""

    version: str
    body: bytes
    sequence: int
    limits: Limits


@dataclass(frozen=True, slots=True)
class Limits:
    """What of a table is divided among replicas."""

    slots: Mapping[str, int]
    """Node id -> most requests inside at once."""
    rates: frozenset[str]
    """Nodes with a rate limit."""
    longest_s: float
    """The longest deadline that any model allows."""

    @classmethod
    def of(cls, table: HubTable) -> Limits:
        manifests = (version.manifest for model in table.models for version in model.versions)
        return cls(
            slots={node: most for key in table.keys for node, most in key.slots},
            rates=frozenset(node for key in table.keys for node, _ in key.limits),
            longest_s=max((m.limits.deadline_ms for m in manifests), default=0) / 1000,
        )


class TableFeed:
    """`read` gives the table of this moment from the database, `version` only its version, cheaply.

    Both block and may raise Unavailable; then the last snapshot stays.
    """

    def __init__(self, read: Callable[[], HubTable], version: Callable[[], str]) -> None:
        self._read = read
        self._version = version
        self._reading = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._order: OrderedDict[str, int] = OrderedDict()
        self.changed = Broadcast()

    @property
    def current(self) -> Snapshot:
        if self._snapshot is None:
            raise Unavailable("the hub table has not been read yet", retry_after=1)
        return self._snapshot

    @property
    def loaded(self) -> bool:
        return self._snapshot is not None

    def refresh(self) -> Snapshot:
        """Read the table and wake whoever waits, if it changed. Blocks; any thread.

        Reads are serialised: without the lock an early read could replace a later one.
        """
        with self._reading:
            known = self._snapshot
            if known is not None and known.version == self._version():
                return known
            table = self._read()
            sequence = 1 if known is None else known.sequence + 1
            body = table.model_dump_json(by_alias=True).encode()
            fresh = Snapshot(table.version, body, sequence, Limits.of(table))
            self._order[table.version] = sequence
            self._order.move_to_end(table.version)
            while len(self._order) > _REMEMBERED:
                self._order.popitem(last=False)
            self._snapshot = fresh
        self.changed.fire()
        return fresh

    async def fetch(self, known: str | None, wait_s: float) -> Snapshot | None:
        """The snapshot as soon as its version differs from `known`; None after `wait_s`."""
        differs = await self.changed.until(lambda: self.current.version != known, wait_s)
        return self.current if differs else None

    def nap(self) -> Callable[[float], Awaitable[None]]:
        """A sleep for a job: it ends early when the table has changed since the last one ended."""
        seen = self.current.sequence

        async def sleep(seconds: float) -> None:
            nonlocal seen
            await self.changed.until(lambda: self.current.sequence != seen, seconds)
            seen = self.current.sequence

        return sleep

    def reached(self, version: str, sequence: int) -> bool:
        """Whether a replica that holds table `version` has seen change number `sequence`."""
        return self._order.get(version, 0) >= sequence

    def close(self) -> None:
        self.changed.close()
