"""The room's front: one object that control opens, with a small service per kind of verb."""

from __future__ import annotations

from plaza_core.clock import Clock
from plaza_core.ids import RandomBytes
from plaza_core.keys import NewKey
from plaza_core.principal import Principal, Right, TenantScope
from plaza_core.table import HubTable, RateLimit
from plaza_tenancy.access import Access
from plaza_tenancy.audit import Audit
from plaza_tenancy.keys import Keys
from plaza_tenancy.ledger import Ledger
from plaza_tenancy.organisations import Organisations, Projects
from plaza_tenancy.records import Records


class Tenancy:
    """Everything about tenants. Every method blocks on the database and is thread-safe.

    Opening brings the schema up to date. Any method raises Unavailable when the database cannot be
    reached; then nothing was changed.
    """

    access: Access
    organisations: Organisations
    projects: Projects
    keys: Keys
    records: Records
    ledger: Ledger
    audit: Audit

    def __init__(
        self,
        database_url: str,
        *,
        pepper: bytes,
        clock: Clock,
        random: RandomBytes,
        default_rate: RateLimit,
    ) -> None:
        raise NotImplementedError

    def bootstrap(self) -> NewKey | None:
        """Make the operating organisation with its project, and an admin key for it.

        None when a usable organisation-wide admin key exists. So whoever owns the machine gets in
        again after all admin keys were lost, by revoking none and restarting.
        """
        raise NotImplementedError

    def authenticate(self, text: str) -> Principal:
        """See `Access.authenticate`."""
        raise NotImplementedError

    def scope(
        self,
        principal: Principal,
        right: Right,
        *,
        organisation: str | None = None,
        project: str | None = None,
    ) -> TenantScope:
        """See `Access.scope`."""
        raise NotImplementedError

    def platform(self, principal: Principal, right: Right) -> TenantScope:
        """See `Access.platform`."""
        raise NotImplementedError

    def table(self) -> HubTable:
        """What replicas need now: models and usable keys of organisations that are not suspended."""
        raise NotImplementedError

    def table_version(self) -> str:
        """The `version` that `table()` would have now; one cheap query, for long polls."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
