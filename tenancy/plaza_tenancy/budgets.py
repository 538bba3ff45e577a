"""Budgets: how much compute an organisation, a project or a key may use per period.

A limit says what may still be granted. Lowered below what is used, it stops new grants and lets
running work end; raised, it counts at the next ask. A budget set on a branch that is in use takes
the usage of its current period from the ledger and keeps what replicas hold reserved, in the
transaction that sets it. A key that was rotated has one budget with the keys before and after it,
on the first of them, by whichever of them it is set or shown.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from plaza_core.accounts import Account, AccountId
from plaza_core.book import Book
from plaza_core.budget import FOREVER, LARGEST, Period, bounds
from plaza_core.errors import Conflict, InvalidInput, NotFound
from plaza_core.ids import KeyId
from plaza_core.principal import TenantScope
from plaza_core.windows import MOST_WINDOWS, Window
from plaza_tenancy.book_rows import ACCOUNTS, LEASES, read_accounts
from plaza_tenancy.books import (
    Plan,
    Writer,
    budget_of,
    hold_budgets_still,
    no_lease,
    open_book,
)
from plaza_tenancy.charged import leases_below, opening, usage_below
from plaza_tenancy.forecast import runs_out
from plaza_tenancy.nodes import Found, Kind, Node, find, find_to_limit
from plaza_tenancy.rows import owned
from plaza_tenancy.schema import HubRow, KeyRow, OrganisationRow, ProjectRow, UsageRow
from plaza_tenancy.schema_budgets import BudgetRow
from plaza_tenancy.store import Change, Store
from plaza_tenancy.views import Budget

_KINDS = tuple(Kind)


class Budgets:
    """Budgets of organisations need a platform scope; see `nodes.find_to_limit`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def set(
        self, scope: TenantScope, node: Node, *, limit: int | None, period: Period | None = None
    ) -> Budget:
        """Set or change what a node may spend. `limit` None counts without limiting; `period` None
        keeps the one it has (a new budget counts by month).

        Another period begins a new account, with what the ledger says of it. Raises NotFound,
        Forbidden, InvalidInput.
        """
        _valid_limit(limit, "limit")

        def decide(row: BudgetRow | None) -> tuple[int | None, Period]:
            return limit, period or (Period.MONTH if row is None else Period(row.period))

        return self._change(scope, node, decide, "budget.set")

    def adjust(self, scope: TenantScope, node: Node, *, by: int) -> Budget:
        """Raise (by > 0) or lower (by < 0) a limit, whatever others do at the same time.

        Lowered by more than it is, it becomes 0. Raises NotFound without a budget, Conflict for
        one that has no limit.
        """

        def decide(row: BudgetRow | None) -> tuple[int | None, Period]:
            if row is None:
                raise NotFound(f"the {node.kind} has no budget", input=node.kind)
            if row.limit is None:
                raise Conflict("this budget only counts; set a limit first", input="by")
            limit = max(0, row.limit + by)
            _valid_limit(limit, "by")
            return limit, Period(row.period)

        return self._change(scope, node, decide, "budget.raise" if by > 0 else "budget.lower")

    def set_calendar(self, scope: TenantScope, node: Node, windows: Sequence[Window]) -> Budget:
        """Say when another limit holds; the first window that fits a period counts. It replaces the
        calendar there was; none is the usual limit always.

        Raises NotFound without a budget, Forbidden, InvalidInput (too many windows; weekdays of
        periods longer than a day), Conflict for a budget without periods.
        """
        with self._store.change(scope, "budget.set_calendar", node.name) as change:
            session = change.session
            hold_budgets_still(session)
            found = find_to_limit(session, scope, node)
            row = _row(session, found)
            if row is None:
                raise NotFound(f"the {node.kind} has no budget; set one first", input=node.kind)
            _valid_windows(windows, Period(row.period))
            wanted = [window.model_dump(mode="json") for window in windows]
            _tell(change, found, row)
            change.before, change.after = {"windows": row.windows}, {"windows": wanted}
            if row.windows == wanted:
                change.nothing_to_do()
            row.windows = wanted
            _limit_accounts(session, row)
            return _view(session, row, change.now)

    def remove(self, scope: TenantScope, node: Node) -> None:
        """The node is no longer limited. Raises NotFound when it was not."""
        with self._store.change(scope, "budget.remove", node.name) as change:
            hold_budgets_still(change.session)
            found = find_to_limit(change.session, scope, node)
            row = _row(change.session, found)
            if row is None:
                raise NotFound(f"the {node.kind} has no budget", input=node.kind)
            _tell(change, found, row)
            change.after = {}
            book, writer = _open(change, found)
            book.end_below(found.kind.depth, found.id)
            writer.save()
            change.session.delete(row)

    def show(self, scope: TenantScope, node: Node) -> Budget:
        """Raises NotFound, also for a node without a budget."""
        now = self._store.clock.unix_us()
        with self._store.read(scope) as session:
            found = find(session, scope, node)
            row = _row(session, found)
            if row is None:
                raise NotFound(f"the {node.kind} has no budget", input=node.kind)
            return _view(session, row, now)

    def list(self, scope: TenantScope) -> builtins.list[Budget]:
        """Every budget in the scope, roots first."""
        now = self._store.clock.unix_us()
        query = select(BudgetRow).where(*owned(scope, BudgetRow))
        query = query.order_by(BudgetRow.organisation, BudgetRow.depth, BudgetRow.node)
        with self._store.read(scope) as session:
            return [_view(session, row, now) for row in session.scalars(query)]

    def _change(
        self,
        scope: TenantScope,
        node: Node,
        decide: Callable[[BudgetRow | None], tuple[int | None, Period]],
        action: str,
    ) -> Budget:
        with self._store.change(scope, action, node.name) as change:
            session = change.session
            hold_budgets_still(session)
            found = find_to_limit(session, scope, node)
            row = _row(session, found)
            limit, period = decide(row)
            if row is not None and (row.limit, row.period) == (limit, period):
                change.nothing_to_do()
                return _view(session, row, change.now)
            _tell(change, found, row)
            change.after = {"limit": limit, "period": period}
            if row is not None and row.period == period:
                row.limit = limit
                _limit_accounts(session, row)
            else:
                if row is not None and row.windows:
                    raise Conflict(
                        f"this budget has a calendar of {row.period}s; clear that first",
                        input="period",
                    )
                row = row or BudgetRow(organisation=found.organisation, node=found.id)
                row.depth, row.project = found.kind.depth, found.project
                row.generation = session.scalars(select(HubRow.revision)).one()
                row.since = max(change.now, _last_use(session, found))
                _begin(change, found, limit, period, row.generation)
            row.limit, row.period = limit, period
            session.add(row)
            session.flush()
            return _view(session, row, change.now)


