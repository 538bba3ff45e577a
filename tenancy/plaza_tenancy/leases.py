"""LeaseBank on SQL: what replicas hold of budgets. One call is one transaction for all its asks.

exchange   replica ──asks──▶ accounts and leases of the batch, locked ──▶ grants
settle     new usage records, inside the ledger's transaction: leased ──▶ settled
amend      a correction of a request, inside the ledger's transaction: settled
close      a dead replica whose usage is all in the ledger gives the rest back
write_off  a dead replica whose usage will never come is charged the rest
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from plaza_core import drift as auditing
from plaza_core.book import Book, Wanted, accounts_at, amendable, branch_of, written_off
from plaza_core.budget import Grant, LeaseAsk
from plaza_core.clock import Clock
from plaza_core.drift import Drift
from plaza_core.errors import NotFound
from plaza_core.ids import OrganisationId, new_id
from plaza_core.inference import UsageRecord
from plaza_core.principal import TenantScope
from plaza_tenancy.book_rows import ACCOUNTS, LEASES, read_accounts, read_leases
from plaza_tenancy.books import Plan, Writer, branches, budgets, open_book, read_budgets
from plaza_tenancy.charged import charges, corrections, lines
from plaza_tenancy.nodes import demand_platform
from plaza_tenancy.schema import OrganisationRow, UsageRow
from plaza_tenancy.schema_budgets import AccountRow, BudgetRow, LeaseRow
from plaza_tenancy.store import Store
from plaza_tenancy.views import LeaseInfo

DAY_US = 86_400_000_000

Ingest = Callable[[Sequence[UsageRecord]], int]


class Leases:
    """`ingest` is the ledger's: a loss is usage too."""

    def __init__(self, store: Store, ingest: Ingest) -> None:
        self._store = store
        self._ingest = ingest

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
            book = Book(self._store.clock.unix_us(), _no_lease)
            book.leases = {lease.id: lease for lease in read_leases(session, mine)}
        return book.held_by(replica)

    def close(self, replica: str) -> int:
        """See `ports.LeaseBank.close`."""
        now = self._store.clock.unix_us()
        mine = Plan(leases=[LEASES.c.replica == replica, LEASES.c.closed.is_(None)])
        with self._store.append_everything() as session:
            book = open_book(session, now, _no_lease, lambda: mine)
            writer = Writer(session, book)
            back = book.close(book.leases.values())
            writer.save()
        return back

    def list(self, scope: TenantScope) -> builtins.list[LeaseInfo]:
        """Leases of which something is outstanding, the oldest first. For operators."""
        demand_platform(scope)
        names = select(OrganisationRow.id, OrganisationRow.name)
        with self._store.read(scope) as session:
            called = {row.id: row.name for row in session.execute(names)}
            found = read_leases(session, [LEASES.c.closed.is_(None)])
        return [
            LeaseInfo(
                id=lease.id,
                organisation_name=called[OrganisationId(lease.branch.organisation)],
                key=lease.branch.key,
                replica=lease.replica,
                opened_unix_us=lease.opened,
                outstanding=lease.outstanding,
            )
            for lease in sorted(found, key=lambda lease: (lease.opened, lease.id))
            if lease.outstanding
        ]

    def write_off(self, scope: TenantScope, lease: str) -> int:
        """Charge in full what a lease still holds, because its host is lost for good.

        For operators. The loss is a record of outcome `written_off` in the ledger. Returns the
        units charged; a second call returns 0. Raises NotFound.
        """
        demand_platform(scope)
        with self._store.read(scope) as session:
            found = read_leases(session, [LEASES.c.id == lease])
        if not found:
            raise NotFound("there is no such lease", input="lease")
        lost = found[0].outstanding
        if lost:
            self._ingest([written_off(found[0], self._store.clock.unix_us())])
        with self._store.change(scope, "lease.write_off", lease) as change:
            plan = Plan(leases=[LEASES.c.id == lease, LEASES.c.closed.is_(None)])
            book = open_book(change.session, change.now, _no_lease, lambda: plan)
            if not book.leases:
                change.nothing_to_do()
            branch = found[0].branch
            change.organisation, change.project = branch.organisation, branch.project
            change.before, change.after = {"outstanding": lost}, {"written_off": lost}
            writer = Writer(change.session, book)
            book.close(book.leases.values())
            writer.save()
        return lost

    def drift(self) -> builtins.list[Drift]:
        """Recompute every current account and every lease from leases and usage.

        Returns what differs; anything but an empty list is a defect. Reads the usage of the
        longest current period: a job for quiet hours.
        """
        now = self._store.clock.unix_us()
        with self._store.read_everything() as session:
            whose = select(AccountRow.organisation).union(select(LeaseRow.organisation))
            organisations = sorted(session.scalars(whose))
        return [found for whose in organisations for found in self._drift(whose, now)]

    def _drift(self, organisation: str, now: int) -> builtins.list[Drift]:
        """Of one organisation, in a transaction of its own: nothing waits for long."""
        used = UsageRow.organisation == organisation
        with self._store.read_everything() as session:

            def between(start: int, end: int) -> tuple[ColumnElement[bool], ...]:
                return used, UsageRow.at_unix_us >= start, UsageRow.at_unix_us < end

            # Usage of a period that has just ended may still count towards it.
            recent = [ACCOUNTS.c.organisation == organisation, ACCOUNTS.c.period_end > now - DAY_US]
            book = Book(now, _no_lease)
            book.budgets = read_budgets(session, [BudgetRow.organisation == organisation])
            book.accounts = {a.id: a for a in read_accounts(session, recent)}
            leases = read_leases(session, [LEASES.c.organisation == organisation])
            book.leases = {lease.id: lease for lease in leases}
            return auditing.drift(
                book,
                list(charges(session, used, UsageRow.lease.is_not(None))),
                lambda start, end: charges(session, *between(start, end)),
                lambda start, end: corrections(session, *between(start, end)),
            )

    def _new_lease(self) -> str:
        return new_id("lse", self._store.random)


