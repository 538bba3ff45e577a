"""Organisations and their projects: the upper two floors of the tenancy tree."""

from __future__ import annotations

import builtins

from sqlalchemy import select
from sqlalchemy.orm import Session

from plaza_core.errors import Conflict, Forbidden, NotFound
from plaza_core.held import Held
from plaza_core.ids import OrganisationId, ProjectId, RandomBytes, new_id, valid_name
from plaza_core.principal import TenantScope
from plaza_core.table import RateLimit
from plaza_tenancy.checks import valid_rate, valid_text
from plaza_tenancy.holdings import make_room
from plaza_tenancy.rows import (
    one_organisation,
    organisation_view,
    project_view,
    rate_facts,
    rate_of,
    set_rate,
)
from plaza_tenancy.schema import OrganisationRow, ProjectRow
from plaza_tenancy.store import Change, Store
from plaza_tenancy.views import Organisation, Project


def insert_organisation(
    change: Change,
    random: RandomBytes,
    *,
    name: str,
    title: str,
    rate: RateLimit,
    project: str,
    operator: bool = False,
) -> OrganisationRow:
    """The rows of an organisation and its first project, inside a change."""
    row = OrganisationRow(
        id=OrganisationId(new_id("org", random)),
        name=valid_name(name),
        title=valid_text(title, input="title"),
        operator=operator,
        suspended=False,
        rate_per_second=valid_rate(rate).per_second,
        rate_burst=rate.burst,
        created=change.now,
    )
    if change.session.scalars(select(OrganisationRow).filter_by(name=name)).first():
        raise Conflict("an organisation of this name exists", input="name")
    change.session.add(row)
    change.session.flush()
    change.organisation = row.id
    insert_project(change, random, organisation=row.id, name=project, rate=None)
    return row


def insert_project(
    change: Change,
    random: RandomBytes,
    *,
    organisation: OrganisationId,
    name: str,
    rate: RateLimit | None,
) -> ProjectRow:
    row = ProjectRow(
        organisation=organisation,
        id=ProjectId(new_id("prj", random)),
        name=valid_name(name),
        created=change.now,
    )
    set_rate(row, rate and valid_rate(rate))
    taken = select(ProjectRow).filter_by(organisation=organisation, name=name)
    if change.session.scalars(taken).first():
        raise Conflict("the organisation has a project of this name", input="name")
    change.session.add(row)
    change.session.flush()
    change.project = row.id
    return row


class Organisations:
    """Changes need a platform scope: an organisation cannot lift its own limits."""

    def __init__(self, store: Store, default_rate: RateLimit) -> None:
        self._store = store
        self._default_rate = default_rate

    def create(
        self,
        scope: TenantScope,
        name: str,
        *,
        title: str = "",
        rate: RateLimit | None = None,
        project: str = "main",
    ) -> Organisation:
        """Make an organisation and its first project. `rate` None takes the hub's default.

        Raises Conflict when the name is taken, InvalidInput for a bad name.
        """
        _demand_platform(scope)
        rate = rate or self._default_rate
        with self._store.change(scope, "organisation.create", valid_name(name)) as change:
            row = insert_organisation(
                change, self._store.random, name=name, title=title, rate=rate, project=project
            )
            change.project = None  # the row is about the organisation
            change.after = {"title": title, "project": project, **rate_facts(rate)}
            return organisation_view(row)

    def list(self, scope: TenantScope) -> list[Organisation]:
        """All of them for a platform scope, else the scope's own; by name."""
        query = select(OrganisationRow).order_by(OrganisationRow.name)
        if scope.organisation is not None:
            query = query.where(OrganisationRow.id == scope.organisation)
        with self._store.read(scope) as session:
            return [organisation_view(row) for row in session.scalars(query)]

    def get(self, scope: TenantScope, name: str) -> Organisation:
        """Raises NotFound."""
        with self._store.read(scope) as session:
            return organisation_view(_organisation(session, scope, name))

    def suspend(self, scope: TenantScope, name: str) -> Organisation:
        """Its keys stop working and its models disappear, until resumed.

        Suspending twice changes nothing. Raises Conflict for the operating organisation.
        """
        return self._set_suspended(scope, name, suspended=True)

    def resume(self, scope: TenantScope, name: str) -> Organisation:
        return self._set_suspended(scope, name, suspended=False)

    def _set_suspended(self, scope: TenantScope, name: str, *, suspended: bool) -> Organisation:
        _demand_platform(scope)
        action = "organisation.suspend" if suspended else "organisation.resume"
        with self._store.change(scope, action, name) as change:
            row = _organisation(change.session, scope, name)
            if row.operator:
                raise Conflict("the operating organisation cannot be suspended", input="name")
            if row.suspended == suspended:
                change.nothing_to_do()
            change.organisation = row.id
            change.before, change.after = {"suspended": row.suspended}, {"suspended": suspended}
            row.suspended = suspended
            return organisation_view(row)

    def set_rate(self, scope: TenantScope, name: str, rate: RateLimit) -> Organisation:
        _demand_platform(scope)
        valid_rate(rate)
        with self._store.change(scope, "organisation.set_rate", name) as change:
            row = _organisation(change.session, scope, name)
            change.organisation = row.id
            change.before, change.after = rate_facts(rate_of(row)), rate_facts(rate)
            row.rate_per_second, row.rate_burst = rate.per_second, rate.burst
            return organisation_view(row)


