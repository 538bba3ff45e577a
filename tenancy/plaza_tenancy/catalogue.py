"""Reading models with their versions and aliases, as one entry each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from plaza_core.ids import ModelId, OrganisationId, ProjectId
from plaza_core.manifest import Manifest
from plaza_core.principal import TenantScope
from plaza_core.table import FileEntry, ModelEntry, VersionEntry, Visibility
from plaza_tenancy.schema import AliasRow, ModelRow, OrganisationRow, ProjectRow, VersionRow

Conditions = Sequence[ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Head:
    """A model's place in the tree, without its versions: enough to resolve a wire name."""

    id: ModelId
    name: str
    organisation: OrganisationId
    organisation_name: str
    project: ProjectId
    project_name: str
    visibility: Visibility
    shared_with: tuple[OrganisationId, ...] = ()


def visible_to(scope: TenantScope) -> list[ColumnElement[bool]]:
    """Conditions on ModelRow and OrganisationRow; the same rule as `plaza_core.names.distance`."""
    if scope.organisation is None:
        return []
    mine = ModelRow.organisation == scope.organisation
    if scope.project is not None:
        shared = ModelRow.visibility != Visibility.PROJECT
        mine = and_(mine, or_(ModelRow.project == scope.project, shared))
    public = and_(ModelRow.visibility == Visibility.PUBLIC, OrganisationRow.suspended.is_(False))
    return [or_(mine, public)]


def heads(session: Session, conditions: Conditions) -> list[Head]:
    """Models by organisation, project and name."""
    query = (
        select(ModelRow, OrganisationRow.name, ProjectRow.name)
        .join(OrganisationRow, OrganisationRow.id == ModelRow.organisation)
        .join(
            ProjectRow,
            and_(
                ProjectRow.organisation == ModelRow.organisation, ProjectRow.id == ModelRow.project
            ),
        )
        .where(*conditions)
        .order_by(OrganisationRow.name, ProjectRow.name, ModelRow.name)
    )
    return [
        Head(
            id=row.id,
            name=row.name,
            organisation=row.organisation,
            organisation_name=organisation_name,
            project=row.project,
            project_name=project_name,
            visibility=Visibility(row.visibility),
        )
        for row, organisation_name, project_name in session.execute(query)
    ]


def entries(session: Session, conditions: Conditions) -> list[ModelEntry]:
    """Models that meet `conditions`, each with all its versions and aliases."""
    versions: dict[ModelId, list[VersionEntry]] = defaultdict(list)
    query = (
        select(VersionRow)
        .join(ModelRow, _same_model(VersionRow))
        .join(OrganisationRow, OrganisationRow.id == ModelRow.organisation)
        .where(*conditions)
        .order_by(VersionRow.version)
    )
    for row in session.scalars(query):
        versions[row.model].append(_version_entry(row))
    aliases: dict[ModelId, dict[str, int]] = defaultdict(dict)
    named = (
        select(AliasRow)
        .join(ModelRow, _same_model(AliasRow))
        .join(OrganisationRow, OrganisationRow.id == ModelRow.organisation)
        .where(*conditions)
        .order_by(AliasRow.alias)
    )
    for alias in session.scalars(named):
        aliases[alias.model][alias.alias] = alias.version
    return [
        ModelEntry(
            id=head.id,
            name=head.name,
            organisation=head.organisation,
            organisation_name=head.organisation_name,
            project=head.project,
            project_name=head.project_name,
            visibility=head.visibility,
            versions=versions[head.id],
            aliases=aliases[head.id],
        )
        for head in heads(session, conditions)
    ]


def _same_model(rows: type[VersionRow] | type[AliasRow]) -> ColumnElement[bool]:
    return and_(ModelRow.organisation == rows.organisation, ModelRow.id == rows.model)


def _version_entry(row: VersionRow) -> VersionEntry:
    return VersionEntry(
        version=row.version,
        digest=row.digest,
        manifest=Manifest.model_validate(row.manifest),
        files=[FileEntry.model_validate(file) for file in row.files],
    )
