"""A LeaseBank in memory: the twin of the one on SQL, for tests, benchmarks and plug-in authors.

Keeps one `Book` for good where the other loads and locks a part of it per transaction. Not for
production: what it knows ends with the process.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from plaza_core.accounts import AccountId, Budget, branch_of, levels, written_off
from plaza_core.book import Book
from plaza_core.budget import Branch, Grant, LeaseAsk, Period, bounds
from plaza_core.clock import Clock
from plaza_core.drift import Charged, Corrected, Drift, amends, drift, paid
from plaza_core.errors import NotFound
from plaza_core.ids import KeyId, RequestId
from plaza_core.inference import UsageRecord


class MemoryBank:
    """LeaseBank and, for what it needs to know, UsageLedger in one. Not thread-safe."""

    book_type: ClassVar[type[Book]] = Book

    def __init__(self, clock: Clock) -> None:
        numbers = itertools.count(1)
        self._clock = clock
        self._generations = itertools.count(1)
        self._budgets: dict[str, Budget] = {}
        self._branches: dict[KeyId, Branch] = {}
        self._usage: dict[tuple[str, RequestId], UsageRecord] = {}
        self._corrections: list[tuple[UsageRecord, int, int]] = []
        """(what was corrected, when, by how much)."""
        self._book = self.book_type(
            now=clock.unix_us(),
            new_lease=lambda: f"lse_{next(numbers)}",
            budgets=self._budgets,
            branches=self._branches,
            opening=self._opening,
        )

    # ── tenants and budgets ──────────────────────────────────────────────────────────────────────
    def add(self, branch: Branch) -> None:
        """A key that exists from now on."""
        self._branches[branch.key] = branch

    def rotate(self, key: KeyId, new: KeyId) -> Branch:
        """A key that takes the place of another, and shares its budget while both work."""
        old = self._branches[key]
        self.add(old.model_copy(update={"key": new, "line": old.leaf}))
        return self._branches[new]

    def set_budget(self, node: str, limit: int | None, period: Period = Period.MONTH) -> None:
        """Set or change the budget of an organisation, a project or a key that was added."""
        book, before = self._now(), self._budgets.get(node)
        if before is not None and before.period is period:
            self._budgets[node] = replace(before, limit=limit)
            for account in book.accounts.values():
                if (account.id.node, account.id.generation) == (node, before.generation):
                    account.limit = limit
            return
        organisation, depth = self._place(node)
        last = max((r.at_unix_us for r in self._used(depth, node)), default=0)
        generation = next(self._generations)
        self._budgets[node] = Budget(limit, period, generation, max(book.now, last))
        start, end = bounds(period, book.now)
        book.begin(AccountId(organisation, depth, node, period, start, generation), end, limit)

    def remove_budget(self, node: str) -> None:
        if self._budgets.pop(node, None) is not None:
            self._now().end_below(self._place(node)[1], node)

    @property
    def book(self) -> Book:
        """Everything it knows, for looking at."""
        return self._book

    @property
    def usage(self) -> list[UsageRecord]:
        """What was ingested, each record once."""
        return list(self._usage.values())

    # ── LeaseBank ────────────────────────────────────────────────────────────────────────────────
    def exchange(self, replica: str, asks: Sequence[LeaseAsk], *, live: int = 1) -> list[Grant]:
        return self._now().exchange(replica, asks, live)

    def held_by(self, replica: str) -> list[Grant]:
        """Every lease of a replica as it stands, also those it never heard of: for a recall."""
        return self._now().held_by(replica)

    def holders(self, nodes: Collection[str]) -> set[str]:
        return self._now().holders(nodes)

    def close(self, replica: str) -> int:
        book = self._now()
        return book.close(lease for lease in book.leases.values() if lease.replica == replica)

    def write_off(self, lease: str) -> int:
        """Charge in full what a lease still holds, because its host is lost; returns how much."""
        book = self._now()
        found = book.leases.get(lease)
        if found is None:
            raise NotFound("there is no such lease", input="lease")
        lost = found.outstanding
        if lost:
            self.ingest([written_off(found, book.now)])
        book.close([book.leases[lease]])
        return lost

    # ── UsageLedger ──────────────────────────────────────────────────────────────────────────────
    def ingest(self, records: Sequence[UsageRecord]) -> int:
        """Take note of what is new by (organisation, request id), and settle it."""
        before = len(self._usage)
        for record in records:
            identity = record.organisation, record.request_id
            if identity not in self._usage:
                self.settle([record])
                self._usage[identity] = record
        return len(self._usage) - before

    def settle(self, records: Sequence[UsageRecord]) -> None:
        """Move what new records charge from leased to settled."""
        book = self._now()
        for record in records:
            lease = book.leases.get(record.lease or "")
            book.spend(self._branch(record), lease, record.at_unix_us, record.charge)

    def correct(self, organisation: str, request: str, charge: int) -> None:
        """Add a signed amount to what a request of the ledger was charged. Raises InvalidInput for
        more than a budget has settled, NotFound."""
        original = self._usage.get((organisation, RequestId(request)))
        if original is None:
            raise NotFound("there is no such request in the books", input="request")
        book = self._now()
        lease = book.leases.get(original.lease or "")
        book.amend(self._branch(original), lease, original.at_unix_us, charge)
        self._corrections.append((original, book.now, charge))

    def drift(self) -> list[Drift]:
        """See `plaza_core.drift`."""
        of_leases = [
            (self._branch(record), record.lease, record.charge)
            for record in self._usage.values()
            if record.lease is not None
        ]
        return drift(self._now(), of_leases, self._window, self._corrected)

    def _window(self, start: int, end: int) -> Iterator[Charged]:
        for record in self._usage.values():
            if start <= record.at_unix_us < end:
                yield self._branch(record), record.lease, record.charge

    def _corrected(self, start: int, end: int) -> Iterator[Corrected]:
        for record, at, charge in self._corrections:
            if start <= at < end:
                yield self._branch(record), record.lease, record.at_unix_us, charge

    def _used(self, depth: int, node: str) -> Iterator[UsageRecord]:
        return (r for r in self._usage.values() if (depth, node) in levels(self._branch(r)))

    def _opening(self, id_: AccountId, end: int) -> tuple[int, int | None]:
        counts = [
            (record.charge, record.at_unix_us)
            for record in self._used(id_.depth, id_.node)
            if id_.start <= record.at_unix_us < end
            and not paid(self._book, self._branch(record), record.lease, id_)
        ]
        amended = sum(
            charge
            for branch, lease, at, charge in self._corrected(id_.start, end)
            if (id_.depth, id_.node) in levels(branch)
            and amends(self._book, branch, lease, at, id_)
        )
        settled = sum(charge for charge, _ in counts) + amended
        return settled, min((at for _, at in counts), default=None)

    def _branch(self, record: UsageRecord) -> Branch:
        known = self._branches.get(KeyId(record.key))
        return branch_of(record, None if known is None else known.line)

    def _now(self) -> Book:
        self._book.now = self._clock.unix_us()
        return self._book

    def _place(self, node: str) -> tuple[str, int]:
        for branch in self._branches.values():
            for depth, found in levels(branch):
                if found == node:
                    return branch.organisation, depth
        raise NotFound("there is no such organisation, project or key", input="node")
