"""Projections: sums per hour and group, kept beside the rows and equal to them.

Written in the transaction that adds the rows. `drift` tells every group in which the two differ;
`rebuild` makes the hours anew. Both leave closed books alone: their rows are gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Table,
    case,
    delete,
    func,
    insert,
    literal,
    select,
    union_all,
)

from plaza_core.ids import OrganisationId
from plaza_tenancy import dialect
from plaza_tenancy.entries import FIELDS, Row
from plaza_tenancy.schema import UsageHourRow, UsageRow
from plaza_tenancy.views import Drift, Kind

HOUR_US: Final = 3_600_000_000

_HOURS: Table = UsageHourRow.metadata.tables["usage_hours"]
GROUP: Final = ("hour", "project", "key", "model", "version", "provider")
MEASURES: Final = (
    "requests",
    "answered",
    "rows",
    "compute_us",
    "host_us",
    "charge",
    "overrun",
)
_WHAT: Final = ("at_unix_us", "kind", "outcome", *MEASURES[2:])
_WHOSE: Final = ("organisation", *GROUP[1:])
_what = itemgetter(*map(FIELDS.index, _WHAT))
_whose = itemgetter(*map(FIELDS.index, _WHOSE))


def add(connection: Connection, rows: Sequence[Row]) -> None:
    """Add new entries to the hours they belong to."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        at, kind, outcome, measured, compute_us, host_us, charge, overrun = _what(row)
        group = (at // HOUR_US, *_whose(row))
        sums = groups.get(group)
        if sums is None:
            sums = groups[group] = [0] * len(MEASURES)
        if kind == Kind.USE:
            sums[0] += 1
            sums[1] += outcome == "ok"
        sums[2] += measured
        sums[3] += compute_us
        sums[4] += host_us
        sums[5] += charge
        sums[6] += overrun
    names = ("organisation", *GROUP, *MEASURES)
    added = sorted(
        (organisation, hour * HOUR_US, project or "", *rest, *sums)
        for (hour, organisation, project, *rest), sums in groups.items()
    )
    dialect.add_up(connection, _HOURS, [dict(zip(names, row, strict=True)) for row in added])


def measures_of_rows() -> dict[str, ColumnElement[Any]]:
    """What one row of `usage` adds to each measure. A correction is no request."""
    request = UsageRow.kind == Kind.USE.value
    answered = request & (UsageRow.outcome == "ok")
    return {
        "requests": case((request, 1), else_=0),
        "answered": case((answered, 1), else_=0),
        **{name: getattr(UsageRow, name) for name in MEASURES[2:]},
    }


def hour_of_row() -> ColumnElement[int]:
    at = UsageRow.at_unix_us
    return at - at % HOUR_US


def _summed(organisation: OrganisationId, since: int) -> Select[Any]:
    """What the hours of an organisation should be, from its rows."""
    group: tuple[Any, ...] = (
        hour_of_row(),
        func.coalesce(UsageRow.project, ""),
        UsageRow.key,
        UsageRow.model,
        UsageRow.version,
        UsageRow.provider,
    )
    measures = measures_of_rows()
    columns: list[Any] = [column.label(name) for name, column in zip(GROUP, group, strict=True)]
    columns += [func.sum(measures[name]).label(name) for name in MEASURES]
    made: Select[Any] = select(*columns)
    return made.where(UsageRow.organisation == organisation, UsageRow.at_unix_us >= since).group_by(
        *group
    )


def drift(connection: Connection, organisation: OrganisationId, since: int) -> list[Drift]:
    """Groups from the hour `since` on in which stored − summed is not 0 everywhere."""
    summed = _summed(organisation, since).subquery()
    stored = _HOURS.c
    both: FromClause = union_all(
        select(*(stored[name] for name in (*GROUP, *MEASURES))).where(
            stored.organisation == organisation, stored.hour >= since
        ),
        select(*(summed.c[name] for name in GROUP), *(-summed.c[name] for name in MEASURES)),
    ).subquery()
    sums = {name: func.sum(both.c[name]) for name in MEASURES}
    differs: ColumnElement[bool] = sums["requests"] != 0
    for name in MEASURES[1:]:
        differs |= sums[name] != 0
    group = [both.c[name] for name in GROUP]
    found = connection.execute(
        select(*group, *sums.values()).group_by(*group).having(differs).order_by(*group)
    )
    return [
        Drift(organisation, hour, project or None, key, model, version, provider, *map(int, rest))
        for hour, project, key, model, version, provider, *rest in found
    ]


def rebuild(connection: Connection, organisation: OrganisationId, since: int) -> None:
    """Make the hours from `since` on anew, from the rows."""
    stored = _HOURS.c
    connection.execute(
        delete(_HOURS).where(stored.organisation == organisation, stored.hour >= since)
    )
    summed = _summed(organisation, since).subquery()
    made = select(literal(organisation), *(summed.c[name] for name in (*GROUP, *MEASURES)))
    connection.execute(insert(_HOURS).from_select(["organisation", *GROUP, *MEASURES], made))
