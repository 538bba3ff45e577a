"""A `plaza_core.book.Book` of rows: the part one transaction needs, locked, and written back.

Row locks are taken in one order everywhere: the heads of the ledger (by who posts to it), then the
hub (shared; who changes a budget holds it alone, so budgets stand still, and other changes go on
beside), then missing accounts are inserted, then accounts are locked root before leaf, then leases.
A lease opened between reading what to lock and holding it shows by accounts that
were not locked; then all is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Executable,
    Row,
    Table,
    bindparam,
    delete,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Session

from plaza_core.book import Account, AccountId, Book, Budget, Lease, Wanted
from plaza_core.budget import Branch, Period
from plaza_core.ids import KeyId
from plaza_tenancy import dialect
from plaza_tenancy.schema import HubRow, KeyRow
from plaza_tenancy.schema_budgets import AccountRow, BudgetRow, LeaseRow

ACCOUNTS: Table = AccountRow.metadata.tables["accounts"]
LEASES: Table = LeaseRow.metadata.tables["leases"]
Conditions = Sequence[ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a transaction is about, read before anything is locked."""

    branches: Mapping[KeyId, Branch] = field(default_factory=dict)
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    wanted: Wanted = field(default_factory=dict)
    """Accounts that must be there; they are made where they are not."""
    leases: Conditions = ()
    """Conditions on LeaseRow: the leases it moves."""


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
        accounts = _locked(session, asked.wanted, around, now)
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
        self._run(_DELETE_ACCOUNT, [_its(id_) for id_ in before if id_ not in after])
        self._run(insert(ACCOUNTS), [_values(a) for id_, a in after.items() if id_ not in before])
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
        moved = [_lease_values(lease) for lease in now if self._leases.get(lease.id) != lease]
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
    query = select(KeyRow.organisation, KeyRow.project, KeyRow.id).where(KeyRow.id.in_(keys))
    return {
        key: Branch(organisation=organisation, project=project, key=key)
        for organisation, project, key in session.execute(query)
    }


def budgets(session: Session, found: Iterable[Branch]) -> dict[str, Budget]:
    """Budgets of every node of these branches."""
    nodes: set[str] = set()
    organisations: set[str] = set()
    for branch in found:
        nodes.update(branch.nodes())
        organisations.add(branch.organisation)
    query = select(BudgetRow.node, BudgetRow.limit, BudgetRow.period).where(
        BudgetRow.organisation.in_(organisations), BudgetRow.node.in_(nodes)
    )
    return {node: Budget(limit, Period(period)) for node, limit, period in session.execute(query)}


def read_accounts(session: Session, conditions: Conditions) -> list[Account]:
    return [_account(row) for row in session.execute(select(ACCOUNTS).where(*conditions))]


def read_leases(session: Session, conditions: Conditions, *, lock: bool = False) -> list[Lease]:
    if not conditions:
        return []
    query = select(LEASES).where(*conditions).order_by(LEASES.c.organisation, LEASES.c.id)
    query = query.with_for_update() if lock else query
    return [_lease(row) for row in session.execute(query)]


def _locked(session: Session, wanted: Wanted, ids: set[AccountId], now: int) -> list[Account]:
    """Those of the accounts `ids` that exist, all of `wanted` among them, locked root first."""
    if not ids:
        return []
    columns = ACCOUNTS.c
    here = tuple_(columns.organisation, columns.node, columns.period, columns.period_start).in_(
        [(a.organisation, a.node, a.period.value, a.start) for a in ids]
    )
    there = {account.id for account in read_accounts(session, [here])} if wanted else set()
    missing = sorted(set(wanted) - there)
    if missing:
        rows = [_values(Account(id_, *wanted[id_], opened=now)) for id_ in missing]
        dialect.insert_new(session.connection(), ACCOUNTS, rows)
    order = (columns.organisation, columns.depth, columns.node, columns.period)
    locked = select(ACCOUNTS).where(here).order_by(*order, columns.period_start).with_for_update()
    return [_account(row) for row in session.execute(locked)]


def _account(row: Row[Any]) -> Account:
    id_ = AccountId(row.organisation, row.depth, row.node, Period(row.period), row.period_start)
    return Account(id_, row.period_end, row.limit, row.settled, row.leased, row.opened)


def _values(account: Account) -> dict[str, Any]:
    return {
        **_identity(account.id),
        "period_end": account.end,
        "depth": account.id.depth,
        "limit": account.limit,
        "settled": account.settled,
        "leased": account.leased,
        "opened": account.opened,
    }


def _lease(row: Row[Any]) -> Lease:
    def ids(accounts: list[list[Any]]) -> tuple[AccountId, ...]:
        return tuple(
            AccountId(row.organisation, depth, node, Period(period), start)
            for depth, node, period, start in accounts
        )

    return Lease(
        id=row.id,
        branch=Branch(organisation=row.organisation, project=row.project, key=row.key),
        replica=row.replica,
        opened=row.opened,
        until=row.until,
        draws=ids(row.draws),
        holds=ids(row.holds),
        granted=row.granted,
        returned=row.returned,
        spent=row.spent,
        closed=row.closed,
    )


def _lease_values(lease: Lease) -> dict[str, Any]:
    return {
        "organisation": lease.branch.organisation,
        "id": lease.id,
        "project": lease.branch.project,
        "key": lease.branch.key,
        "replica": lease.replica,
        "opened": lease.opened,
        "until": lease.until,
        "draws": [[a.depth, a.node, a.period.value, a.start] for a in lease.draws],
        "holds": [[a.depth, a.node, a.period.value, a.start] for a in lease.holds],
        "granted": lease.granted,
        "returned": lease.returned,
        "spent": lease.spent,
        "closed": lease.closed,
    }


def _identity(id_: AccountId) -> dict[str, Any]:
    return {
        "organisation": id_.organisation,
        "node": id_.node,
        "period": id_.period.value,
        "period_start": id_.start,
    }


def _its(id_: AccountId) -> dict[str, Any]:
    return {f"its_{name}": value for name, value in _identity(id_).items()}


_ITS_ROW = [column == bindparam(f"its_{column.name}") for column in ACCOUNTS.primary_key.columns]
_DELETE_ACCOUNT = delete(ACCOUNTS).where(*_ITS_ROW)
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
