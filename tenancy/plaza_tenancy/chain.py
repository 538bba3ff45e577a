"""Verifying the books: every batch is recomputed from its entries, from the anchor to the head.

Reads a page at a time, so that whoever writes is never kept waiting; entries that arrive meanwhile
are verified too.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import Table, func, or_, select, union
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from plaza_core.errors import Unavailable
from plaza_core.ids import OrganisationId
from plaza_core.principal import TenantScope
from plaza_tenancy.checks import demand_whole
from plaza_tenancy.entries import FIELDS, GENESIS, Row, batch_digest, charge_of, request_of
from plaza_tenancy.schema import LedgerBatchRow, LedgerHeadRow, UsageRow
from plaza_tenancy.store import Store
from plaza_tenancy.views import ChainReport

_USAGE: Table = UsageRow.metadata.tables["usage"]
_PAGE_BATCHES = 200
_PAGE_ENTRIES = 5_000
_cells = itemgetter(slice(0, len(FIELDS)))


def verify(store: Store, scope: TenantScope) -> list[ChainReport]:
    """One report per organisation of the scope that has books.

    Raises Forbidden for a scope on a project: a chain has the entries of all projects.
    """
    whose = demand_whole(scope)
    return [
        _Walk(store, scope, organisation).report()
        for organisation in _organisations(store, scope, whose)
    ]


def _organisations(
    store: Store, scope: TenantScope, whose: OrganisationId | None
) -> list[OrganisationId]:
    heads, rows = select(LedgerHeadRow.organisation), select(UsageRow.organisation)
    if whose is not None:
        heads = heads.where(LedgerHeadRow.organisation == whose)
        rows = rows.where(UsageRow.organisation == whose)
    with store.read(scope) as session:
        return sorted(session.scalars(union(heads, rows)))


def page_of_batches(
    session: Session, batches: list[LedgerBatchRow]
) -> list[tuple[LedgerBatchRow, list[Row]]]:
    """The first of `batches` (of one organisation) that fit a page, with their rows in order."""
    taken: list[LedgerBatchRow] = []
    for batch in batches:
        if taken and sum(b.count for b in taken) + batch.count > _PAGE_ENTRIES:
            break
        taken.append(batch)
    if not taken:
        return []
    query = select(*(_USAGE.c[name] for name in FIELDS), _USAGE.c.batch).where(
        _USAGE.c.organisation == taken[0].organisation,
        _USAGE.c.batch.in_([batch.sequence for batch in taken]),
    )
    rows: dict[int, list[Row]] = defaultdict(list)
    for row in session.execute(query):
        rows[row[-1]].append(_cells(tuple(row)))
    # Sorted here: by code points, whatever collation the database has.
    return [(batch, sorted(rows[batch.sequence], key=request_of)) for batch in taken]


@dataclass
class _Walk:
    """From the anchor of one chain towards its head."""

    store: Store
    scope: TenantScope
    organisation: OrganisationId
    position: int = 0
    digest: str = GENESIS
    links: int = 0

    def report(self) -> ChainReport:
        limit = _PAGE_BATCHES
        while True:
            head = self._head()
            if head is None:
                return self._broken(1, "there are entries, but no chain")
            if self.position < head.anchor_sequence:
                self.position, self.digest = head.anchor_sequence, head.anchor_digest
            try:
                ended, found = self._step(limit)
            except (Unavailable, DBAPIError):
                if limit > 1:  # find out which batch it is
                    limit = 1
                    continue
                return self._broken(self.position + 1, "the database cannot read it")
            if found is not None:
                return self._broken(*found)
            if ended:
                return self._told(None, None)

    def _head(self) -> LedgerHeadRow | None:
        with self.store.read(self.scope) as session:
            return session.get(LedgerHeadRow, self.organisation)

    def _step(self, limit: int) -> tuple[bool, tuple[int, str] | None]:
        """(whether that was the end, the first fault)."""
        with self.store.read(self.scope) as session:
            query = (
                select(LedgerBatchRow)
                .where(LedgerBatchRow.organisation == self.organisation)
                .where(LedgerBatchRow.sequence > self.position)
                .order_by(LedgerBatchRow.sequence)
                .limit(limit)
            )
            batches = list(session.scalars(query))
            if not batches:
                return True, self._fault_at_the_end(session)
            for batch, rows in page_of_batches(session, batches):
                fault = self._fault(batch, rows)
                if fault is not None:
                    return False, (self.position + 1, fault)
                self.position, self.digest = batch.sequence, batch.digest
                self.links += 1
        return False, None

    def _fault(self, batch: LedgerBatchRow, rows: list[Row]) -> str | None:
        if batch.sequence != self.position + 1:
            return "the batch is missing"
        if batch.previous != self.digest:
            return "it does not follow from the batch before"
        if len(rows) != batch.count:
            return f"{batch.count} entries were sealed, {len(rows)} are there"
        try:
            charge = sum(map(charge_of, rows))
            made = batch_digest(
                batch.organisation, batch.sequence, batch.previous, batch.at, rows, charge
            )
        except TypeError:  # a number has become something else
            return "an entry was changed"
        if batch.charge != charge or batch.digest != made:
            return "an entry or the batch itself was changed"
        return None

    def _fault_at_the_end(self, session: Session) -> tuple[int, str] | None:
        head = session.get_one(LedgerHeadRow, self.organisation)
        if (head.sequence, head.digest) != (self.position, self.digest):
            return self.position + 1, "the chain ends before its head"
        query = select(func.min(UsageRow.batch)).where(
            UsageRow.organisation == self.organisation,
            or_(UsageRow.batch <= head.anchor_sequence, UsageRow.batch > head.sequence),
        )
        stray: Any = session.scalar(query)
        return None if stray is None else (stray, "there are entries outside of every batch")

    def _broken(self, sequence: int, why: str) -> ChainReport:
        return self._told(sequence, why)

    def _told(self, broken: int | None, why: str | None) -> ChainReport:
        head = self._head()
        return ChainReport(
            organisation=self.organisation,
            links=self.links,
            anchor=head.anchor_sequence if head else 0,
            sequence=head.sequence if head else 0,
            digest=head.digest if head else GENESIS,
            broken=broken,
            why=why,
        )
