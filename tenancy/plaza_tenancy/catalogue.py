"""Reading models with their versions and aliases, as one entry each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVarTuple

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import Session

from plaza_core.certificate import Standing
from plaza_core.ids import ModelId, OrganisationId, ProjectId
from plaza_core.manifest import Manifest
from plaza_core.principal import TenantScope
from plaza_core.rollout import VersionState
from plaza_core.table import FileEntry, ModelEntry, VersionEntry, Visibility
from plaza_tenancy.schema import AliasRow, ModelRow, OrganisationRow, ProjectRow, VersionRow
from plaza_tenancy.schema_registry import ModelShareRow, ModelTagRow
from plaza_tenancy.standings import standings
from plaza_tenancy.states import resident_bytes, served_by, split_of, state_of

Columns = TypeVarTuple("Columns")
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

    @property
    def full_name(self) -> str:
        return f"{self.organisation_name}.{self.project_name}.{self.name}"


def visible_to(scope: TenantScope) -> list[ColumnElement[bool]]:
    """Conditions on ModelRow and OrganisationRow; the same rule as `plaza_core.names.distance`."""
    if scope.organisation is None:
        return []
    mine = ModelRow.organisation == scope.organisation
    if scope.project is not None:
        shared = ModelRow.visibility != Visibility.PROJECT
        mine = and_(mine, or_(ModelRow.project == scope.project, shared))
    others = or_(ModelRow.visibility == Visibility.PUBLIC, named_to(scope.organisation))
    return [or_(mine, and_(others, OrganisationRow.suspended.is_(False)))]


def named_to(
    guest: OrganisationId | ColumnElement[OrganisationId],
) -> ColumnElement[bool]:
    """Whether a model is shared with this organisation by name."""
    return and_(
        ModelRow.visibility == Visibility.SHARED,
        select(ModelShareRow.guest)
        .where(
            ModelShareRow.organisation == ModelRow.organisation,
            ModelShareRow.model == ModelRow.id,
            ModelShareRow.guest == guest,
        )
        .correlate_except(ModelShareRow)
        .exists(),
    )


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
    found = session.execute(query).all()
    shared = any(row.visibility == Visibility.SHARED for row, _, _ in found)
    guests = _guests(session, conditions) if shared else {}
    return [
        Head(
            id=row.id,
            name=row.name,
            organisation=row.organisation,
            organisation_name=organisation_name,
            project=row.project,
            project_name=project_name,
            visibility=Visibility(row.visibility),
            shared_with=tuple(guests.get(row.id, ())),
        )
        for row, organisation_name, project_name in found
    ]


def _guests(session: Session, conditions: Conditions) -> dict[ModelId, list[OrganisationId]]:
    guests: dict[ModelId, list[OrganisationId]] = defaultdict(list)
    query = _of_models(
        ModelShareRow,
        select(ModelShareRow.model, ModelShareRow.guest),
        [ModelRow.visibility == Visibility.SHARED, *conditions],
    ).order_by(ModelShareRow.guest)
    for model, guest in session.execute(query):
        guests[model].append(guest)
    return guests


def tags(session: Session, conditions: Conditions) -> dict[ModelId, list[str]]:
    found: dict[ModelId, list[str]] = defaultdict(list)
    query = _of_models(
        ModelTagRow, select(ModelTagRow.model, ModelTagRow.tag), conditions
    ).order_by(ModelTagRow.tag)
    for model, tag in session.execute(query):
        found[model].append(tag)
    return found


def entries(session: Session, conditions: Conditions) -> list[ModelEntry]:
    """Models that meet `conditions`, each with all its versions and aliases."""
    versions: dict[ModelId, list[VersionRow]] = defaultdict(list)
    query = _of_models(VersionRow, select(VersionRow), conditions).order_by(VersionRow.version)
    for row in session.scalars(query):
        versions[row.model].append(row)
    aliases: dict[ModelId, list[AliasRow]] = defaultdict(list)
    named = _of_models(AliasRow, select(AliasRow), conditions).order_by(AliasRow.alias)
    for alias in session.scalars(named):
        aliases[alias.model].append(alias)
    found, known = heads(session, conditions), standings(session, conditions)
    return [_model_entry(head, versions[head.id], aliases[head.id], known) for head in found]


def _model_entry(
    head: Head,
    versions: Sequence[VersionRow],
    aliases: Sequence[AliasRow],
    known: Mapping[tuple[ModelId, int], list[Standing]],
) -> ModelEntry:
    serving = served_by(aliases)
    return ModelEntry(
        id=head.id,
        name=head.name,
        organisation=head.organisation,
        organisation_name=head.organisation_name,
        project=head.project,
        project_name=head.project_name,
        visibility=head.visibility,
        versions=[
            _version_entry(row, state_of(row, serving), known.get((head.id, row.version), []))
            for row in versions
        ],
        aliases={row.alias: row.version for row in aliases},
        splits={row.alias: split_of(row) for row in aliases if row.rollout is not None},
        shared_with=list(head.shared_with),
    )


_OfModel = type[VersionRow] | type[AliasRow] | type[ModelShareRow] | type[ModelTagRow]


def _of_models(rows: _OfModel, query: Select[*Columns], conditions: Conditions) -> Select[*Columns]:
    """Those of `rows`, which `query` selects, whose model meets `conditions`."""
    same = and_(ModelRow.organisation == rows.organisation, ModelRow.id == rows.model)
    whose = OrganisationRow.id == ModelRow.organisation
    return query.join(ModelRow, same).join(OrganisationRow, whose).where(*conditions)


def _version_entry(
    row: VersionRow, state: VersionState, certificates: list[Standing]
) -> VersionEntry:
    return VersionEntry(
        version=row.version,
        digest=row.digest,
        state=state,
        resident_bytes=resident_bytes(row),
        manifest=Manifest.model_validate(row.manifest),
        files=[FileEntry.model_validate(file) for file in row.files],
        certificates=certificates,
    )
