"""What the services hand out: frozen records, free of SQL. None of them ever holds a key's MAC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from plaza_core.budget import Period, Price
from plaza_core.held import Held
from plaza_core.ids import KeyId, OrganisationId, ProjectId
from plaza_core.inference import UsageRecord
from plaza_core.principal import Principal, Role
from plaza_core.running import Examination
from plaza_core.table import RateLimit, VersionEntry


@dataclass(frozen=True, slots=True)
class Organisation:
    id: OrganisationId
    name: str
    title: str
    operator: bool
    """The one organisation whose admins run the hub."""
    suspended: bool
    rate: RateLimit
    created_unix_us: int


@dataclass(frozen=True, slots=True)
class Project:
    id: ProjectId
    organisation: OrganisationId
    organisation_name: str
    name: str
    rate: RateLimit | None
    created_unix_us: int


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key without its secret."""

    id: KeyId
    organisation: OrganisationId
    organisation_name: str
    project: ProjectId | None
    project_name: str | None
    role: Role
    label: str
    rate: RateLimit | None
    created_unix_us: int
    expires_unix_us: int | None
    revoked_unix_us: int | None
    last_used_unix_us: int | None
    replaces: KeyId | None = None
    """The key in whose place this one was made, by rotation."""
    replaced_by: KeyId | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A person's role at one node. `issuer` and `subject` are None until their first login."""

    id: KeyId
    organisation: OrganisationId
    organisation_name: str
    project: ProjectId | None
    project_name: str | None
    email: str
    role: Role
    issuer: str | None
    subject: str | None
    created_unix_us: int
    joined_unix_us: int | None
    removed_unix_us: int | None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom the OpenID provider knows. Issuer and subject together never change."""

    issuer: str
    subject: str
    email: str
    """As the provider told it at login; verified."""


@dataclass(frozen=True, slots=True)
class NewSession:
    """`text` goes into the browser's cookie and is kept nowhere here."""

    id: str
    text: str = field(repr=False)
    expires_unix_us: int


@dataclass(frozen=True, slots=True)
class Login:
    """A valid session: who it is, what they may be here, and the token their changes must carry."""

    session: str
    person: Person
    csrf: str = field(repr=False)
    expires_unix_us: int
    memberships: tuple[Principal, ...]
    """Of organisations that are not suspended; by organisation, the whole one before projects."""


class Dimension(StrEnum):
    """What a usage report may be broken down by. Times are UTC."""

    ORGANISATION = "organisation"
    PROJECT = "project"
    KEY = "key"
    MODEL = "model"
    PROVIDER = "provider"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class Kind(StrEnum):
    """What an entry of the ledger is."""

    USE = "use"
    """One admitted request."""
    CORRECTION = "correction"
    """A signed amount that an operator added, with a reason."""
    LOSS = "loss"
    """What a lease held when its replica was lost for good; charged in full."""


@dataclass(frozen=True, slots=True)
class UsageSum:
    """Sums over the records of one group. Ids of the group are None where it was not broken down.

    `labels` maps a dimension to a name for people: organisation, project and model name, key label.
    Hours, days and months are their own names: `2026-11-21T10`, `2026-11-21`, `2026-11`.
    """

    group: Mapping[Dimension, str | None]
    labels: Mapping[Dimension, str]
    requests: int
    answered: int
    """Requests whose outcome was `ok`."""
    rows: int
    compute_us: int
    host_us: int
    charge: int
    """Compute units billed, corrections included."""
    overrun: int
    """Compute units used beyond reserves; nobody is billed for them."""


