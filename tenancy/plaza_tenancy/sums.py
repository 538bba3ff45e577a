"""Reports: sums over the books by any mixture of dimensions.

Whole hours come from the projections, what a span has before its first and after its last whole
hour from the rows; where the two meet, the answer is the same as from rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Subquery, and_, func, or_, select, union_all
from sqlalchemy.orm import Session

from plaza_core.errors import InvalidInput
from plaza_core.principal import TenantScope
from plaza_core.table import Visibility
from plaza_tenancy.catalogue import named_to
from plaza_tenancy.hours import HOUR_US, MEASURES, hour_of_row, measures_of_rows
from plaza_tenancy.rows import owned
from plaza_tenancy.schema import (
    KeyRow,
    LedgerHeadRow,
    ModelRow,
    OrganisationRow,
    ProjectRow,
    UsageHourRow,
    UsageRow,
)
from plaza_tenancy.views import Dimension, UsageSum

_DAY_US: Final = 24 * HOUR_US
_PARTS: Final = ("organisation", "project", "key", "model", "provider", "hour")
_TIMES: Final = {
    Dimension.HOUR: "%Y-%m-%dT%H",
    Dimension.DAY: "%Y-%m-%d",
    Dimension.MONTH: "%Y-%m",
}


def sums(
    session: Session,
    scope: TenantScope,
    since_us: int,
    until_us: int,
    dimensions: Sequence[Dimension],
) -> list[UsageSum]:
    """Sums for since ≤ at < until, one per group of `dimensions`.

    Raises InvalidInput when the span begins or ends within an hour whose rows were dropped.
    """
    _demand_rows(session, scope, since_us, until_us)
    source = _source(scope, since_us, until_us)
    columns: list[ColumnElement[Any]] = []
    query: Select[Any] = select(*(func.sum(source.c[name]) for name in MEASURES))
    query = query.select_from(source)
    for dimension in dimensions:
        value, label, named, same = _dimension(dimension, source)
        if named is not None:
            query = query.outerjoin(named, same)
        columns += [value, label]
    query = query.add_columns(*columns).group_by(*columns).order_by(*columns)
    # A sum over nothing is one row of nothing when there is no group.
    found = [row for row in session.execute(query) if row[0] is not None]
    return _merged(dimensions, found)


def _source(scope: TenantScope, since_us: int, until_us: int) -> Subquery:
    first = -(-since_us // HOUR_US) * HOUR_US
    last = until_us // HOUR_US * HOUR_US
    if first >= last:
        return _rows(scope, UsageRow.at_unix_us >= since_us, UsageRow.at_unix_us < until_us)
    whole = (
        select(
            UsageHourRow.organisation,
            func.nullif(UsageHourRow.project, "").label("project"),
            *(getattr(UsageHourRow, name) for name in (*_PARTS[2:], *MEASURES)),
        )
        .where(*owned(scope, UsageHourRow))
        .where(UsageHourRow.hour >= first, UsageHourRow.hour < last)
    )
    if (first, last) == (since_us, until_us):
        return whole.subquery()
    at = UsageRow.at_unix_us
    edges = or_(and_(at >= since_us, at < first), and_(at >= last, at < until_us))
    return union_all(whole, select(_rows(scope, edges))).subquery()


def _rows(scope: TenantScope, *within: ColumnElement[bool]) -> Subquery:
    parts = [getattr(UsageRow, name) for name in _PARTS[:-1]]
    measures = measures_of_rows()
    query = select(*parts, hour_of_row().label("hour"))
    query = query.add_columns(*(measures[name].label(name) for name in MEASURES))
    return query.where(*owned(scope, UsageRow), *within).subquery()


def _demand_rows(session: Session, scope: TenantScope, since_us: int, until_us: int) -> None:
    partial = [moment for moment in (since_us, until_us) if moment % HOUR_US]
    if not partial or since_us >= until_us:
        return
    query = select(func.max(LedgerHeadRow.closed_until))
    if scope.organisation is not None:
        query = query.where(LedgerHeadRow.organisation == scope.organisation)
    closed = session.scalar(query) or 0
    if any(moment < closed for moment in partial):
        raise InvalidInput(
            "records of that time were dropped, sums per hour are kept: ask for whole hours",
            input="since",
        )


def _dimension(
    dimension: Dimension, source: Subquery
) -> tuple[Any, Any, Any, ColumnElement[bool] | None]:
    """What to group by, its name for people, where the name is, how it is found there."""
    column, same = source.c, None
    match dimension:
        case Dimension.ORGANISATION:
            same = OrganisationRow.id == column.organisation
            return column.organisation, OrganisationRow.name, OrganisationRow, same
        case Dimension.PROJECT:
            same = and_(
                ProjectRow.organisation == column.organisation, ProjectRow.id == column.project
            )
            return column.project, ProjectRow.name, ProjectRow, same
        case Dimension.KEY:
            same = and_(KeyRow.organisation == column.organisation, KeyRow.id == column.key)
            return column.key, KeyRow.label, KeyRow, same
        case Dimension.MODEL:
            # The name of somebody else's model is shown while that model may be called.
            mine = ModelRow.organisation == column.organisation
            public = ModelRow.visibility == Visibility.PUBLIC
            same = and_(
                ModelRow.id == column.model, or_(mine, public, named_to(column.organisation))
            )
            return column.model, ModelRow.name, ModelRow, same
    # These are their own names. Days of a month are made one in `_merged`.
    day = column.hour - column.hour % _DAY_US
    own = {Dimension.PROVIDER: column.provider, Dimension.HOUR: column.hour}.get(dimension, day)
    return own.label(f"{dimension}_group"), own.label(f"{dimension}_name"), None, None


def _merged(dimensions: Sequence[Dimension], found: Sequence[Any]) -> list[UsageSum]:
    """One UsageSum per group; the days of a month become one, as months differ in length."""
    groups: dict[tuple[tuple[str | None, str], ...], list[int]] = {}
    for row in found:
        numbers = [int(number) for number in row[: len(MEASURES)]]
        values, labels = row[len(MEASURES) :: 2], row[len(MEASURES) + 1 :: 2]
        group = tuple(
            (_time(d, value), _time(d, value)) if d in _TIMES else (value, label or "")
            for d, value, label in zip(dimensions, values, labels, strict=True)
        )
        before = groups.get(group, [0] * len(numbers))
        groups[group] = list(map(int.__add__, before, numbers))
    return [
        UsageSum(
            {d: value for d, (value, _) in zip(dimensions, group, strict=True)},
            {d: label for d, (_, label) in zip(dimensions, group, strict=True)},
            *numbers,
        )
        for group, numbers in groups.items()
    ]


def _time(dimension: Dimension, unix_us: int) -> str:
    return datetime.fromtimestamp(int(unix_us) // 1_000_000, UTC).strftime(_TIMES[dimension])
