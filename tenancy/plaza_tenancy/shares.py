"""What organisations are guaranteed of every pool, and how far they may borrow beyond it.

An organisation without a row has weight 1 and borrows without limit.
"""

from __future__ import annotations

import builtins

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from plaza_core.budget import ShareEntry
from plaza_core.errors import InvalidInput
from plaza_core.principal import TenantScope
from plaza_tenancy.nodes import Kind, Node, demand_platform, find
from plaza_tenancy.schema import OrganisationRow
from plaza_tenancy.schema_budgets import ShareRow
from plaza_tenancy.store import Store
from plaza_tenancy.views import ShareInfo

_WEIGHTS = range(1, 1001)
_MOST_PERCENT = 1_000_000


class Shares:
    """Changes need a platform scope."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def set(
        self, scope: TenantScope, organisation: str, *, weight: int, borrow_percent: int | None
    ) -> ShareInfo:
        """Raises NotFound, InvalidInput. `borrow_percent` None: no limit."""
        demand_platform(scope)
        if weight not in _WEIGHTS:
            raise InvalidInput("a weight is a whole number from 1 to 1000", input="weight")
        if borrow_percent is not None and not 0 <= borrow_percent <= _MOST_PERCENT:
            raise InvalidInput("a percentage from 0 on", input="borrow_percent")
        with self._store.change(scope, "share.set", organisation) as change:
            found = find(change.session, scope, Node(Kind.ORGANISATION, organisation))
            change.organisation = found.organisation
            row = change.session.get(ShareRow, found.organisation)
            wanted = {"weight": weight, "borrow_percent": borrow_percent}
            before = (
                {"weight": 1, "borrow_percent": None}
                if row is None
                else {"weight": row.weight, "borrow_percent": row.borrow_percent}
            )
            change.before, change.after = before, wanted
            if before == wanted:
                change.nothing_to_do()
            if row is None:
                row = ShareRow(organisation=found.organisation)
                change.session.add(row)
            row.weight, row.borrow_percent = weight, borrow_percent
        return ShareInfo(found.organisation, organisation, weight, borrow_percent)

    def list(self, scope: TenantScope) -> builtins.list[ShareInfo]:
        """Of every organisation for a platform scope, else of the scope's own; by name."""
        query = (
            select(
                OrganisationRow.id,
                OrganisationRow.name,
                func.coalesce(ShareRow.weight, 1),
                ShareRow.borrow_percent,
            )
            .outerjoin(ShareRow, ShareRow.organisation == OrganisationRow.id)
            .order_by(OrganisationRow.name)
        )
        if scope.organisation is not None:
            query = query.where(OrganisationRow.id == scope.organisation)
        with self._store.read(scope) as session:
            return [ShareInfo(*row) for row in session.execute(query)]


def read_shares(session: Session) -> list[ShareEntry]:
    query = select(ShareRow).order_by(ShareRow.organisation)
    return [
        ShareEntry(
            organisation=row.organisation, weight=row.weight, borrow_percent=row.borrow_percent
        )
        for row in session.scalars(query)
    ]
