"""A `plaza_core.book.Book` of rows: the part one transaction needs, locked, and written back.

Row locks are taken in one order everywhere: the heads of the ledger (by who posts to it), then the
hub (shared; who changes a budget holds it alone, so budgets stand still, and other changes go on
beside), then missing accounts are inserted, then accounts are locked root before leaf, then leases.
A lease opened between reading what to lock and holding it shows by accounts that
were not locked; then all is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import (
    Executable,
    bindparam,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Session

from plaza_core.accounts import Account, AccountId, Budget, Lease, Wanted, has_past, opened
from plaza_core.book import Book
from plaza_core.budget import Branch, Period
from plaza_core.ids import KeyId
from plaza_core.windows import Window
from plaza_tenancy import dialect
from plaza_tenancy.book_rows import (
    ACCOUNTS,
    LEASES,
    Conditions,
    account_of,
    account_values,
    identity,
    lease_values,
    read_accounts,
    read_leases,
)
from plaza_tenancy.charged import opening
from plaza_tenancy.schema import HubRow, KeyRow
from plaza_tenancy.schema_budgets import BudgetRow


@dataclass(frozen=True, slots=True)
class Plan:
    """What a transaction is about, read before anything is locked."""

    branches: Mapping[KeyId, Branch] = field(default_factory=dict)
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    wanted: Wanted = field(default_factory=dict)
    """Accounts that must be there; they are made where they are not."""
    leases: Conditions = ()
    """Conditions on LeaseRow: the leases it moves."""
    fresh: frozenset[str] = frozenset()
    """Ids of requests whose usage this transaction has inserted and has yet to settle."""


def no_lease() -> str:
    """For books that open none."""
    raise RuntimeError("only an exchange opens a lease")


def hold_budgets_still(session: Session) -> None:
    """Let no other book be open until this transaction ends; waits for those that are."""
    session.execute(select(HubRow.id).with_for_update())


def open_book(
    session: Session, now: int, new_lease: Callable[[], str], plan: Callable[[], Plan]
) -> Book:
    """Lock what `plan` asks for and read it. `plan` is asked again when it was overtaken.

    `now` is µs since 1970; `new_lease` names a lease that the book opens.
    """
    # Shared with other books; a change of a budget waits for us, or we see it whole.
    session.execute(select(HubRow.id).with_for_update(read=True, key_share=True))
    while True:
        asked = plan()
        around = {a for lease in read_leases(session, asked.leases) for a in accounts_of(lease)}
        around |= set(asked.wanted)
        accounts = _locked(session, asked, around, now)
        leases = read_leases(session, asked.leases, lock=True)
        if all(around.issuperset(accounts_of(lease)) for lease in leases):
            return Book(
                now=now,
                new_lease=new_lease,
                budgets=asked.budgets,
                branches=asked.branches,
                accounts={account.id: account for account in accounts},
                leases={lease.id: lease for lease in leases},
            )


class Writer:
    """Remembers a book as it was read, to write only what has changed since."""

    def __init__(self, session: Session, book: Book) -> None:
        self._session = session
        self._book = book
        self._accounts = {id_: replace(account) for id_, account in book.accounts.items()}
        self._leases = dict(book.leases)

    def save(self) -> None:
        before, after = self._accounts, self._book.accounts
        changed = [a for id_, a in after.items() if id_ in before and before[id_] != a]
        self._run(
            insert(ACCOUNTS), [account_values(a) for id_, a in after.items() if id_ not in before]
        )
        self._run(
            _UPDATE_ACCOUNT,
            [
                {
                    **_its(a.id),
                    "new_settled": a.settled,
                    "new_leased": a.leased,
                    "new_limit": a.limit,
                }
                for a in changed
            ],
        )
        self._save_leases()

    def _save_leases(self) -> None:
        now = self._book.leases.values()
        moved = [lease_values(lease) for lease in now if self._leases.get(lease.id) != lease]
        self._run(insert(LEASES), [values for values in moved if values["id"] not in self._leases])
        self._run(
            _UPDATE_LEASE,
            [
                {f"new_{name}": values[name] for name in _MOVES}
                | {"whose": values["organisation"], "which": values["id"]}
                for values in moved
                if values["id"] in self._leases
            ],
        )

    def _run(self, statement: Executable, rows: list[dict[str, Any]]) -> None:
        if rows:
            self._session.connection().execute(statement, rows)


def accounts_of(lease: Lease) -> tuple[AccountId, ...]:
    return (*lease.draws, *lease.holds)


def branches(session: Session, keys: Iterable[KeyId]) -> dict[KeyId, Branch]:
    columns = (KeyRow.organisation, KeyRow.project, KeyRow.id, KeyRow.line)
    query = select(*columns).where(KeyRow.id.in_(keys))
    return {
        key: Branch(organisation=organisation, project=project, key=key, line=line)
        for organisation, project, key, line in session.execute(query)
    }


def budgets(session: Session, found: Iterable[Branch]) -> dict[str, Budget]:
    """Budgets of every node of these branches."""
    nodes: set[str] = set()
    organisations: set[str] = set()
    for branch in found:
        nodes.update(branch.nodes())
        organisations.add(branch.organisation)
    return read_budgets(
        session, [BudgetRow.organisation.in_(organisations), BudgetRow.node.in_(nodes)]
    )


def read_budgets(session: Session, conditions: Conditions) -> dict[str, Budget]:
    query = select(BudgetRow).where(*conditions)
    return {row.node: budget_of(row) for row in session.scalars(query)}


def budget_of(row: BudgetRow) -> Budget:
    windows = tuple(Window.model_validate(one) for one in row.windows or ())
    return Budget(row.limit, Period(row.period), row.generation, row.since, windows)


def _locked(session: Session, plan: Plan, ids: set[AccountId], now: int) -> list[Account]:
    """Those of the accounts `ids` that exist, all that are wanted among them, locked root first."""
    if not ids:
        return []
    columns = ACCOUNTS.c
    here = tuple_(columns.organisation, columns.node, columns.generation, columns.period_start).in_(
        [(a.organisation, a.node, a.generation, a.start) for a in ids]
    )
    there = {a.id for a in read_accounts(session, [here])} if plan.wanted else set()
    missing = []
    for id_ in sorted(set(plan.wanted) - there):
        end, limit = plan.wanted[id_]
        past = has_past(id_, plan.budgets)
        used = opening(session, id_, end, plan.fresh) if past else (0, None)
        missing.append(account_values(opened(id_, end, limit, used, now)))
    if missing:
        dialect.insert_new(session.connection(), ACCOUNTS, missing)
    order = (columns.organisation, columns.depth, columns.node, columns.period_start)
    locked = select(ACCOUNTS).where(here).order_by(*order, columns.generation).with_for_update()
    return [account_of(row) for row in session.execute(locked)]


def _its(id_: AccountId) -> dict[str, Any]:
    return {f"its_{name}": value for name, value in identity(id_).items()}


_ITS_ROW = [column == bindparam(f"its_{column.name}") for column in ACCOUNTS.primary_key.columns]
_UPDATE_ACCOUNT = (
    update(ACCOUNTS)
    .where(*_ITS_ROW)
    .values({name: bindparam(f"new_{name}") for name in ("settled", "leased", "limit")})
)
_MOVES = ("until", "draws", "holds", "granted", "returned", "spent", "closed")
_UPDATE_LEASE = (
    update(LEASES)
    .where(LEASES.c.organisation == bindparam("whose"), LEASES.c.id == bindparam("which"))
    .values({name: bindparam(f"new_{name}") for name in _MOVES})
)
