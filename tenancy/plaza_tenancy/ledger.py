"""The ledger: one row per admitted request, unique by organisation and request id, unchangeable."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    Table,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Session

from plaza_core.errors import InvalidInput
from plaza_core.inference import UsageRecord
from plaza_core.principal import TenantScope
from plaza_core.table import Visibility
from plaza_tenancy import dialect
from plaza_tenancy.rows import owned
from plaza_tenancy.schema import KeyRow, ModelRow, OrganisationRow, ProjectRow, UsageRow
from plaza_tenancy.store import Store
from plaza_tenancy.views import Dimension, UsagePage, UsageSum

_FIELDS = tuple(field.name for field in fields(UsageRecord))
_values = attrgetter(*_FIELDS)  # `asdict` copies deeply, which took longer than the insert
_USAGE: Table = UsageRow.metadata.tables["usage"]
_KEYS: Table = KeyRow.metadata.tables["keys"]


class Ledger:
    """UsageLedger on SQL, and the reports that are sums over its rows."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def ingest(self, records: Sequence[UsageRecord]) -> int:
        """Insert what is new, in one transaction; return how many were new.

        Also moves `last used` of the keys forward. A record seen before changes nothing.
        """
        if not records:
            return 0
        # In key order: two writers of one database then never wait for one another in a circle.
        ordered = sorted(records, key=lambda record: (record.organisation, record.request_id))
        with self._store.append_everything() as session:
            rows = [dict(zip(_FIELDS, _values(record), strict=True)) for record in ordered]
            new = dialect.insert_new(session.connection(), _USAGE, rows)
            if new:
                _mark_used(session, records)
        return new

    def report(
        self,
        scope: TenantScope,
        *,
        since_us: int,
        until_us: int,
        by: Collection[Dimension] = (Dimension.ORGANISATION,),
    ) -> list[UsageSum]:
        """Sums over records with since ≤ at < until (µs since 1970), one row per group of `by`."""
        dimensions = [dimension for dimension in Dimension if dimension in by]
        columns: list[ColumnElement[Any]] = []
        query: Select[*tuple[Any, ...]] = select(
            func.count(),
            func.sum(case((UsageRow.outcome == "ok", 1), else_=0)),
            func.sum(UsageRow.rows),
            func.sum(UsageRow.compute_us),
            func.sum(UsageRow.host_us),
        )
        query = query.select_from(UsageRow).where(*_within(scope, since_us, until_us))
        for dimension in dimensions:
            value, label, named, same = _NAMED[dimension]
            query = query.outerjoin(named, same)
            columns += [value, label]
        query = query.add_columns(*columns).group_by(*columns).order_by(*columns)
        with self._store.read(scope) as session:
            found = session.execute(query).all()
        # A sum over nothing is one row of nothing when there is no group.
        return [_sum(dimensions, tuple(row)) for row in found if row[0]]

    def records(
        self,
        scope: TenantScope,
        *,
        since_us: int,
        until_us: int,
        after: str | None = None,
        limit: int = 1000,
    ) -> UsagePage:
        """Raw rows, oldest first. `after` is the `next` of the page before."""
        order = (UsageRow.at_unix_us, UsageRow.organisation, UsageRow.request_id)
        query = select(_USAGE).where(*_within(scope, since_us, until_us))
        if after is not None:
            query = query.where(tuple_(*order) > tuple_(*_position(after)))
        query = query.order_by(*order).limit(limit + 1)
        with self._store.read(scope) as session:
            found = [
                UsageRecord(**{name: row[name] for name in _FIELDS})
                for row in session.execute(query).mappings()
            ]
        page = found[:limit]
        return UsagePage(page, _cursor(page[-1]) if len(found) > limit else None)


# Dimension -> (what to group by, its name for people, where the name is, how it is found there).
# The name of somebody else's model is shown while that model is public.
_NAMED: dict[Dimension, tuple[Any, Any, Any, ColumnElement[bool]]] = {
    Dimension.ORGANISATION: (
        UsageRow.organisation,
        OrganisationRow.name,
        OrganisationRow,
        OrganisationRow.id == UsageRow.organisation,
    ),
    Dimension.PROJECT: (
        UsageRow.project,
        ProjectRow.name,
        ProjectRow,
        and_(ProjectRow.organisation == UsageRow.organisation, ProjectRow.id == UsageRow.project),
    ),
    Dimension.KEY: (
        UsageRow.key,
        KeyRow.label,
        KeyRow,
        and_(KeyRow.organisation == UsageRow.organisation, KeyRow.id == UsageRow.key),
    ),
    Dimension.MODEL: (
        UsageRow.model,
        ModelRow.name,
        ModelRow,
        and_(
            ModelRow.id == UsageRow.model,
            or_(
                ModelRow.organisation == UsageRow.organisation,
                ModelRow.visibility == Visibility.PUBLIC,
            ),
        ),
    ),
}


def _sum(dimensions: Sequence[Dimension], row: tuple[Any, ...]) -> UsageSum:
    requests, answered, rows, compute_us, host_us = (int(number) for number in row[:5])
    groups = dict(zip(dimensions, row[5::2], strict=True))
    labels = dict(zip(dimensions, row[6::2], strict=True))
    return UsageSum(
        group=groups,
        labels={dimension: label or "" for dimension, label in labels.items()},
        requests=requests,
        answered=answered,
        rows=rows,
        compute_us=compute_us,
        host_us=host_us,
    )


def _mark_used(session: Session, records: Sequence[UsageRecord]) -> None:
    latest: dict[tuple[str, str], int] = {}
    for record in records:
        node = (record.organisation, record.key)
        latest[node] = max(latest.get(node, 0), record.at_unix_us)
    at: BindParameter[int] = bindparam("at_unix_us")
    statement = (
        update(_KEYS)
        .where(
            _KEYS.c.organisation == bindparam("whose"),
            _KEYS.c.id == bindparam("which"),
            or_(_KEYS.c.last_used.is_(None), _KEYS.c.last_used < at),
        )
        .values(last_used=at)
    )
    session.connection().execute(
        statement,
        [
            {"whose": whose, "which": which, "at_unix_us": when}
            for (whose, which), when in sorted(latest.items())
        ],
    )


def _within(scope: TenantScope, since_us: int, until_us: int) -> list[ColumnElement[bool]]:
    at = UsageRow.at_unix_us
    return [*owned(scope, UsageRow), at >= since_us, at < until_us]


def _cursor(record: UsageRecord) -> str:
    return f"{record.at_unix_us}.{record.organisation}.{record.request_id}"


def _position(cursor: str) -> tuple[int, str, str]:
    at, _, rest = cursor.partition(".")
    organisation, _, request_id = rest.partition(".")
    if not (at.isdecimal() and organisation and request_id):
        raise InvalidInput("this is not the `next` of a page", input="after")
    return int(at), organisation, request_id
