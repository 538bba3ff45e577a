"""Nodes of the tenancy tree by the names people use, for verbs that work on all three kinds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from plaza_core.errors import Forbidden, NotFound
from plaza_core.ids import OrganisationId, ProjectId
from plaza_core.principal import TenantScope
from plaza_tenancy.rows import one_organisation
from plaza_tenancy.schema import KeyRow, OrganisationRow, ProjectRow


class Kind(StrEnum):
    ORGANISATION = "organisation"
    PROJECT = "project"
    KEY = "key"

    @property
    def depth(self) -> int:
        """Distance from the root."""
        return (Kind.ORGANISATION, Kind.PROJECT, Kind.KEY).index(self)


@dataclass(frozen=True, slots=True)
class Node:
    """An organisation or project by its name, or a key by its id."""

    kind: Kind
    name: str


Row = OrganisationRow | ProjectRow | KeyRow


@dataclass(frozen=True, slots=True)
class Found:
    """A node as the database has it."""

    row: Row
    organisation: OrganisationId
    project: ProjectId | None
    """The project that the node is or belongs to."""
    kind: Kind

    @property
    def id(self) -> str:
        """What its limits are set on: of a key that was rotated, the first of its line."""
        return (isinstance(self.row, KeyRow) and self.row.line) or self.row.id


def find(session: Session, scope: TenantScope, node: Node) -> Found:
    """The node, if it is in the scope. Raises NotFound."""
    if node.kind is Kind.ORGANISATION:
        return _organisation(session, scope, node.name)
    organisation = one_organisation(scope)
    row: ProjectRow | KeyRow | None
    if node.kind is Kind.PROJECT:
        query = select(ProjectRow).filter_by(organisation=organisation, name=node.name)
        row = session.scalars(query).one_or_none()
        project = None if row is None else row.id
    else:
        named = select(KeyRow).filter_by(organisation=organisation, id=node.name)
        row = session.scalars(named).one_or_none()
        project = None if row is None else row.project
    if row is None or (scope.project is not None and project != scope.project):
        raise NotFound(f"there is no such {node.kind}", input=node.kind)
    return Found(row, organisation, project, node.kind)


def find_to_limit(session: Session, scope: TenantScope, node: Node) -> Found:
    """The node, for who may set its limits: operators those of organisations, an organisation's
    admins those of its projects and keys, a project's those of its other keys.

    Raises Forbidden for a limit that the scope itself is under.
    """
    found = find(session, scope, node)
    if node.kind is Kind.ORGANISATION:
        demand_platform(scope)
    if node.kind is Kind.PROJECT and scope.project is not None:
        raise Forbidden("a key of one project may not change what limits the project")
    if scope.project is not None and scope.actor in {row.id for row in line_of(session, found)}:
        raise Forbidden("a key of one project may not change its own limits")
    return found


def line_of(session: Session, found: Found) -> list[Row]:
    """The node's row; of a key, those of all keys of its line: what limits one limits all."""
    if not isinstance(found.row, KeyRow):
        return [found.row]
    query = select(KeyRow).where(
        KeyRow.organisation == found.organisation,
        or_(KeyRow.id == found.id, KeyRow.line == found.id),
    )
    return list(session.scalars(query.order_by(KeyRow.id)))


def demand_platform(scope: TenantScope) -> None:
    if scope.organisation is not None:
        raise Forbidden("only operators of the hub may do this")


def _organisation(session: Session, scope: TenantScope, name: str) -> Found:
    query = select(OrganisationRow).where(OrganisationRow.name == name)
    if scope.organisation is not None:
        query = query.where(OrganisationRow.id == scope.organisation)
    row = session.scalars(query).one_or_none()
    if row is None or scope.project is not None:
        raise NotFound("there is no such organisation", input="organisation")
    return Found(row, row.id, None, Kind.ORGANISATION)
