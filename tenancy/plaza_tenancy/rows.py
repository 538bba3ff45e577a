"""From rows to what services hand out, and which rows a scope owns."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement

from plaza_core.errors import InvalidInput
from plaza_core.ids import KeyId, OrganisationId
from plaza_core.principal import Role, TenantScope
from plaza_core.running import Examination
from plaza_core.table import RateLimit
from plaza_tenancy.schema import (
    AuditRow,
    KeyRow,
    MemberRow,
    ModelRow,
    OrganisationRow,
    ProjectRow,
    UsageHourRow,
    UsageRow,
)
from plaza_tenancy.schema_budgets import BudgetRow
from plaza_tenancy.views import KeyInfo, Member, Organisation, Project

Owned = (
    type[KeyRow]
    | type[MemberRow]
    | type[ModelRow]
    | type[UsageRow]
    | type[UsageHourRow]
    | type[AuditRow]
    | type[BudgetRow]
)


def owned(scope: TenantScope, rows: Owned) -> list[ColumnElement[bool]]:
    """The conditions that keep a query inside its scope."""
    conditions: list[ColumnElement[bool]] = []
    if scope.organisation is not None:
        conditions.append(rows.organisation == scope.organisation)
    if scope.project is not None:
        conditions.append(rows.project == scope.project)
    return conditions


def one_organisation(scope: TenantScope) -> OrganisationId:
    """For verbs that make something: a platform scope has no one place to make it in."""
    if scope.organisation is None:
        raise InvalidInput("name the organisation that this is for", input="organisation")
    return scope.organisation


def rate_of(row: OrganisationRow | ProjectRow | KeyRow) -> RateLimit | None:
    if row.rate_per_second is None or row.rate_burst is None:
        return None
    return RateLimit(per_second=row.rate_per_second, burst=row.rate_burst)


def set_rate(row: ProjectRow | KeyRow, rate: RateLimit | None) -> None:
    row.rate_per_second = None if rate is None else rate.per_second
    row.rate_burst = None if rate is None else rate.burst


def rate_facts(rate: RateLimit | None) -> dict[str, Any]:
    """For the audit row."""
    return {"rate": None if rate is None else rate.model_dump()}


def organisation_view(row: OrganisationRow) -> Organisation:
    return Organisation(
        id=row.id,
        name=row.name,
        title=row.title,
        operator=row.operator,
        suspended=row.suspended,
        rate=RateLimit(per_second=row.rate_per_second, burst=row.rate_burst),
        created_unix_us=row.created,
    )


def project_view(row: ProjectRow, organisation_name: str) -> Project:
    return Project(
        id=row.id,
        organisation=row.organisation,
        organisation_name=organisation_name,
        name=row.name,
        rate=rate_of(row),
        created_unix_us=row.created,
    )


def key_view(
    row: KeyRow,
    organisation_name: str,
    project_name: str | None,
    replaces: KeyId | None = None,
    replaced_by: KeyId | None = None,
) -> KeyInfo:
    return KeyInfo(
        id=row.id,
        organisation=row.organisation,
        organisation_name=organisation_name,
        project=row.project,
        project_name=project_name,
        role=Role(row.role),
        label=row.label,
        rate=rate_of(row),
        created_unix_us=row.created,
        expires_unix_us=row.expires,
        revoked_unix_us=row.revoked,
        last_used_unix_us=row.last_used,
        replaces=replaces,
        replaced_by=replaced_by,
    )


def member_view(row: MemberRow, organisation_name: str, project_name: str | None) -> Member:
    return Member(
        id=row.id,
        organisation=row.organisation,
        organisation_name=organisation_name,
        project=row.project,
        project_name=project_name,
        email=row.email,
        role=Role(row.role),
        issuer=row.issuer,
        subject=row.subject,
        created_unix_us=row.created,
        joined_unix_us=row.bound,
        removed_unix_us=row.removed,
    )


def examination_facts(found: Examination) -> dict[str, Any]:
    """As it is kept with a version."""
    return {
        "passed": found.passed,
        "reason": found.reason,
        "provider": found.provider,
        "runtime": found.runtime,
        "nodes": dict(found.nodes),
        "peak_bytes": found.peak_bytes,
        "run_us": found.run_us,
        "rule": found.rule,
        "node": found.node,
    }
