"""Indexes of documents on SQL: their segments are rows, and one transaction publishes one.

    row of the organisation (lock) ─▶ generation as seen? ─▶ room? ─▶ segments go, one comes

Making and dropping an index are administrative changes, with their audit rows. What is put into it
is data, as requests to a model are: no replica's table changes by it, so it does not wait for
other changes. Publications of one organisation wait for one another, so that what is counted for
its limits is what there is.
"""

from __future__ import annotations

import builtins
from typing import Any

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from plaza_core.errors import Conflict, InvalidInput, NotFound
from plaza_core.held import Held
from plaza_core.ids import new_id, valid_name
from plaza_core.indexes import IndexInfo, IndexMoved, Publication
from plaza_core.principal import TenantScope
from plaza_tenancy.holdings import check_room, make_room
from plaza_tenancy.rows import one_organisation
from plaza_tenancy.schema import OrganisationRow, ProjectRow
from plaza_tenancy.schema_indexes import IndexRow, SegmentRow
from plaza_tenancy.store import Change, Store


class Indexes:
    """IndexStore on SQL, see `plaza_core.indexes`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self,
        scope: TenantScope,
        name: str,
        *,
        project: str | None = None,
        model: str | None = None,
        version: int | None = None,
    ) -> IndexInfo:
        valid_name(name)
        organisation = one_organisation(scope)
        with self._store.change(scope, "index.create", name) as change:
            place = _project(change.session, scope, project)
            query = select(IndexRow.id).filter_by(
                organisation=organisation, project=place.id, name=name
            )
            if change.session.scalars(query).first() is not None:
                raise Conflict("there is an index of this name", input="name")
            make_room(change, organisation, place.id, {Held.INDEXES: 1})
            row = IndexRow(
                organisation=organisation,
                id=new_id("idx", self._store.random),
                project=place.id,
                name=name,
                model=model,
                version=version,
                documents=0,
                bytes=0,
                generation=0,
                created=change.now,
                created_by=scope.actor,
                changed=change.now,
            )
            change.session.add(row)
            change.project = place.id
            change.after = {"index": row.id, "model": model, "version": version}
        return _view(row, place.name, ())

    def get(self, scope: TenantScope, name: str) -> IndexInfo:
        with self._store.read(scope) as session:
            row, project = _find(session, scope, name)
            return _view(row, project, _numbers(session, row))

    def list(self, scope: TenantScope) -> builtins.list[IndexInfo]:
        with self._store.read(scope) as session:
            found = session.execute(_all(scope).order_by(ProjectRow.name, IndexRow.name))
            return [_view(row, project, ()) for row, project in found]

    def drop(self, scope: TenantScope, name: str) -> None:
        with self._store.change(scope, "index.drop", name[:200]) as change:
            row, _ = _find(change.session, scope, name, lock=True)
            change.organisation, change.project = row.organisation, row.project
            change.before = {"index": row.id, "documents": row.documents, "bytes": row.bytes}
            change.after = {}
            change.session.execute(delete(SegmentRow).where(*_of(row)))
            _forget(change, row)

    def segment(self, scope: TenantScope, index: str, number: int) -> bytes:
        with self._store.read(scope) as session:
            row = _by_id(session, scope, index)
            query = select(SegmentRow.body).where(*_of(row), SegmentRow.number == number)
            body = session.scalars(query).one_or_none()
        if body is None:
            raise NotFound("this part of the index has given way to another", input="index")
        return body

    def publish(self, scope: TenantScope, index: str, publication: Publication) -> IndexInfo:
        now = self._store.clock.unix_us()
        with self._store.append(scope) as session:
            locked = select(OrganisationRow.id).where(OrganisationRow.id == scope.organisation)
            session.execute(locked.with_for_update(key_share=True))
            row = _by_id(session, scope, index, lock=True)
            if row.generation != publication.seen:
                raise IndexMoved("the index changed meanwhile; try again", input="index")
            query = select(SegmentRow.number, SegmentRow.size).where(*_of(row))
            found = session.execute(query.order_by(SegmentRow.number))
            sizes = {number: size for number, size in found}  # noqa: C416 rows are no pairs to mypy
            gone = builtins.list(sizes)[publication.start :]
            size = len(publication.body)
            more = {
                Held.DOCUMENTS: publication.documents - row.documents,
                Held.INDEX_BYTES: size - sum(sizes[number] for number in gone),
            }
            check_room(session, now, row.organisation, row.project, more)
            session.execute(delete(SegmentRow).where(*_of(row), SegmentRow.number.in_(gone)))
            row.generation += 1
            row.documents = publication.documents
            row.bytes += more[Held.INDEX_BYTES]
            row.changed = now
            session.add(
                SegmentRow(
                    organisation=row.organisation,
                    search_index=row.id,
                    number=row.generation,
                    size=size,
                    body=publication.body,
                )
            )
            project = session.scalars(
                select(ProjectRow.name).filter_by(organisation=row.organisation, id=row.project)
            ).one()
            kept = [number for number in sizes if number not in gone]
            return _view(row, project, (*kept, row.generation))


def _forget(change: Change, row: IndexRow) -> None:
    change.session.execute(
        delete(IndexRow).where(IndexRow.organisation == row.organisation, IndexRow.id == row.id)
    )


def _project(session: Session, scope: TenantScope, name: str | None) -> ProjectRow:
    query = select(ProjectRow).filter_by(organisation=scope.organisation)
    if scope.project is not None:
        query = query.filter_by(id=scope.project)
    elif name is None:
        raise InvalidInput("name the project that the index is for", input="project")
    if name is not None:
        query = query.filter_by(name=name)
    row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("there is no such project", input="project")
    return row


def _mine(scope: TenantScope) -> builtins.list[ColumnElement[bool]]:
    conditions: builtins.list[ColumnElement[bool]] = []
    if scope.organisation is not None:
        conditions.append(IndexRow.organisation == scope.organisation)
    if scope.project is not None:
        conditions.append(IndexRow.project == scope.project)
    return conditions


def _all(scope: TenantScope) -> Any:
    same = (ProjectRow.organisation == IndexRow.organisation) & (ProjectRow.id == IndexRow.project)
    return select(IndexRow, ProjectRow.name).join(ProjectRow, same).where(*_mine(scope))


def _find(
    session: Session, scope: TenantScope, name: str, *, lock: bool = False
) -> tuple[IndexRow, str]:
    project, dot, last = name.rpartition(".")
    query = _all(scope).where(IndexRow.name == last)
    if dot:
        query = query.where(ProjectRow.name == project)
    found = session.execute(query.with_for_update(of=IndexRow) if lock else query).all()
    if not found:
        raise NotFound("there is no such index", input="index")
    if len(found) > 1:
        raise NotFound("several indexes have this name; write project.index", input="index")
    row, project_name = found[0]
    return row, project_name


def _by_id(session: Session, scope: TenantScope, index: str, *, lock: bool = False) -> IndexRow:
    query = select(IndexRow).where(IndexRow.id == index, *_mine(scope))
    row = session.scalars(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound("there is no such index", input="index")
    return row


def _of(row: IndexRow) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return SegmentRow.organisation == row.organisation, SegmentRow.search_index == row.id


def _numbers(session: Session, row: IndexRow) -> tuple[int, ...]:
    query = select(SegmentRow.number).where(*_of(row)).order_by(SegmentRow.number)
    return tuple(session.scalars(query))


def _view(row: IndexRow, project: str, segments: tuple[int, ...]) -> IndexInfo:
    return IndexInfo(
        row.id,
        row.organisation,
        row.project,
        project,
        row.name,
        row.model,
        row.version,
        row.documents,
        row.bytes,
        row.generation,
        row.created,
        row.created_by,
        row.changed,
        segments,
    )
