"""LeaseBank on SQL: what replicas hold of budgets. One call is one transaction for all its asks.

exchange   replica ──asks──▶ accounts and leases of the batch, locked ──▶ grants
settle     new usage records, inside the ledger's transaction: leased ──▶ settled
amend      a correction of a request, inside the ledger's transaction: settled
close      a dead replica whose usage is all in the ledger gives the rest back

What becomes of leases whose replica is lost is in `lost`, auditing and forgetting in `upkeep`.
"""

from __future__ import annotations

import builtins
from collections.abc import Collection, Sequence
from functools import partial

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from plaza_core.accounts import Wanted, accounts_at, amendable, branch_of
from plaza_core.book import Book
from plaza_core.budget import DAY_US, Branch, Grant, LeaseAsk
from plaza_core.clock import Clock
from plaza_core.drift import Drift
from plaza_core.ids import new_id
from plaza_core.inference import UsageRecord
from plaza_core.principal import TenantScope
from plaza_tenancy import lost, upkeep
from plaza_tenancy.book_rows import LEASES, read_leases
from plaza_tenancy.books import Plan, Writer, branches, budgets, no_lease, open_book
from plaza_tenancy.charged import lines
from plaza_tenancy.store import Store
from plaza_tenancy.views_leases import LeaseInfo


class Leases:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._settle = partial(settle, clock=store.clock)

    def exchange(
        self, replica: str, asks: Sequence[LeaseAsk], *, live: int = 1
    ) -> builtins.list[Grant]:
        """See `ports.LeaseBank.exchange`.

        An ask on a lease that has ended (its period is over, a budget on its branch was set or
        removed, it was closed) only tells: `until_unix_us` of its Grant is 0. Give back what is
        left of it and ask without a lease.
        """
        if not asks:
            return []
        now = self._store.clock.unix_us()
        with self._store.append_everything() as session:
            book = open_book(
                session, now, self._new_lease, lambda: _plan_exchange(session, replica, asks, now)
            )
            writer = Writer(session, book)
            grants = book.exchange(replica, asks, live)
            writer.save()
        return grants

    def held_by(self, replica: str) -> builtins.list[Grant]:
        """Every lease of a replica as it stands, also those it never heard of: for a recall."""
        mine = [LEASES.c.replica == replica, LEASES.c.closed.is_(None)]
        with self._store.read_everything() as session:
            book = Book(self._store.clock.unix_us(), no_lease)
            book.leases = {lease.id: lease for lease in read_leases(session, mine)}
        return book.held_by(replica)

    def close(self, replica: str) -> int:
        """See `ports.LeaseBank.close`."""
        now = self._store.clock.unix_us()
        mine = Plan(leases=[LEASES.c.replica == replica, LEASES.c.closed.is_(None)])
        with self._store.append_everything() as session:
            book = open_book(session, now, no_lease, lambda: mine)
            writer = Writer(session, book)
            back = book.close(book.leases.values())
            writer.save()
        return back

    def holders(self, nodes: Collection[str]) -> set[str]:
        """See `ports.LeaseBank.holders`."""
        columns = LEASES.c
        here = or_(
            columns.organisation.in_(nodes),
            columns.project.in_(nodes),
            columns.key.in_(nodes),
            columns.line.in_(nodes),
        )
        held = columns.granted > columns.returned + columns.spent
        query = select(columns.replica).where(columns.closed.is_(None), held, here).distinct()
        with self._store.read_everything() as session:
            return set(session.scalars(query))

    def list(self, scope: TenantScope, replica: str | None = None) -> builtins.list[LeaseInfo]:
        """See `lost.held`."""
        return lost.held(self._store, scope, replica)

    def write_off(self, scope: TenantScope, lease: str) -> int:
        """See `lost.write_off`."""
        return lost.write_off(self._store, scope, lease, self._settle)

    def drift(self) -> builtins.list[Drift]:
        """See `upkeep.drift`."""
        return upkeep.drift(self._store)

    def expire(self) -> int:
        """See `upkeep.expire`."""
        return upkeep.expire(self._store)

    def _new_lease(self) -> str:
        return new_id("lse", self._store.random)


