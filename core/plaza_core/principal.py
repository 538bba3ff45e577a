"""Who asks, and for whose data. Owns roles, the Principal and the TenantScope.

A TenantScope is minted only by `plaza_tenancy.access` from an authenticated principal; every
repository demands one. An architecture test fails when anybody else constructs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from plaza_core.errors import Forbidden
from plaza_core.ids import KeyId, OrganisationId, ProjectId


class Role(StrEnum):
    ADMIN = "admin"
    ENGINEER = "engineer"
    CONSUMER = "consumer"
    AUDITOR = "auditor"


class Right(StrEnum):
    """What a verb needs. Doors name one right per route; a role is a set of rights."""

    INFER = "infer"
    MODELS_READ = "models.read"
    MODELS_WRITE = "models.write"
    MODELS_PUBLISH = "models.publish"
    DOCUMENTS_WRITE = "documents.write"
    KEYS_READ = "keys.read"
    KEYS_WRITE = "keys.write"
    MEMBERS_READ = "members.read"
    MEMBERS_WRITE = "members.write"
    TENANTS_READ = "tenants.read"
    TENANTS_WRITE = "tenants.write"
    USAGE_READ = "usage.read"
    AUDIT_READ = "audit.read"


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.ADMIN: frozenset(Right),
    Role.ENGINEER: frozenset(
        {
            Right.INFER,
            Right.MODELS_READ,
            Right.MODELS_WRITE,
            Right.DOCUMENTS_WRITE,
            Right.USAGE_READ,
            Right.TENANTS_READ,
        }
    ),
    Role.CONSUMER: frozenset({Right.INFER, Right.MODELS_READ, Right.USAGE_READ}),
    Role.AUDITOR: frozenset(
        {
            Right.MODELS_READ,
            Right.KEYS_READ,
            Right.MEMBERS_READ,
            Right.TENANTS_READ,
            Right.USAGE_READ,
            Right.AUDIT_READ,
        }
    ),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated key, or a person by one of their memberships.

    `project` is None for one of the whole organisation. `operator` marks those of the operating
    organisation: only they see and change other tenants.
    """

    key: KeyId
    """Of a person, the id of the membership: what the audit trail names as the actor."""
    organisation: OrganisationId
    organisation_name: str
    project: ProjectId | None
    project_name: str | None
    role: Role
    operator: bool = False

    def require(self, right: Right) -> None:
        """Raise Forbidden unless this principal's role includes `right`."""
        if right not in RIGHTS[self.role]:
            raise Forbidden(f"role '{self.role}' does not include '{right}'")

    def may(self, right: Right) -> bool:
        return right in RIGHTS[self.role]


@dataclass(frozen=True, slots=True)
class TenantScope:
    """Whose rows a repository may touch. `organisation` None means all (operator verbs only)."""

    organisation: OrganisationId | None
    project: ProjectId | None
    actor: str
    """Key id, membership id or system component, written into the audit row."""