class Projects:
    """Projects of one organisation; changes need a scope on the whole organisation."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, scope: TenantScope, name: str, *, rate: RateLimit | None = None) -> Project:
        """Raises Conflict when the organisation has a project of this name."""
        organisation = _demand_whole(scope)
        with self._store.change(scope, "project.create", valid_name(name)) as change:
            make_room(change, organisation, None, {Held.PROJECTS: 1})
            row = insert_project(
                change, self._store.random, organisation=organisation, name=name, rate=rate
            )
            change.after = rate_facts(rate)
            return _project(change.session, scope, row.name)[1]

    def list(self, scope: TenantScope) -> builtins.list[Project]:
        """The scope's projects, by organisation and name."""
        query = (
            select(ProjectRow, OrganisationRow.name)
            .join(OrganisationRow, OrganisationRow.id == ProjectRow.organisation)
            .order_by(OrganisationRow.name, ProjectRow.name)
        )
        if scope.organisation is not None:
            query = query.where(ProjectRow.organisation == scope.organisation)
        if scope.project is not None:
            query = query.where(ProjectRow.id == scope.project)
        with self._store.read(scope) as session:
            return [project_view(row, name) for row, name in session.execute(query)]

    def get(self, scope: TenantScope, name: str) -> Project:
        """Raises NotFound."""
        with self._store.read(scope) as session:
            return _project(session, scope, name)[1]

    def set_rate(self, scope: TenantScope, name: str, rate: RateLimit | None) -> Project:
        """None: the project has no limit of its own."""
        _demand_whole(scope)
        if rate is not None:
            valid_rate(rate)
        with self._store.change(scope, "project.set_rate", name) as change:
            row, _ = _project(change.session, scope, name)
            change.project = row.id
            change.before, change.after = rate_facts(rate_of(row)), rate_facts(rate)
            set_rate(row, rate)
            return _project(change.session, scope, name)[1]


def _organisation(session: Session, scope: TenantScope, name: str) -> OrganisationRow:
    query = select(OrganisationRow).where(OrganisationRow.name == name)
    if scope.organisation is not None:
        query = query.where(OrganisationRow.id == scope.organisation)
    row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("there is no such organisation", input="organisation")
    return row


def _project(session: Session, scope: TenantScope, name: str) -> tuple[ProjectRow, Project]:
    query = (
        select(ProjectRow, OrganisationRow.name)
        .join(OrganisationRow, OrganisationRow.id == ProjectRow.organisation)
        .where(ProjectRow.organisation == one_organisation(scope), ProjectRow.name == name)
    )
    if scope.project is not None:
        query = query.where(ProjectRow.id == scope.project)
    found = session.execute(query).one_or_none()
    if found is None:
        raise NotFound("there is no such project", input="project")
    row, organisation_name = found
    return row, project_view(row, organisation_name)


def _demand_platform(scope: TenantScope) -> None:
    if scope.organisation is not None:
        raise Forbidden("only operators of the hub may change organisations")


def _demand_whole(scope: TenantScope) -> OrganisationId:
    organisation = one_organisation(scope)
    if scope.project is not None:
        raise Forbidden("a key of one project may not change projects")
    return organisation
