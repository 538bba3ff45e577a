"""Projections: sums per hour and group, kept beside the rows and equal to them.

Written in the transaction that adds the rows. `drift` tells every group in which the two differ;
`rebuild` makes the hours anew. Both leave closed books alone: their rows are gone.
"""

from __future__ import annotations

from collections.abc import Sequence
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
_AT = {name: position for position, name in enumerate(FIELDS)}


def add(connection: Connection, rows: Sequence[Row]) -> None:
    """Add new entries to the hours they belong to."""
    organisation, at, project, key = (
        _AT[name] for name in ("organisation", "at_unix_us", "project", "key")
    )
    model, version, provider = _AT["model"], _AT["version"], _AT["provider"]
    kind, outcome, measured = _AT["kind"], _AT["outcome"], _AT["rows"]
    compute, host, charge, overrun = (
        _AT[name] for name in ("compute_us", "host_us", "charge", "overrun")
    )
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        group = (
            row[organisation],
            row[at] - row[at] % HOUR_US,
            row[project] or "",
            row[key],
            row[model],
            row[version],
            row[provider],
        )
        sums = groups.get(group)
        if sums is None:
            sums = groups[group] = [0] * len(MEASURES)
        if row[kind] == Kind.USE:
            sums[0] += 1
            sums[1] += row[outcome] == "ok"
        sums[2] += row[measured]
        sums[3] += row[compute]
        sums[4] += row[host]
        sums[5] += row[charge]
        sums[6] += row[overrun]
    names = ("organisation", *GROUP, *MEASURES)
    dialect.add_up(
        connection,
        _HOURS,
        [dict(zip(names, (*group, *groups[group]), strict=True)) for group in sorted(groups)],
    )


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
