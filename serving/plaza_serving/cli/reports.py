"""`plaza status`, and what `plaza usage` and `plaza audit` do alone; `ledger` makes them groups."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer

from plaza_serving.cli.chart import bar
from plaza_serving.cli.models import For
from plaza_serving.cli.session import session
from plaza_serving.cli.show import changed, moment, plain, table_of

_SPAN = re.compile(r"(\d{1,5})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class By(StrEnum):
    MODEL = "model"
    KEY = "key"
    PROJECT = "project"
    ORGANISATION = "organisation"
    PROVIDER = "provider"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


def mount(app: typer.Typer) -> None:
    app.command()(status)
    app.command()(whoami)


def whoami(context: typer.Context) -> None:
    """Whose key this is, and what it may do."""
    here = session(context)
    with here.hub() as hub:
        me = hub.whoami()
    role = f"{me.role}, operator" if me.operator else me.role
    rows = [(me.key, me.organisation_name, me.project_name, role, " ".join(me.rights))]
    here.answer(me, table_of(["key", "organisation", "project", "role", "rights"], rows))


def usage(
    context: typer.Context,
    by: Annotated[By, typer.Option(help="What a row stands for.")] = By.MODEL,
    since: Annotated[
        str | None, typer.Option(help="30m, 24h, 7d ago, or a date and time; default: a day ago.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="As --since; default: now.")] = None,
    organisation: For = None,
) -> None:
    """Requests and compute, summed up from the ledger."""
    here = session(context)
    start, end = _moment(since, "--since"), _moment(until, "--until")
    with here.hub() as hub:
        found = hub.usage(since=start, until=end, by=by.value, organisation=organisation)
    most = max((u.charge for u in found), default=0)
    rows = [
        (
            u.labels.get(by.value) or u.group.get(by.value),
            u.requests,
            u.answered,
            u.rows,
            f"{u.compute_us / 1e6:,.3f}",
            u.charge,
            bar(u.charge, most, percent=False),
        )
        for u in found
    ]
    columns = [by.value, "requests#", "answered#", "rows#", "compute s#", "charge#", ""]
    here.answer(found, table_of(columns, rows))


def audit(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    before: Annotated[int | None, typer.Option(help="Only entries older than this id.")] = None,
    organisation: For = None,
) -> None:
    """Administrative changes, newest first."""
    here = session(context)
    with here.hub() as hub:
        found = hub.audit(before=before, limit=limit, organisation=organisation)
    rows = [
        (
            str(e.id),
            moment(e.at_unix_us),
            e.organisation_name,
            e.actor,
            e.action,
            e.target,
            changed(e.before, e.after),
        )
        for e in found
    ]
    columns = ["id#", "at (UTC)", "organisation", "actor", "action", "target", "change"]
    here.answer(found, table_of(columns, rows))


def status(context: typer.Context) -> None:
    """Pools, replicas, and what waits for MLflow."""
    here = session(context)
    with here.hub() as hub:
        found = hub.status()
    pools = [
        (
            p["name"],
            p["provider"],
            p["route_prefix"],
            p["grpc_port"] or "",
            f"{p['running']} of {p['wanted']}",
            p["status"],
        )
        for p in found.pools
    ]
    replicas = [
        (
            r["replica"],
            r["pool"],
            "live" if r["live"] else "silent",
            f"{r['age_s']:.1f}",
            "current" if r["current"] else "behind",
            r["ready"],
        )
        for r in found.replicas
    ]
    columns = ["pool", "provider", "prefix", "gRPC#", "replicas", "state"]
    here.answer(found, table_of(columns, pools))
    if not here.as_json:
        for pool in found.pools:
            if pool["why"]:
                line = f"pool '{pool['name']}' does not serve: {pool['why']}"
                here.out.print(line, style="red", markup=False, soft_wrap=True)
        columns = ["replica", "pool", "state", "heartbeat s#", "table", "models#"]
        here.out.print()
        here.out.print(table_of(columns, replicas))
        here.out.print("\nwaiting for MLflow:", plain(behind(found.mlflow)))
        if found.budget_drift:
            here.out.print(f"drifted numbers of budgets: {found.budget_drift} (see control's log)")


def behind(mlflow: Mapping[str, Any]) -> str:
    """What MLflow has not heard, since when, and why."""
    if not mlflow.get("waiting"):
        return "nothing"
    why = "; ".join(filter(None, [mlflow.get("problem"), *mlflow.get("stuck", {}).values()]))
    since = moment(mlflow.get("since_unix_us"))
    return f"{mlflow['waiting']} changes since {since} UTC{f' ({why})' if why else ''}"


def _moment(text: str | None, option: str) -> datetime | None:
    """`24h` before now, or an ISO date and time, in UTC unless it says otherwise."""
    if text is None:
        return None
    span = _SPAN.fullmatch(text)
    if span:
        return datetime.now(UTC) - timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            "expected 30m, 24h, 7d or 2026-11-21T10:00", param_hint=option
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
