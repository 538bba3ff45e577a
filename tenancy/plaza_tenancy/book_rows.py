"""Rows of accounts and leases as `plaza_core.accounts` has them, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, select
from sqlalchemy.orm import Session

from plaza_core.accounts import Account, AccountId, Lease
from plaza_core.budget import Branch, Period
from plaza_tenancy.schema_budgets import AccountRow, LeaseRow

ACCOUNTS: Table = AccountRow.metadata.tables["accounts"]
LEASES: Table = LeaseRow.metadata.tables["leases"]
Conditions = Sequence[ColumnElement[bool]]


def read_accounts(session: Session, conditions: Conditions) -> list[Account]:
    return [account_of(row) for row in session.execute(select(ACCOUNTS).where(*conditions))]


def read_leases(
    session: Session, conditions: Conditions, *, lock: bool = False, limit: int | None = None
) -> list[Lease]:
    """By organisation and id."""
    if not conditions:
        return []
    query = select(LEASES).where(*conditions).order_by(LEASES.c.organisation, LEASES.c.id)
    query = query.with_for_update() if lock else query
    return [lease_of(row) for row in session.execute(query.limit(limit))]


def account_of(row: Row[Any]) -> Account:
    id_ = AccountId(
        row.organisation,
        row.depth,
        row.node,
        Period(row.period),
        row.period_start,
        row.generation,
    )
    return Account(
        id_, row.period_end, row.limit, row.settled, row.leased, row.opened, row.archived
    )


def account_values(account: Account) -> dict[str, Any]:
    return {
        **identity(account.id),
        "period_end": account.end,
        "period": account.id.period.value,
        "depth": account.id.depth,
        "limit": account.limit,
        "settled": account.settled,
        "leased": account.leased,
        "opened": account.opened,
        "archived": account.archived,
    }


def lease_of(row: Row[Any]) -> Lease:
    def ids(accounts: list[list[Any]]) -> tuple[AccountId, ...]:
        return tuple(
            AccountId(row.organisation, depth, node, Period(period), start, generation)
            for depth, node, period, start, generation in accounts
        )

    return Lease(
        id=row.id,
        branch=Branch(
            organisation=row.organisation, project=row.project, key=row.key, line=row.line
        ),
        replica=row.replica,
        opened=row.opened,
        until=row.until,
        draws=ids(row.draws),
        holds=ids(row.holds),
        granted=row.granted,
        returned=row.returned,
        spent=row.spent,
        closed=row.closed,
        archived=row.archived,
    )


def lease_values(lease: Lease) -> dict[str, Any]:
    return {
        "organisation": lease.branch.organisation,
        "id": lease.id,
        "project": lease.branch.project,
        "key": lease.branch.key,
        "line": lease.branch.line,
        "replica": lease.replica,
        "opened": lease.opened,
        "until": lease.until,
        "draws": [_plain(account) for account in lease.draws],
        "holds": [_plain(account) for account in lease.holds],
        "granted": lease.granted,
        "returned": lease.returned,
        "spent": lease.spent,
        "closed": lease.closed,
        "archived": lease.archived,
    }


def _plain(id_: AccountId) -> list[Any]:
    return [id_.depth, id_.node, id_.period.value, id_.start, id_.generation]


def identity(id_: AccountId) -> dict[str, Any]:
    return {
        "organisation": id_.organisation,
        "node": id_.node,
        "generation": id_.generation,
        "period_start": id_.start,
    }
