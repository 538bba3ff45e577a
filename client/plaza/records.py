"""What the admin API tells of: models, organisations, keys, usage, audit. Frozen values.

Times are microseconds since 1970 UTC. Fields that a newer hub adds are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Model:
    """A model that the key may call. `aliases` maps a movable name to a version."""

    id: str
    name: str
    organisation_name: str
    project_name: str
    visibility: str
    versions: list[Mapping[str, Any]] = field(repr=False)
    aliases: Mapping[str, int]
    addresses: list[Mapping[str, Any]] = field(default_factory=list)
    """Of one that was shown, not listed: `pool`, `path`, `grpc_port` and `live` of each pool that
    serves it. Calls at the hub's one address find it too, by way of a hop between pools."""

    @property
    def full_name(self) -> str:
        return f"{self.organisation_name}.{self.project_name}.{self.name}"


@dataclass(frozen=True, slots=True)
class Version:
    version: int
    digest: str
    family: str
    created_unix_us: int
    card: str = field(repr=False)
    state: str = "examined"
    lineage: Mapping[str, Any] | None = None
    """Where it comes from: `run`, `experiment`, `source`, `artifacts`, `user`, `metrics`."""
    refusal: str | None = None
    """Why its last examination failed, with rule and node."""


@dataclass(frozen=True, slots=True)
class Registered:
    """`created` is False when the same bundle was a version already; `tracked`: MLflow knows of it,
    else `why_not_tracked`. `lineage`: of an imported one, where it comes from. Replicas in
    `waiting_for` do not know it yet; `failed_on` maps those that could not open it to a code."""

    model: str
    name: str
    version: int
    digest: str
    created: bool
    tracked: bool
    examination: Mapping[str, Any]
    why_not_tracked: str | None = None
    lineage: Mapping[str, Any] | None = None
    published_on: list[str] = field(default_factory=list)
    waiting_for: list[str] = field(default_factory=list)
    failed_on: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Promotion:
    """An alias has moved. Replicas in `waiting_for` still answer with the version before;
    `failed_on` maps those that could not load the new one to an error code."""

    model: str
    alias: str
    version: int | None
    published_on: list[str]
    waiting_for: list[str]
    failed_on: Mapping[str, str] = field(default_factory=dict)
    rollout: str | None = None
    """The rollout that began."""


@dataclass(frozen=True, slots=True)
class WhoAmI:
    key: str
    organisation_name: str
    project_name: str | None
    role: str
    operator: bool
    rights: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Organisation:
    id: str
    name: str
    title: str
    suspended: bool
    rate: Mapping[str, Any] | None
    created_unix_us: int


@dataclass(frozen=True, slots=True)
class Project:
    id: str
    name: str
    organisation_name: str
    created_unix_us: int
    rate: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """`key` is told this once and kept nowhere."""

    id: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewLogin:
    """`token` is used like a key, for administration, until the login ends."""

    token: str = field(repr=False)
    expires_unix_us: int


@dataclass(frozen=True, slots=True)
class Key:
    id: str
    role: str
    label: str
    project_name: str | None
    created_unix_us: int
    expires_unix_us: int | None
    revoked_unix_us: int | None
    last_used_unix_us: int | None = None
    rate: Mapping[str, Any] | None = None
    replaces: str | None = None
    replaced_by: str | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A person's role. `joined_unix_us` is None until they have logged in."""

    id: str
    email: str
    role: str
    organisation_name: str
    project_name: str | None
    created_unix_us: int
    joined_unix_us: int | None
    removed_unix_us: int | None


@dataclass(frozen=True, slots=True)
class Usage:
    """Sums over one group. `compute_us` is device time × the provider's weight; `charge` what was
    billed of it, corrections included, and `overrun` what nobody is billed for."""

    group: Mapping[str, str | None]
    labels: Mapping[str, str]
    requests: int
    answered: int
    rows: int
    compute_us: int
    host_us: int
    charge: int = 0
    overrun: int = 0


@dataclass(frozen=True, slots=True)
class AuditEntry:
    id: int
    at_unix_us: int
    actor: str
    organisation_name: str
    action: str
    target: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Status:
    """How the hub is. `outbox_pending`: changes that MLflow has yet to hear of, `mlflow` says since
    when, and why; `budget_drift`: numbers of budgets that are not what their rows add up to, None
    before anybody looked."""

    table_version: str
    outbox_pending: int
    ray: Mapping[str, Any]
    pools: list[Mapping[str, Any]]
    replicas: list[Mapping[str, Any]]
    budget_drift: int | None = None
    mlflow: Mapping[str, Any] = field(default_factory=dict)


def record(kind: type[T], document: Mapping[str, Any]) -> T:
    """A `kind` from a JSON object. Raises TypeError when a field without a default is missing."""
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]  # only dataclasses come here
    return kind(**{name: value for name, value in document.items() if name in known})
