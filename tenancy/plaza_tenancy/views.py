"""What the services hand out: frozen records, free of SQL. None of them ever holds a key's MAC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from plaza_core.budget import Period, Price
from plaza_core.ids import KeyId, OrganisationId, ProjectId
from plaza_core.inference import UsageRecord
from plaza_core.principal import Role
from plaza_core.table import RateLimit


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


class Dimension(StrEnum):
    """What a usage report may be broken down by."""

    ORGANISATION = "organisation"
    PROJECT = "project"
    KEY = "key"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class UsageSum:
    """Sums over the records of one group. Ids of the group are None where it was not broken down.

    `labels` maps a dimension to a name for people: organisation, project and model name, key label.
    """

    group: Mapping[Dimension, str | None]
    labels: Mapping[Dimension, str]
    requests: int
    answered: int
    """Requests whose outcome was `ok`."""
    rows: int
    compute_us: int
    host_us: int


@dataclass(frozen=True, slots=True)
class UsagePage:
    """Records oldest first; `next` continues after the last one, None at the end."""

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
