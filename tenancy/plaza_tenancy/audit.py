"""Reading the audit trail. Rows are written by `store.Store.change`, nowhere else."""

from __future__ import annotations

from plaza_core.principal import TenantScope
from plaza_tenancy.views import AuditEntry


class Audit:
    def list(
        self, scope: TenantScope, *, before: int | None = None, limit: int = 100
    ) -> list[AuditEntry]:
        """Newest first; `before` is the id of the last entry of the page before."""
        raise NotImplementedError
