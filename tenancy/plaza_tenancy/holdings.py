"""Counts and storage: how many objects and bytes a node may hold.

    object's own transaction:  count ─▶ refuse, or insert ─▶ commit

Changes run one after another (`Store.change`), so what is counted is what there is: no counter can
drift, and no two makers pass at once. Lowered below what is held, a limit only stops more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, Table, func, select
from sqlalchemy.orm import Session

from plaza_core.errors import QuotaExceeded
from plaza_core.held import Held
from plaza_core.ids import OrganisationId, ProjectId
from plaza_tenancy.schema import (
    Base,
    KeyRow,
    MemberRow,
    ModelRow,
    SuccessionRow,
    VersionRow,
)
from plaza_tenancy.schema_budgets import HoldingLimitRow
from plaza_tenancy.schema_indexes import IndexRow
from plaza_tenancy.store import Change
from plaza_tenancy.views import Holding

_T = TypeVar("_T")
_TABLES = Base.metadata.tables
_ROWS: dict[Held, Table] = {
    Held.PROJECTS: _TABLES["projects"],
    Held.KEYS: _TABLES["keys"],
    Held.MEMBERS: _TABLES["members"],
    Held.MODELS: _TABLES["models"],
    Held.INDEXES: _TABLES["search_indexes"],
}
_SUMS = {Held.DOCUMENTS: IndexRow.documents, Held.INDEX_BYTES: IndexRow.bytes}
OF_PROJECTS = tuple(what for what in Held if what is not Held.PROJECTS)


def make_room(
    change: Change,
    organisation: OrganisationId,
    project: ProjectId | None,
    more: Mapping[Held, int],
) -> None:
    """Raise QuotaExceeded unless the organisation and the project may hold so many more."""
    check_room(change.session, change.now, organisation, project, more)


def check_room(
    session: Session,
    now: int,
    organisation: OrganisationId,
    project: ProjectId | None,
    more: Mapping[Held, int],
) -> None:
    """As `make_room`, for a transaction that holds the organisation's row."""
    for node, kind in ((organisation, "organisation"), (project, "project")):
        if node is None:
            continue
        for what, limit in limits(session, organisation, node).items():
            wanted, within = more.get(what, 0), None if node == organisation else project
            used = count(session, what, organisation, now, within) if wanted > 0 else 0
            if used + wanted > limit and wanted > 0:
                raise QuotaExceeded(
                    f"this {kind} may hold {limit:,} {what} and holds {used:,};"
                    f" no room for {wanted:,} more: have the limit raised",
                    input=what,
                )


def limits(session: Session, organisation: OrganisationId, node: str) -> dict[Held, int]:
    query = select(HoldingLimitRow).filter_by(organisation=organisation, node=node)
    return {Held(row.what): row.limit for row in session.scalars(query)}


def holdings(
    session: Session, organisation: OrganisationId, now: int, project: ProjectId | None = None
) -> tuple[Holding, ...]:
    """What an organisation holds, or one of its projects."""
    limited = limits(session, organisation, project or organisation)
    return tuple(
        Holding(what, count(session, what, organisation, now, project), limited.get(what))
        for what in (Held if project is None else OF_PROJECTS)
    )


def count(
    session: Session,
    what: Held,
    organisation: OrganisationId,
    now: int,
    project: ProjectId | None = None,
) -> int:
    """Keys and members count while they are usable; a key that was replaced counts no more."""
    if what is Held.BYTES:
        files = session.scalars(_of_models(select(VersionRow.files), organisation, project))
        return sum(file["size"] for version in files for file in version)
    if what is Held.VERSIONS:
        query = _of_models(select(func.count()).select_from(VersionRow), organisation, project)
        return int(session.scalars(query).one())
    if what in _SUMS:
        total = select(func.coalesce(func.sum(_SUMS[what]), 0))
        total = total.where(IndexRow.organisation == organisation)
        if project is not None:
            total = total.where(IndexRow.project == project)
        return int(session.scalars(total).one())
    rows = _ROWS[what]
    conditions: list[ColumnElement[bool]] = [rows.c.organisation == organisation]
    if project is not None:
        conditions.append(rows.c.project == project)
    if what is Held.KEYS:
        replaced = select(SuccessionRow.replaces).filter_by(organisation=organisation)
        conditions += [
            KeyRow.revoked.is_(None),
            KeyRow.expires.is_(None) | (KeyRow.expires > now),
            KeyRow.id.not_in(replaced),
        ]
    if what is Held.MEMBERS:
        conditions.append(MemberRow.removed.is_(None))
    return int(session.scalars(select(func.count()).select_from(rows).where(*conditions)).one())


def _of_models(
    query: Select[_T], organisation: OrganisationId, project: ProjectId | None
) -> Select[_T]:
    query = query.where(VersionRow.organisation == organisation)
    if project is None:
        return query
    same = (ModelRow.organisation == VersionRow.organisation) & (ModelRow.id == VersionRow.model)
    return query.join(ModelRow, same).where(ModelRow.project == project)