def settle(session: Session, records: Sequence[UsageRecord], *, clock: Clock) -> None:
    """Move what new usage charges from leased to settled, inside the ledger's transaction.

    `records` are those that were inserted just now, each once. Without a lease, or with one that
    draws from no account of a node, usage counts in that node's period of its admission.
    """
    charged = [record for record in records if record.charge]
    if not charged:
        return
    line = lines(session, charged)
    found = [branch_of(r, line.get((r.organisation, r.key))) for r in charged]

    def plan() -> Plan:
        limited = budgets(session, found)
        wanted: Wanted = {}
        for branch, record in zip(found, charged, strict=True):
            wanted |= accounts_at(branch, limited, record.at_unix_us)
        named = {record.lease for record in charged if record.lease is not None}
        whose = {record.organisation for record in charged if record.lease is not None}
        of_records = [LEASES.c.organisation.in_(whose), LEASES.c.id.in_(named)] if named else []
        fresh = frozenset(record.request_id for record in charged)
        return Plan(budgets=limited, wanted=wanted, leases=of_records, fresh=fresh)

    book = open_book(session, clock.unix_us(), _no_lease, plan)
    writer = Writer(session, book)
    for branch, record in zip(found, charged, strict=True):
        lease = book.leases.get(record.lease or "")
        book.spend(branch, lease, record.at_unix_us, record.charge)
    writer.save()


def amend(
    session: Session, original: UsageRecord, correction: UsageRecord, *, clock: Clock
) -> None:
    """Let budgets hear of the correction of a request, in the transaction that adds it.

    See `Book.amend`. Raises InvalidInput for more than a budget has settled.
    """
    now = clock.unix_us()
    line = lines(session, [original]).get((original.organisation, original.key))
    branch = branch_of(original, line)
    its_lease = [LEASES.c.organisation == original.organisation, LEASES.c.id == original.lease]

    def plan() -> Plan:
        limited = budgets(session, [branch])
        (lease,) = read_leases(session, its_lease) or (None,)
        wanted = amendable(branch, limited, lease, original.at_unix_us, now)
        fresh = frozenset({correction.request_id})
        return Plan(budgets=limited, wanted=wanted, leases=its_lease, fresh=fresh)

    book = open_book(session, now, _no_lease, plan)
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


def _no_lease() -> str:
    raise RuntimeError("only an exchange opens a lease")