def settle(session: Session, records: Sequence[UsageRecord], *, clock: Clock) -> None:
    """Move what new usage charges from leased to settled, inside the ledger's transaction.

    `records` are those that were inserted just now, each once. Without a lease, or with one that
    draws from no account of a node, usage counts in that node's period of its admission.
    """
    spent = _spent(records)
    if not spent:
        return
    line = lines(session, ((whose, key) for whose, _, key, *_ in spent))
    found = [
        Branch(organisation=whose, project=project, key=key, line=line.get((whose, key)))
        for whose, project, key, *_ in spent
    ]

    def plan() -> Plan:
        limited = budgets(session, found)
        wanted: Wanted = {}
        for branch, (*_, day) in zip(found, spent, strict=True):
            wanted |= accounts_at(branch, limited, day * DAY_US)
        named = {lease for *_, lease, _ in spent if lease is not None}
        whose = {organisation for organisation, *_, lease, _ in spent if lease is not None}
        of_records = [LEASES.c.organisation.in_(whose), LEASES.c.id.in_(named)] if named else []
        fresh = frozenset(record.request_id for record in records if record.charge)
        return Plan(budgets=limited, wanted=wanted, leases=of_records, fresh=fresh)

    book = open_book(session, clock.unix_us(), no_lease, plan)
    writer = Writer(session, book)
    for branch, ((*_, lease, day), charge) in zip(found, spent.items(), strict=True):
        book.spend(branch, book.leases.get(lease or ""), day * DAY_US, charge)
    writer.save()


Payer = tuple[str, str | None, str, str | None, int]
"""Organisation, project, key, lease, and the day since 1970 of the admission."""


def _spent(records: Sequence[UsageRecord]) -> dict[Payer, int]:
    """What was charged, by who pays: all usage of one payer on one day counts on the same accounts,
    for no period is shorter than a day. A replica ships thousands of records of a few payers."""
    spent: dict[Payer, int] = {}
    for r in records:
        if r.charge:
            payer = (r.organisation, r.project, r.key, r.lease, r.at_unix_us // DAY_US)
            spent[payer] = spent.get(payer, 0) + r.charge
    return spent


def amend(
    session: Session, original: UsageRecord, correction: UsageRecord, *, clock: Clock
) -> None:
    """Let budgets hear of the correction of a request, in the transaction that adds it.

    See `Book.amend`. Raises InvalidInput for more than a budget has settled.
    """
    now = clock.unix_us()
    whose_key = (original.organisation, original.key)
    line = lines(session, [whose_key]).get(whose_key)
    branch = branch_of(original, line)
    its_lease = [LEASES.c.organisation == original.organisation, LEASES.c.id == original.lease]

    def plan() -> Plan:
        limited = budgets(session, [branch])
        (lease,) = read_leases(session, its_lease) or (None,)
        wanted = amendable(branch, limited, lease, original.at_unix_us, now)
        fresh = frozenset({correction.request_id})
        return Plan(budgets=limited, wanted=wanted, leases=its_lease, fresh=fresh)

    book = open_book(session, now, no_lease, plan)
    writer = Writer(session, book)
    lease = book.leases.get(original.lease or "")
    book.amend(branch, lease, original.at_unix_us, correction.charge)
    writer.save()


def _plan_exchange(session: Session, replica: str, asks: Sequence[LeaseAsk], now: int) -> Plan:
    found = branches(session, {ask.key for ask in asks})
    limited = budgets(session, found.values())
    wanted: Wanted = {}
    for ask in asks:
        if ask.lease is None and ask.need > 0 and ask.key in found:
            wanted |= accounts_at(found[ask.key], limited, now)
    return Plan(
        branches=found,
        budgets=limited,
        wanted=wanted,
        leases=[
            LEASES.c.organisation.in_({branch.organisation for branch in found.values()}),
            LEASES.c.replica == replica,
            LEASES.c.key.in_(found),
            LEASES.c.closed.is_(None),
        ],
    )
