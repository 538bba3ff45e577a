"""Upkeep of accounts and leases: auditing them against the ledger, and forgetting what is over.

The table of leases grows by one row per key, replica and period. A lease that was closed 8 days ago
is forgotten once no account that is still audited tells it from other usage: a day after the last
period that it was used in. Accounts without an end never do, for on them usage counts whenever it
was. What retention drops from the ledger, accounts and leases remember as a number (`remember`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, delete, func, select, tuple_, update
from sqlalchemy.orm import Session

from plaza_core import drift as auditing
from plaza_core.accounts import AccountId, Lease
from plaza_core.book import Book
from plaza_core.budget import DAY_US, FOREVER, bounds
from plaza_core.drift import Drift
from plaza_tenancy.book_rows import ACCOUNTS, LEASES, read_accounts, read_leases
from plaza_tenancy.books import hold_budgets_still, no_lease, read_budgets
from plaza_tenancy.charged import charges, corrections
from plaza_tenancy.schema import UsageRow
from plaza_tenancy.schema_budgets import AccountRow, BudgetRow, LeaseRow
from plaza_tenancy.store import Store

_AUDITED_US: Final = DAY_US
"""For so long after a period its accounts are audited: usage may still come to them."""
KEPT_US: Final = 8 * DAY_US
"""How long a closed lease is kept: longer than usage can be late for a month that is dropped."""
_PAGE: Final = 500
_SKEW_US: Final = 7 * DAY_US
"""By so much, at most, usage may say that it was before the lease it was paid from: clocks differ,
and are set back."""


def drift(store: Store) -> list[Drift]:
    """Recompute every current account and every lease from leases and usage.

    Returns what differs; anything but an empty list is a defect. Reads the usage of the longest
    current period, one organisation after another: nothing else waits for long.
    """
    now = store.clock.unix_us()
    with store.read_everything() as session:
        whose = select(AccountRow.organisation).union(select(LeaseRow.organisation))
        organisations = sorted(session.scalars(whose))
    found: list[Drift] = []
    for organisation in organisations:
        with store.read_everything() as session:
            found += _drift_of(session, organisation, now)
    return found


def _drift_of(session: Session, organisation: str, now: int) -> list[Drift]:
    used, at = UsageRow.organisation == organisation, UsageRow.at_unix_us
    book = _book(session, organisation, now)
    first = min((lease.opened for lease in book.leases.values()), default=now)
    return auditing.drift(
        book,
        charges(session, used, at >= first - _SKEW_US, UsageRow.lease.is_not(None)),
        lambda start, end: charges(session, used, at >= start, at < end),
        lambda start, end: corrections(session, used, at >= start, at < end),
    )


def expire(store: Store) -> int:
    """Forget leases that are long over; returns how many. Changes no drift."""
    now, gone = store.clock.unix_us(), 0
    after: tuple[str, str] | None = None
    while True:
        conditions = [LEASES.c.closed.is_not(None), LEASES.c.closed <= now - KEPT_US]
        if after is not None:
            conditions.append(tuple_(LEASES.c.organisation, LEASES.c.id) > tuple_(*after))
        with store.append_everything() as session:
            page = read_leases(session, conditions, limit=_PAGE)
            over = _forgettable(session, page, now)
            gone += _forget(session, over) if over else 0
        if len(page) < _PAGE:
            return gone
        after = (page[-1].branch.organisation, page[-1].id)


def remember(session: Session, organisation: str, going: ColumnElement[bool]) -> None:
    """Before the ledger drops rows (`going`): what accounts and leases keep of them, as numbers."""
    used = UsageRow.organisation == organisation
    usage, corrected = list(charges(session, used, going)), list(corrections(session, used, going))
    if not usage and not corrected:
        return
    hold_budgets_still(session)
    book = _book(session, organisation, FOREVER)
    of_accounts, of_leases = auditing.dropped(book, usage, corrected)
    for account, charge in sorted(of_accounts.items()):
        _archive(session, account, charge)
    for lease, charge in sorted(of_leases.items()):
        session.execute(
            update(LEASES)
            .where(LEASES.c.organisation == organisation, LEASES.c.id == lease)
            .values(archived=LEASES.c.archived + charge)
        )


def _book(session: Session, organisation: str, now: int) -> Book:
    """An organisation's leases, and its accounts that are still audited at `now`."""
    recent = [ACCOUNTS.c.organisation == organisation, ACCOUNTS.c.period_end > now - _AUDITED_US]
    book = Book(now, no_lease, read_budgets(session, [BudgetRow.organisation == organisation]))
    book.accounts = {account.id: account for account in read_accounts(session, recent)}
    leases = read_leases(session, [LEASES.c.organisation == organisation])
    book.leases = {lease.id: lease for lease in leases}
    return book


def _forgettable(session: Session, leases: Sequence[Lease], now: int) -> list[Lease]:
    """Those that no audited account needs: everything that was paid from them was admitted in
    periods that are over for a day."""
    if not leases:
        return []
    last: dict[tuple[str, str], int] = {}
    query = (
        select(UsageRow.organisation, UsageRow.lease, func.max(UsageRow.at_unix_us))
        .where(
            UsageRow.organisation.in_({lease.branch.organisation for lease in leases}),
            UsageRow.at_unix_us >= min(lease.opened for lease in leases) - _SKEW_US,
            UsageRow.lease.in_([lease.id for lease in leases]),
        )
        .group_by(UsageRow.organisation, UsageRow.lease)
    )
    for whose, name, at in session.execute(query):
        last[whose, name or ""] = at
    return [
        lease
        for lease in leases
        if _over(lease, last.get((lease.branch.organisation, lease.id), 0), now)
    ]


def _over(lease: Lease, last: int, now: int) -> bool:
    ends = [bounds(id_.period, max(id_.start, last))[1] for id_ in lease.draws]
    return all(end == FOREVER or end <= now - _AUDITED_US for end in ends)


def _forget(session: Session, leases: Sequence[Lease]) -> int:
    """Those of them to which nothing has come meanwhile."""
    hold_budgets_still(session)
    names = [(lease.branch.organisation, lease.id) for lease in leases]
    here = tuple_(LEASES.c.organisation, LEASES.c.id)
    unchanged = [lease for lease in read_leases(session, [here.in_(names)]) if lease in leases]
    for lease in unchanged:
        for account in lease.draws:
            if lease.archived and bounds(account.period, account.start)[1] == FOREVER:
                _archive(session, account, lease.archived)
    names = [(lease.branch.organisation, lease.id) for lease in unchanged]
    session.execute(delete(LEASES).where(here.in_(names)))
    return len(unchanged)


def _archive(session: Session, account: AccountId, charge: int) -> None:
    session.execute(
        update(ACCOUNTS)
        .where(
            ACCOUNTS.c.organisation == account.organisation,
            ACCOUNTS.c.node == account.node,
            ACCOUNTS.c.generation == account.generation,
            ACCOUNTS.c.period_start == account.start,
        )
        .values(archived=ACCOUNTS.c.archived + charge)
    )
