"""The room's front: one object that control opens, with a small service per kind of verb."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from functools import partial

from sqlalchemy import or_, select

from plaza_core import keys
from plaza_core.clock import Clock
from plaza_core.ids import RandomBytes
from plaza_core.keys import NewKey
from plaza_core.names import OPERATING_ORGANISATION, SHARED_PROJECT
from plaza_core.principal import Principal, Right, Role, TenantScope
from plaza_core.sealing import Sealer
from plaza_core.table import HubTable, RateLimit
from plaza_tenancy.access import Access, system_scope
from plaza_tenancy.alerts import Alerts
from plaza_tenancy.aliases import Aliases
from plaza_tenancy.audit import Audit
from plaza_tenancy.budgets import Budgets
from plaza_tenancy.cards import Cards
from plaza_tenancy.certificates import Certificates
from plaza_tenancy.collecting import Collector
from plaza_tenancy.concurrency import Concurrency
from plaza_tenancy.deliveries import Deliveries
from plaza_tenancy.estimates import Estimates
from plaza_tenancy.hosts import Hosts
from plaza_tenancy.idempotency import Idempotency
from plaza_tenancy.indexes import Indexes
from plaza_tenancy.keys import Keys, insert_key
from plaza_tenancy.leases import Leases, amend, settle
from plaza_tenancy.ledger import Ledger
from plaza_tenancy.lifecycle import Lifecycle
from plaza_tenancy.limits import Limits
from plaza_tenancy.members import Members
from plaza_tenancy.organisations import Organisations, Projects, insert_organisation
from plaza_tenancy.prices import Prices
from plaza_tenancy.proposals import Proposals
from plaza_tenancy.records import Records
from plaza_tenancy.rollouts import Rollouts
from plaza_tenancy.schema import KeyRow, OrganisationRow
from plaza_tenancy.search import Search
from plaza_tenancy.sessions import Sessions
from plaza_tenancy.shares import Shares
from plaza_tenancy.snapshot import snapshot, version_at
from plaza_tenancy.store import Change, Store
from plaza_tenancy.visibility import Visibilities
from plaza_tenancy.webhooks import Webhooks


class Tenancy:
    """Everything about tenants. Every method blocks on the database and is thread-safe.

    Opening brings the schema up to date, see `migrate.prepare`. Any method raises Unavailable when
    the database cannot be reached; then nothing was changed.
    """

    def __init__(
        self,
        database_url: str,
        *,
        pepper: bytes,
        clock: Clock,
        random: RandomBytes,
        default_rate: RateLimit,
        vault: bytes | None = None,
        owner_url: str | None = None,
        pool_bytes: int | None = None,
    ) -> None:
        """`vault` is the 256-bit key of secrets that are stored sealed; without it there are no
        webhooks. `owner_url`: see `migrate.prepare`. `pool_bytes`: the most that a replica may
        hold of models; no version that takes more is given traffic."""
        store = Store(database_url, owner_url=owner_url, clock=clock, random=random)
        self._store = store
        self._pepper = pepper
        self._default_rate = default_rate
        self._latest: HubTable | None = None
        self._building = threading.Lock()
        self.access = Access(store, pepper)
        self.organisations = Organisations(store, default_rate)
        self.projects = Projects(store)
        self.keys = Keys(store, pepper)
        self.members = Members(store)
        self.sessions = Sessions(store, pepper)
        self.aliases = Aliases(store, pool_bytes)
        self.records = Records(store, self.aliases)
        self.lifecycle = Lifecycle(store, pool_bytes)
        self.rollouts = Rollouts(store, pool_bytes)
        self.visibility = Visibilities(store)
        self.search = Search(store)
        self.collector = Collector(store)
        self.cards = Cards(store)
        self.certificates = Certificates(store)
        self.proposals = Proposals(store)
        self.ledger = Ledger(store, partial(settle, clock=clock), partial(amend, clock=clock))
        self.audit = Audit(store)
        self.budgets = Budgets(store)
        self.concurrency = Concurrency(store)
        self.limits = Limits(store)
        self.estimates = Estimates(store)
        self.prices = Prices(store)
        self.shares = Shares(store)
        self.leases = Leases(store)
        self.indexes = Indexes(store)
        self.idempotency = Idempotency(store)
        self.hosts = Hosts(store)
        self.webhooks = Webhooks(store, None if vault is None else Sealer(vault, random))
        self.deliveries = Deliveries(store, self.webhooks.secrets_of)
        self.alerts = Alerts(store)

    def close(self) -> None:
        self._store.close()

    def turn(self, name: str) -> AbstractContextManager[bool]:
        """See `Store.turn`."""
        return self._store.turn(name)

    def bootstrap(self) -> NewKey | None:
        """Make the operating organisation with its project, and an admin key for it.

        None when a usable organisation-wide admin key exists. So whoever owns the machine gets in
        again after the last admin key was revoked or has expired: by starting control.
        """
        with self._store.change(system_scope(), "hub.bootstrap", OPERATING_ORGANISATION) as change:
            row = change.session.scalars(
                select(OrganisationRow).filter_by(operator=True)
            ).one_or_none()
            if row is not None and _has_admin(change, row):
                change.nothing_to_do()
                return None
            if row is None:
                row = insert_organisation(
                    change,
                    self._store.random,
                    name=OPERATING_ORGANISATION,
                    title="Operators of this hub",
                    rate=self._default_rate,
                    project=SHARED_PROJECT,
                    operator=True,
                )
            new = keys.issue(self._pepper, self._store.random)
            insert_key(
                change,
                new,
                organisation=row.id,
                project=None,
                role=Role.ADMIN,
                label="first admin",
            )
        return new

    def authenticate(self, text: str) -> Principal:
        """See `Access.authenticate`."""
        return self.access.authenticate(text)

    def scope(
        self,
        principal: Principal,
        right: Right,
        *,
        organisation: str | None = None,
        project: str | None = None,
    ) -> TenantScope:
        """See `Access.scope`."""
        return self.access.scope(principal, right, organisation=organisation, project=project)

    def platform(self, principal: Principal, right: Right) -> TenantScope:
        """See `Access.platform`."""
        return self.access.platform(principal, right)

    def table_version(self) -> str:
        """The `version` that `table()` would have now; one cheap query, for long polls."""
        now = self._store.clock.unix_us()
        with self._store.read_everything() as session:
            return version_at(session, now)

    def table(self) -> HubTable:
        """What replicas need now: models and usable keys of organisations not suspended.

        Built once per version, however many replicas ask.
        """
        now = self._store.clock.unix_us()
        with self._building, self._store.read_everything() as session:
            latest = self._latest
            if latest is None or latest.version != version_at(session, now):
                latest = self._latest = snapshot(session, now)
            return latest


def _has_admin(change: Change, organisation: OrganisationRow) -> bool:
    query = select(KeyRow.id).where(
        KeyRow.organisation == organisation.id,
        KeyRow.project.is_(None),
        KeyRow.role == Role.ADMIN,
        KeyRow.revoked.is_(None),
        or_(KeyRow.expires.is_(None), KeyRow.expires > change.now),
    )
    return change.session.scalars(query).first() is not None
