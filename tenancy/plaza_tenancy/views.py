"""What the services hand out: frozen records, free of SQL. None of them ever holds a key's MAC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

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