@dataclass(frozen=True, slots=True)
class UsagePage:
    """Requests oldest first; `next` continues after the last one, None at the end."""

    records: list[UsageRecord]
    next: str | None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One administrative change; `id` grows with time over the whole hub."""

    id: int
    at_unix_us: int
    actor: str
    organisation: OrganisationId
    organisation_name: str
    project: ProjectId | None
    action: str
    """`noun.verb`, such as `key.revoke`."""
    target: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    sequence: int
    """Its place in the chain of its organisation."""
    previous: str
    digest: str


@dataclass(frozen=True, slots=True)
class VersionDetails:
    """One version with all that two can be compared by."""

    model: str
    """Full wire name."""
    entry: VersionEntry
    card: str
    examination: Examination


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the ledger. Everything beyond `record` is empty for a request."""

    record: UsageRecord
    kind: Kind
    reason: str | None = None
    actor: str | None = None
    refers: str | None = None
    """The request id or the period (`2026-11`) that a correction is about."""


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What verifying one organisation's chain found. `links` are batches or audit rows."""

    organisation: OrganisationId
    links: int
    """How many were recomputed and fit."""
    anchor: int
    """Where the chain begins now: what came before was dropped. 0: nothing was."""
    sequence: int
    """The last link that the head knows of."""
    digest: str
    """The head's digest: whoever wrote it down earlier can compare."""
    broken: int | None
    """The sequence of the first link that does not fit; None: the whole chain holds."""
    why: str | None

    @property
    def intact(self) -> bool:
        return self.broken is None


@dataclass(frozen=True, slots=True)
class Drift:
    """One group of an hour in which the stored sums differ from the rows: stored − rows."""

    organisation: OrganisationId
    hour_unix_us: int
    project: str | None
    key: str
    model: str
    version: int
    provider: str
    requests: int
    answered: int
    rows: int
    compute_us: int
    host_us: int
    charge: int
    overrun: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """What retention took from one organisation's books."""

    organisation: OrganisationId
    batches: int
    entries: int
    anchor: int
    """The last batch that was dropped; the chain begins after it."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one node may spend in the current period, and how it stands. Compute units."""

    node: str
    """Id of the organisation, project or key."""
    kind: str
    """`organisation`, `project` or `key`."""
    organisation_name: str
    project_name: str | None
    label: str | None
    """A key's label."""
    limit: int | None
    """None counts without limiting."""
    period: Period
    period_start_unix_us: int
    period_end_unix_us: int | None
    """None: never."""
    settled: int
    """Used and in the ledger."""
    leased: int
    """Held by replicas: in use, or ready to be."""
    remaining: int | None
    runs_out_unix_us: int | None
    """When it will be used up if spending goes on as in this period; None: it will last."""
    usual: int | None = None
    """The limit of periods that no window of the calendar is about."""
    windows: tuple[Mapping[str, Any], ...] = ()
    """The calendar, see `plaza_core.windows`."""


@dataclass(frozen=True, slots=True)
class PriceInfo:
    """A price and, for people, the name of its model."""

    price: Price
    model_name: str | None
    """`organisation.project.model`."""


@dataclass(frozen=True, slots=True)
class ShareInfo:
    """What an organisation is guaranteed of every pool, and how far it may borrow beyond."""

    organisation: OrganisationId
    organisation_name: str
    weight: int
    borrow_percent: int | None
    """Of its own share; None: no limit."""


@dataclass(frozen=True, slots=True)
class Holding:
    what: Held
    used: int
    limit: int | None
    """None: as many as it likes."""


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """Every limit of one node that is no budget."""

    node: str
    kind: str
    """`organisation`, `project` or `key`."""
    name: str
    """Of a key, its label."""
    project_name: str | None
    rate: RateLimit | None
    """None: no limit of its own."""
    concurrency: int | None
    priority: int | None
    """Of keys."""
    holdings: tuple[Holding, ...]
    """Of organisations and projects."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one request takes: µs of device and host time, rows, and where."""

    device_us: int
    host_us: int = 0
    rows: int = 1
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """How many requests of one cost are left. Compute units."""

    cost: int
    """Of one request."""
    seen: int
    """From how many requests the cost is a mean; 0: priced from given figures."""
    remaining: int | None
    """The least that remains from the node up to its organisation; None: no limit."""
    node: str | None
    """Whose budget that is."""
    requests: int | None
    """None: no limit, or they cost nothing."""
