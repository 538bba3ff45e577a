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
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Session

from plaza_core.book import (
    Account,
    AccountId,
    Book,
    Budget,
    Lease,
    Wanted,
    has_past,
    opened,
)
from plaza_core.budget import Branch, Period
from plaza_core.drift import paid
from plaza_core.ids import KeyId
from plaza_core.windows import Window
from plaza_tenancy import dialect
from plaza_tenancy.schema import HubRow, KeyRow, UsageRow
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
    fresh: frozenset[str] = frozenset()
    """Ids of requests whose usage this transaction has inserted and has yet to settle."""


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
    return read_budgets(
        session, [BudgetRow.organisation.in_(organisations), BudgetRow.node.in_(nodes)]
    )


def read_budgets(session: Session, conditions: Conditions) -> dict[str, Budget]:
    query = select(BudgetRow).where(*conditions)
    return {row.node: budget_of(row) for row in session.scalars(query)}


def budget_of(row: BudgetRow) -> Budget:
    windows = tuple(Window.model_validate(one) for one in row.windows or ())
    return Budget(row.limit, Period(row.period), row.generation, row.since, windows)


def read_accounts(session: Session, conditions: Conditions) -> list[Account]:
    return [_account(row) for row in session.execute(select(ACCOUNTS).where(*conditions))]


def read_leases(session: Session, conditions: Conditions, *, lock: bool = False) -> list[Lease]:
    if not conditions:
        return []
    query = select(LEASES).where(*conditions).order_by(LEASES.c.organisation, LEASES.c.id)
    query = query.with_for_update() if lock else query
    return [_lease(row) for row in session.execute(query)]


def opening(
    session: Session, id_: AccountId, end: int, fresh: frozenset[str] = frozenset()
) -> tuple[int, int | None]:
    """(what the ledger has for an account that is not there yet, when the first of it was).

    Without what leases have paid from other accounts of the same budget, and without `fresh`.
    """
    whose = (UsageRow.organisation, UsageRow.project, UsageRow.key)
    sums = (func.sum(UsageRow.charge), func.min(UsageRow.at_unix_us))
    query = select(*whose, UsageRow.lease, *sums).where(
        UsageRow.organisation == id_.organisation,
        whose[id_.depth] == id_.node,
        UsageRow.at_unix_us >= id_.start,
        UsageRow.at_unix_us < end,
        UsageRow.request_id.not_in(fresh),
    )
    found = session.execute(query.group_by(*whose, UsageRow.lease)).all()
    names = {lease for *_, lease, _charge, _first in found if lease is not None}
    book = Book(0, str)
    if names:
        named = [LEASES.c.organisation == id_.organisation, LEASES.c.id.in_(names)]
        book.leases = {lease.id: lease for lease in read_leases(session, named)}
    counts = [
        (int(charge), first)
        for organisation, project, key, lease, charge, first in found
        if not paid(book, Branch(organisation=organisation, project=project, key=key), lease, id_)
    ]
    return sum(charge for charge, _ in counts), min((at for _, at in counts), default=None)


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
        missing.append(_values(opened(id_, end, limit, used, now)))
    if missing:
        dialect.insert_new(session.connection(), ACCOUNTS, missing)
    order = (columns.organisation, columns.depth, columns.node, columns.period_start)
    locked = select(ACCOUNTS).where(here).order_by(*order, columns.generation).with_for_update()
    return [_account(row) for row in session.execute(locked)]


def _account(row: Row[Any]) -> Account:
    id_ = AccountId(
        row.organisation,
        row.depth,
        row.node,
        Period(row.period),
        row.period_start,
        row.generation,
    )
    return Account(id_, row.period_end, row.limit, row.settled, row.leased, row.opened)


def _values(account: Account) -> dict[str, Any]:
    return {
        **_identity(account.id),
        "period_end": account.end,
        "period": account.id.period.value,
        "depth": account.id.depth,
        "limit": account.limit,
        "settled": account.settled,
        "leased": account.leased,
        "opened": account.opened,
    }


def _lease(row: Row[Any]) -> Lease:
    def ids(accounts: list[list[Any]]) -> tuple[AccountId, ...]:
        return tuple(
            AccountId(row.organisation, depth, node, Period(period), start, generation)
            for depth, node, period, start, generation in accounts
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
        "draws": [_plain(account) for account in lease.draws],
        "holds": [_plain(account) for account in lease.holds],
        "granted": lease.granted,
        "returned": lease.returned,
        "spent": lease.spent,
        "closed": lease.closed,
    }


def _plain(id_: AccountId) -> list[Any]:
    return [id_.depth, id_.node, id_.period.value, id_.start, id_.generation]


def _identity(id_: AccountId) -> dict[str, Any]:
    return {
        "organisation": id_.organisation,
        "node": id_.node,
        "generation": id_.generation,
        "period_start": id_.start,
    }


def _its(id_: AccountId) -> dict[str, Any]:
    return {f"its_{name}": value for name, value in _identity(id_).items()}


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
