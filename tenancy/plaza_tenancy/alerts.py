"""Alerts: which budgets have reached 50, 80 or 100 % of a period, each told once.

What was settled counts, not what is only leased, on the account that the node's budget counts on
now: accounts of a budget that was removed or counted by another period say nothing any more. The
row in `budget_alerts` and the messages to all targets of the organisation are one transaction, so
an alert is neither lost nor told twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sqlalchemy import Table, and_, select
from sqlalchemy.orm import Session

from plaza_core.budget import FOREVER
from plaza_core.ids import OrganisationId
from plaza_core.webhooks import PERCENTS, Event
from plaza_tenancy import dialect
from plaza_tenancy.outgoing import tell
from plaza_tenancy.schema import OrganisationRow
from plaza_tenancy.schema_budgets import AccountRow, BudgetRow
from plaza_tenancy.schema_webhooks import AlertRow
from plaza_tenancy.store import Store

LATE_US: Final = 3_600_000_000
"""For so long after a period its alerts are still told: of what was settled in its last moments,
and while nobody looked."""
_ALERTS: Table = AlertRow.metadata.tables["budget_alerts"]


class Account(Protocol):
    """A budget of one node in one period. Amounts in compute units, times in µs since 1970."""

    @property
    def organisation(self) -> OrganisationId: ...
    @property
    def node(self) -> str: ...
    @property
    def period_start(self) -> int: ...
    @property
    def period_end(self) -> int: ...
    @property
    def limit(self) -> int: ...
    @property
    def settled(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Due:
    """A percentage that an account has reached."""

    account: Account
    percent: int

    def key(self) -> tuple[str, str, int, int, int]:
        """What makes an alert one alert."""
        a = self.account
        return a.organisation, a.node, a.period_start, a.period_end, self.percent


def due_alerts(accounts: Iterable[Account]) -> list[Due]:
    """Every percentage reached, the lower ones first. A budget of nothing reaches none."""
    return [
        Due(account, percent)
        for account in accounts
        for percent in PERCENTS
        if account.limit > 0 and account.settled * 100 >= account.limit * percent
    ]


class Alerts:
    def __init__(self, store: Store) -> None:
        self._store = store

    def raise_due(self, accounts: Iterable[Account]) -> int:
        """Tell what was not told before; returns how many alerts were new."""
        # In one order: two processes of one database then never wait for one another in a circle.
        due = sorted(due_alerts(accounts), key=Due.key)
        if not due:
            return 0
        now = self._store.clock.unix_us()
        with self._store.append_everything() as session:
            told = _told(session, now)
            return sum(self._raise(session, one, now) for one in due if one.key() not in told)

    def accounts(self) -> list[Account]:
        """Accounts of this moment, or of a period that has just ended, that are half used or more:
        of every node the one that its budget counts on now."""
        now = self._store.clock.unix_us()
        names = ("organisation", "node", "period_start", "period_end", "limit", "settled")
        its_budget = and_(
            BudgetRow.organisation == AccountRow.organisation,
            BudgetRow.node == AccountRow.node,
            BudgetRow.generation == AccountRow.generation,
        )
        query = (
            select(*[getattr(AccountRow, name) for name in names])
            .join(BudgetRow, its_budget)
            .where(
                AccountRow.period_start <= now,
                AccountRow.period_end > now - LATE_US,
                AccountRow.settled >= AccountRow.limit // 2,
            )
        )
        with self._store.read_everything() as session:
            return [_Account(**row) for row in session.execute(query).mappings()]

    def _raise(self, session: Session, due: Due, now: int) -> bool:
        account = due.account
        values: dict[str, Any] = {
            "organisation": account.organisation,
            "node": account.node,
            "period_start": account.period_start,
            "percent": due.percent,
            "period_end": account.period_end,
            "at": now,
        }
        if not dialect.insert_new(session.connection(), _ALERTS, [values]):
            return False
        event = Event(f"budget.{due.percent}")
        data, random = _data(session, due), self._store.random
        tell(session, random, account.organisation, event, data=data, now=now)
        return True


@dataclass(frozen=True, slots=True)
class _Account:
    organisation: OrganisationId
    node: str
    period_start: int
    period_end: int
    limit: int
    settled: int


def _told(session: Session, now: int) -> set[tuple[str, str, int, int, int]]:
    query = select(
        AlertRow.organisation,
        AlertRow.node,
        AlertRow.period_start,
        AlertRow.period_end,
        AlertRow.percent,
    ).where(AlertRow.period_end > now - LATE_US)
    return {(row[0], row[1], row[2], row[3], row[4]) for row in session.execute(query)}


def _data(session: Session, due: Due) -> dict[str, Any]:
    account = due.account
    name = session.scalar(
        select(OrganisationRow.name).where(OrganisationRow.id == account.organisation)
    )
    return {
        "organisation": account.organisation,
        "organisation_name": name,
        "node": account.node,
        "percent": due.percent,
        "limit": account.limit,
        "settled": account.settled,
        "period_start_unix_us": account.period_start,
        "period_end_unix_us": None if account.period_end >= FOREVER else account.period_end,
    }
