"""`plaza quota forecast`: a budget's way through its period, and when it will run out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import accumulate

import typer

import plaza
from plaza_serving.cli.chart import Way, drawn
from plaza_serving.cli.quotas import Key, Of, Project, quota
from plaza_serving.cli.session import session
from plaza_serving.cli.show import moment, table_of
from plaza_serving.cli.tenants import own

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def forecast(
    context: typer.Context, organisation: Of = None, project: Project = None, key_id: Key = None
) -> None:
    """Draw what a budget has spent in its period, and how it will go on."""
    here = session(context)
    with here.hub() as hub:
        whose = own(hub, organisation)
        budget = hub.quotas.show(whose, project=project, key=key_id)
        if budget.limit is None or budget.period_end_unix_us is None:
            raise typer.BadParameter("a forecast needs a limit, and a period that ends")
        by = {"organisation": "organisation", "project": "project", "key": "key"}[budget.kind]
        found = hub.usage(
            since=_moment(budget.period_start_unix_us),
            by=[by, "hour"],  # type: ignore[list-item]  # one of the words it takes
            organisation=organisation,
        )
    way = Way(
        start=budget.period_start_unix_us,
        end=budget.period_end_unix_us,
        now=round(datetime.now(UTC).timestamp() * 1e6),
        limit=budget.limit,
        runs_out=budget.runs_out_unix_us,
        points=_points([one for one in found if one.group.get(by) == budget.node]),
    )
    row = (budget.kind, moment(way.start), moment(way.end), budget.limit, budget.settled)
    out = moment(budget.runs_out_unix_us) or "it will last"
    columns = ["node", "from (UTC)", "until (UTC)", "limit#", "used#", "runs out (UTC)"]
    here.answer(budget, table_of(columns, [(*row, out)]))
    if not here.as_json:
        here.out.print()
        for line in drawn(way):
            here.out.print(line, markup=False)
        here.out.print(f"{'':>21} █ used   ░ if it goes on like this   ─ limit", markup=False)


def mount() -> None:
    """Add the verb to `plaza quota`."""
    quota.command("forecast")(forecast)


def _moment(unix_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=unix_us)


def _points(found: list[plaza.Usage]) -> list[tuple[int, int]]:
    """(end of an hour, used until then), in order."""
    hours = sorted((_hour_us(one.group["hour"] or ""), one.charge) for one in found)
    sums = accumulate(charge for _, charge in hours)
    return [(hour, used) for (hour, _), used in zip(hours, sums, strict=True)]


def _hour_us(name: str) -> int:
    """When an hour such as `2026-11-21T10` begins: what was used in it counts from there on."""
    begun = datetime.strptime(name, "%Y-%m-%dT%H").replace(tzinfo=UTC)
    return round(begun.timestamp()) * 1_000_000