def _begin(
    change: Change, found: Found, limit: int | None, period: Period, generation: int
) -> None:
    """The account of a new budget, or of one that counts by another period from now on."""
    start, end = bounds(period, change.now)
    book, writer = _open(change, found)
    depth = found.kind.depth
    account = AccountId(found.organisation, depth, found.id, period, start, generation)
    book.begin(account, end, limit)
    writer.save()


def _open(change: Change, found: Found) -> tuple[Book, Writer]:
    """All open leases below a node, with their accounts."""
    here = leases_below(found.organisation, found.kind.depth, found.id)
    plan = Plan(leases=[here, LEASES.c.closed.is_(None)])
    book = open_book(change.session, change.now, no_lease, lambda: plan)
    book.opening = partial(opening, change.session)
    return book, Writer(change.session, book)


def _valid_limit(limit: int | None, name: str) -> None:
    if limit is not None and not 0 <= limit <= LARGEST:
        raise InvalidInput(f"a limit is a number of units from 0 to {LARGEST:,}", input=name)


def _valid_windows(windows: Sequence[Window], period: Period) -> None:
    if windows and period is Period.TOTAL:
        raise Conflict("a budget in total has no periods, so no calendar", input="windows")
    if len(windows) > MOST_WINDOWS:
        raise InvalidInput(f"at most {MOST_WINDOWS} windows", input="windows")
    if period is not Period.DAY and any(window.weekdays for window in windows):
        raise InvalidInput("weekdays are for budgets per day", input="weekdays")


def _row(session: Session, found: Found) -> BudgetRow | None:
    query = select(BudgetRow).filter_by(organisation=found.organisation, node=found.id)
    return session.scalars(query).one_or_none()


def _tell(change: Change, found: Found, row: BudgetRow | None) -> None:
    change.organisation, change.project = found.organisation, found.project
    change.target = found.id
    change.before = {} if row is None else {"limit": row.limit, "period": row.period}


def _limit_accounts(session: Session, row: BudgetRow) -> None:
    its = [
        ACCOUNTS.c.organisation == row.organisation,
        ACCOUNTS.c.node == row.node,
        ACCOUNTS.c.generation == row.generation,
    ]
    if not row.windows:
        session.execute(update(ACCOUNTS).where(*its).values({"limit": row.limit}))
        return
    budget = budget_of(row)
    for start in session.scalars(select(ACCOUNTS.c.period_start).where(*its)).all():
        here = update(ACCOUNTS).where(*its, ACCOUNTS.c.period_start == start)
        session.execute(here.values({"limit": budget.limit_at(start)}))


def _last_use(session: Session, found: Found) -> int:
    query = select(func.coalesce(func.max(UsageRow.at_unix_us), 0)).where(
        usage_below(found.organisation, found.kind.depth, found.id)
    )
    return int(session.scalars(query).one())


def _view(session: Session, row: BudgetRow, now: int) -> Budget:
    period = Period(row.period)
    start, end = bounds(period, now)
    limit = budget_of(row).limit_at(start)
    account = _account(session, row, start) or Account(
        AccountId(row.organisation, row.depth, row.node, period, start),
        end,
        limit,
        opened=now,
    )
    organisation, project, label = _names(session, row)
    return Budget(
        node=row.node,
        kind=_KINDS[row.depth],
        organisation_name=organisation,
        project_name=project,
        label=label,
        limit=limit,
        usual=row.limit,
        windows=tuple(row.windows or ()),
        period=period,
        period_start_unix_us=start,
        period_end_unix_us=None if end == FOREVER else end,
        settled=account.settled,
        leased=account.leased,
        remaining=None if limit is None else max(0, account.remaining),
        runs_out_unix_us=runs_out(account, now),
    )


def _account(session: Session, row: BudgetRow, start: int) -> Account | None:
    conditions = [
        ACCOUNTS.c.organisation == row.organisation,
        ACCOUNTS.c.node == row.node,
        ACCOUNTS.c.generation == row.generation,
        ACCOUNTS.c.period_start == start,
    ]
    found = read_accounts(session, conditions)
    return found[0] if found else None


def _names(session: Session, row: BudgetRow) -> tuple[str, str | None, str | None]:
    """(organisation's name, project's name, key's label)."""
    query = (
        select(OrganisationRow.name, ProjectRow.name, KeyRow.label)
        .outerjoin(
            ProjectRow,
            (ProjectRow.organisation == OrganisationRow.id) & (ProjectRow.id == row.project),
        )
        .outerjoin(
            KeyRow, (KeyRow.organisation == OrganisationRow.id) & (KeyRow.id == KeyId(row.node))
        )
        .where(OrganisationRow.id == row.organisation)
    )
    organisation, project, label = session.execute(query).one()
    return organisation, project, label
