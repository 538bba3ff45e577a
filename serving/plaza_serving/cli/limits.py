"""More of `plaza quota …`: rates, counts and storage, calendars, and what replicas hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any

import typer

from plaza_core.held import Held
from plaza_core.windows import Weekday
from plaza_serving.cli.quotas import Key, Of, Project, amount, quota
from plaza_serving.cli.quotas import show as show_budgets
from plaza_serving.cli.session import session
from plaza_serving.cli.show import moment, rate, table_of
from plaza_serving.cli.tenants import own

_WINDOW = re.compile(r"(?:(?P<first>[\d-]*)\.\.(?P<until>[\d-]*))?(?:@(?P<days>[a-z,]+))?")
_FORM = "a window is FROM..UNTIL=LIMIT, @sat,sun=LIMIT or both; dates as 2026-12-01; LIMIT or any"


def list_limits(context: typer.Context, organisation: Of = None) -> None:
    """Every limit but budgets, down the tree: rates, concurrency, priorities, what nodes hold."""
    here = session(context)
    with here.hub() as hub:
        found = hub.quotas.limits(own(hub, organisation))
    rows = [
        (
            f"{'  ' * _DEPTH[one.kind]}{one.kind}",
            one.name if one.kind != "key" else f"{one.node} {one.name}".strip(),
            one.project_name if one.kind == "key" else None,
            rate(one.rate),
            one.concurrency,
            one.priority,
            " · ".join(map(_held, filter(_telling, one.holdings))),
        )
        for one in found
    ]
    columns = ["node", "name", "project", "rate", "at once#", "priority#", "holds"]
    here.answer(found, table_of(columns, rows))


_DEPTH = {"organisation": 0, "project": 1, "key": 1}


def _telling(one: Any) -> bool:
    return bool(one["used"]) or one["limit"] is not None


def _held(one: Any) -> str:
    most = "" if one["limit"] is None else f" of {one['limit']:,}"
    return f"{one['what']} {one['used']:,}{most}"


def set_rate(
    *,
    context: typer.Context,
    per_second: Annotated[float | None, typer.Option(min=0, help="Sustained requests.")] = None,
    burst: Annotated[
        int | None, typer.Option(min=1, help="Requests that may come at once.")
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Lift it; not for organisations.")] = False,
    organisation: Of = None,
    project: Project = None,
    key_id: Key = None,
) -> None:
    """Limit how many requests per second a node sends. An organisation's own: for operators."""
    given = per_second is not None and burst is not None
    if none == given or (none and (per_second, burst) != (None, None)):
        raise typer.BadParameter("say --per-second and --burst, or --none")
    terms = None if per_second is None or burst is None else (per_second, burst)
    here = session(context)
    with here.hub() as hub:
        whose = own(hub, organisation)
        done = hub.quotas.set_rate(whose, terms, project=project, key=key_id)
    node = key_id or project or whose
    shown = rate(done) or "no limit of its own"
    here.answer({"node": node, "rate": done}, table_of(["node", "rate"], [(node, shown)]))


def set_holding(
    *,
    context: typer.Context,
    what: Annotated[Held, typer.Argument(help="What is counted.")],
    limit: Annotated[int | None, typer.Option(min=0, help="Most it may hold.")] = None,
    none: Annotated[bool, typer.Option("--none", help="Lift the limit.")] = False,
    organisation: Of = None,
    project: Project = None,
) -> None:
    """Limit how many objects or bytes a node holds. An organisation's own: for operators."""
    if none == (limit is not None):
        raise typer.BadParameter("say either --limit or --none")
    here = session(context)
    with here.hub() as hub:
        whose = own(hub, organisation)
        done = hub.quotas.set_holding(whose, what.value, limit, project=project)
    most = "any" if done.limit is None else done.limit
    row = (project or whose, done.what, done.used, most)
    here.answer(done, table_of(["node", "what", "holds#", "may hold#"], [row]))


def window(text: str) -> dict[str, Any]:
    """`2026-12-01..2027-01-01=200h`, `@sat,sun=0` or both as a window of the admin API."""
    when, _, much = text.rpartition("=")
    found = _WINDOW.fullmatch(when)
    if not found or not when:
        raise typer.BadParameter(_FORM)
    days = [day for day in (found["days"] or "").split(",") if day]
    try:
        made = {name: date.fromisoformat(found[name]) for name in ("first", "until") if found[name]}
        weekdays = [Weekday(day).value for day in days]
    except ValueError:
        raise typer.BadParameter(_FORM) from None
    named: dict[str, Any] = {name: day.isoformat() for name, day in made.items()}
    if weekdays:
        named["weekdays"] = weekdays
    return {**named, "limit": None if much == "any" else amount(much)}


def calendar(
    *,
    context: typer.Context,
    windows: Annotated[
        list[str] | None,
        typer.Option("--window", metavar="WHEN=LIMIT", help="Repeatable; the first that fits."),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="The usual limit always.")] = False,
    organisation: Of = None,
    project: Project = None,
    key_id: Key = None,
) -> None:
    """Show or replace when a budget has another limit than usual.

    WHEN is FROM..UNTIL (dates; UNTIL is the first day outside; either may be left out), @sat,sun
    for budgets per day, or both: --window 2026-12-01..2027-01-01=200h --window @sat,sun=0
    """
    if clear and windows:
        raise typer.BadParameter("say either --window or --clear")
    wanted = [window(one) for one in windows or []]
    here = session(context)
    with here.hub() as hub:
        whose = own(hub, organisation)
        if wanted or clear:
            done = hub.quotas.set_calendar(whose, wanted, project=project, key=key_id)
        else:
            done = hub.quotas.show(whose, project=project, key=key_id)
    rows = [
        (one.get("first"), one.get("until"), " ".join(one.get("weekdays", ())), _much(one["limit"]))
        for one in done.windows
    ]
    rows.append((None, None, "otherwise", _much(done.usual)))
    here.answer(done, table_of(["from", "until", "on", "limit#"], rows))
    if not here.as_json:
        here.out.print()
        show_budgets(here, [done])


def _much(limit: int | None) -> int | str:
    return "any" if limit is None else limit


def list_leases(context: typer.Context) -> None:
    """What replicas hold of budgets, the oldest first. For operators."""
    here = session(context)
    with here.hub() as hub:
        found = hub.quotas.leases()
    rows = [
        (
            lease.id,
            lease.organisation_name,
            lease.key,
            lease.replica,
            "live" if lease.live else "silent",
            moment(lease.opened_unix_us),
            lease.outstanding,
        )
        for lease in found
    ]
    columns = ["lease", "organisation", "key", "replica", "state", "opened (UTC)", "held#"]
    here.answer(found, table_of(columns, rows))


def write_off(
    context: typer.Context,
    lease: Annotated[str, typer.Argument(metavar="LEASE", help="Its id: lse_….")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Charge a lease in full, because its node is lost for good. For operators."""
    here = session(context)
    if not yes:
        typer.confirm(f"Is the node of {lease} lost, with its spool? This is for good", abort=True)
    with here.hub() as hub:
        charged = hub.quotas.write_off(lease)
    here.answer(
        {"lease": lease, "written_off": charged},
        table_of(["lease", "charged#"], [(lease, charged)]),
    )


def mount() -> None:
    """Add these verbs to `plaza quota`."""
    for name, verb in _VERBS.items():
        quota.command(name)(verb)


_VERBS: dict[str, Callable[..., None]] = {
    "limits": list_limits,
    "rate": set_rate,
    "hold": set_holding,
    "calendar": calendar,
    "leases": list_leases,
    "write-off": write_off,
}
