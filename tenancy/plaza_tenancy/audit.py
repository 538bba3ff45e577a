"""Reading and verifying the audit trail. Rows are written by `store.Store.change`, nowhere else."""

from __future__ import annotations

import builtins

from sqlalchemy import select

from plaza_core.principal import TenantScope
from plaza_tenancy import audit_chain
from plaza_tenancy.rows import owned
from plaza_tenancy.schema import AuditRow, OrganisationRow
from plaza_tenancy.store import Store
from plaza_tenancy.views import AuditEntry, ChainReport


class Audit:
    def __init__(self, store: Store) -> None:
        self._store = store

    def list(
        self, scope: TenantScope, *, before: int | None = None, limit: int = 100
    ) -> list[AuditEntry]:
        """Newest first; `before` is the id of the last entry of the page before."""
        query = (
            select(AuditRow, OrganisationRow.name)
            .join(OrganisationRow, OrganisationRow.id == AuditRow.organisation)
            .where(*owned(scope, AuditRow))
            .order_by(AuditRow.id.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(AuditRow.id < before)
        with self._store.read(scope) as session:
            return [_view(row, name) for row, name in session.execute(query)]

    def verify(self, scope: TenantScope) -> builtins.list[ChainReport]:
        """Recompute the trails of the scope's organisations. See `audit_chain.verify`."""
        return audit_chain.verify(self._store, scope)


def _view(row: AuditRow, organisation_name: str) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at_unix_us=row.at,
        actor=row.actor,
        organisation=row.organisation,
        organisation_name=organisation_name,
        project=row.project,
        action=row.action,
        target=row.target,
        before=row.before,
        after=row.after,
        sequence=row.sequence,
        previous=row.previous,
        digest=row.digest,
    )
