"""`plaza quota …`, `plaza prices …`, `plaza shares …`: what may be spent, and what work costs.

Amounts are compute units: microseconds × weight. `90s`, `15m` and `2h` stand for so much device
time at weight 1.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Annotated

import typer

import plaza
from plaza_core.budget import Period
from plaza_core.ids import kind_of_node
from plaza_serving.cli.chart import bar
from plaza_serving.cli.session import Session, session
from plaza_serving.cli.show import moment, plain, table_of
from plaza_serving.cli.tenants import own

quota = typer.Typer(
    help="Budgets of organisations, projects and keys, in compute units: µs × weight.",
    no_args_is_help=True,
)
prices = typer.Typer(help="What work costs, by provider and model.", no_args_is_help=True)
shares = typer.Typer(help="What organisations are guaranteed of the pools.", no_args_is_help=True)

_AMOUNT = re.compile(r"(\d{1,16})([smh]?)")
_UNITS = {"": 1, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6}


def amount(text: str) -> int:
    found = _AMOUNT.fullmatch(text.replace(",", "").replace("_", ""))
    if not found:
        raise typer.BadParameter("expected a number of units, or 90s, 15m, 2h of device time")
    return int(found[1]) * _UNITS[found[2]]


Of = Annotated[str | None, typer.Option("--organisation", help="Default: the key's own.")]
Project = Annotated[str | None, typer.Option(help="One project of it, by name.")]
Key = Annotated[str | None, typer.Option("--key-id", help="One key of it, by id.")]
Amount = Annotated[int, typer.Argument(parser=amount, metavar="UNITS|90s|15m|2h")]


# ── budgets ──────────────────────────────────────────────────────────────────────────────────────
@quota.command("show")
def show_quota(
    context: typer.Context, organisation: Of = None, project: Project = None, key_id: Key = None
) -> None:
    """How budgets stand: all of an organisation's, or one node's."""
    here = session(context)
    with here.hub() as hub:
        whose = own(hub, organisation)
        if project is not None or key_id is not None:
            show(here, [hub.quotas.show(whose, project=project, key=key_id)])
        elif (found := hub.quotas.list(whose)) or here.as_json:
            show(here, found)
        else:
            for line in _unlimited(hub, whose, organisation):
                here.out.print(plain(line))


@quota.command("set")
def set_quota(
    *,
    context: typer.Context,
    limit: Annotated[
        int | None,
        typer.Option(parser=amount, metavar="UNITS|90s|15m|2h", help="What may be spent."),
    ] = None,
    count_only: Annotated[
        bool, typer.Option("--count-only", help="Count, and never refuse.")
    ] = False,
    period: Annotated[
        Period | None,
        typer.Option(help="Counted by the calendar, UTC. Default: as it is; month at first."),
    ] = None,
    organisation: Of = None,
    project: Project = None,
    key_id: Key = None,
) -> None:
    """Set what a node may spend per period. An organisation's own: for operators."""
    if count_only == (limit is not None):
        raise typer.BadParameter("say either --limit or --count-only")
    here = session(context)
    with here.hub() as hub:
        whose = own(hub, organisation)
        done = hub.quotas.set(
            whose,
            limit,
            period=period.value if period else None,
            project=project,
            key=key_id,
        )
    show(here, [done])


@quota.command("raise")
def raise_quota(
    context: typer.Context,
    by: Amount,
    organisation: Of = None,
    project: Project = None,
    key_id: Key = None,
) -> None:
    """Raise a limit; it counts at once."""
    here = session(context)
    with here.hub() as hub:
        whose = own(hub, organisation)
        show(here, [hub.quotas.raise_limit(whose, by, project=project, key=key_id)])


@quota.command("lower")
def lower_quota(
    context: typer.Context,
    by: Amount,
    organisation: Of = None,
    project: Project = None,
    key_id: Key = None,
) -> None:
    """Lower a limit. Below what is used nothing more is granted; running work ends."""
    here = session(context)
    with here.hub() as hub:
        whose = own(hub, organisation)
        show(here, [hub.quotas.lower_limit(whose, by, project=project, key=key_id)])


@quota.command("remove")
def remove_quota(
    context: typer.Context, organisation: Of = None, project: Project = None, key_id: Key = None
) -> None:
    """Lift the limit of a node."""
    here = session(context)
    with here.hub() as hub:
        whose = own(hub, organisation)
        hub.quotas.remove(whose, project=project, key=key_id)
    node = key_id or project or whose
    here.answer({"node": node, "removed": True}, table_of(["no longer limited"], [(node,)]))


@quota.command("estimate")
def estimate(
    *,
    context: typer.Context,
    model: str,
    organisation: Of = None,
    project: Project = None,
    key_id: Key = None,
    device_us: Annotated[
        int | None, typer.Option(min=0, help="What one takes; default: what they took lately.")
    ] = None,
    host_us: Annotated[int | None, typer.Option(min=0)] = None,
    rows: Annotated[int | None, typer.Option(min=1)] = None,
    provider: Annotated[str | None, typer.Option(help="Where it would run.")] = None,
) -> None:
    """How many requests to a model the budgets still allow: those of the caller's own key, unless
    another node is named."""
    here = session(context)
    with here.hub() as hub:
        me = hub.whoami()
        if (organisation, project, key_id) == (None, None, None) and not _is_person(me.key):
            key_id = me.key
        found = hub.quotas.estimate(
            organisation or me.organisation_name,
            model,
            project=project,
            key=key_id,
            device_us=device_us,
            host_us=host_us,
            rows=rows,
            provider=provider,
        )
    left = "no limit" if found.requests is None else found.requests
    basis = f"mean of {found.seen:,} requests" if found.seen else "as given"
    columns = ["requests left#", "one costs#", "by", "remaining#", "of the"]
    tightest = None if found.node is None else f"{kind_of_node(found.node)} {found.node}"
    rows_ = [(left, found.cost, basis, found.remaining, tightest)]
    here.answer(found, table_of(columns, rows_))


def _is_person(actor: str) -> bool:
    return actor.startswith("mbr_")


@quota.command("concurrency")
def concurrency(
    *,
    context: typer.Context,
    limit: Annotated[int | None, typer.Option(min=1, help="Most at once.")] = None,
    none: Annotated[bool, typer.Option("--none", help="Lift the limit.")] = False,
    organisation: Of = None,
    project: Project = None,
    key_id: Key = None,
) -> None:
    """Limit how many requests of a node are inside at once, over all replicas."""
    if none == (limit is not None):
        raise typer.BadParameter("say either --limit or --none")
    here = session(context)
    with here.hub() as hub:
        whose = own(hub, organisation)
        hub.quotas.limit_concurrency(whose, limit, project=project, key=key_id)
    node = key_id or project or whose
    row = (node, "no limit" if limit is None else limit)
    here.answer({"node": node, "limit": limit}, table_of(["node", "at once#"], [row]))


@quota.command("priority")
def priority(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="KEY")],
    number: Annotated[int, typer.Option("--set", min=-10, max=10, help="Higher goes first.")],
    organisation: Of = None,
) -> None:
    """Say which keys of an organisation go first."""
    here = session(context)
    with here.hub() as hub:
        hub.quotas.set_priority(own(hub, organisation), key_id, number)
    result = {"key": key_id, "priority": number}
    here.answer(result, table_of(["key", "priority#"], [(key_id, number)]))


def _unlimited(hub: plaza.Client, whose: str, organisation: str | None) -> Iterator[str]:
    """In words, where there is no budget to show: what is not limited, and what was used of it."""
    project = hub.whoami().project_name
    if project is None:
        yield f"Spending is not limited: {whose} has no budget, nor has a project or a key of it."
    else:
        yield f"Project {project} of {whose} has no budget, nor has a key of it."
        yield f"Whether {whose} has one, a key of a project does not see."
    used = hub.usage(organisation=organisation)
    requests, charge = sum(one.requests for one in used), sum(one.charge for one in used)
    yield f"Used in the last 24 hours: {requests:,} requests, {charge:,} compute units."
    yield "Longer: plaza usage --since 30d. A limit: plaza quota set --limit 200h."


def show(here: Session, found: list[plaza.Budget]) -> None:
    rows = [
        (
            b.kind,
            b.label or b.project_name or b.organisation_name if b.kind != "key" else b.node,
            b.period,
            "counts only" if b.limit is None else b.limit,
            b.settled,
            b.leased,
            b.remaining,
            bar(b.settled + b.leased, b.limit),
            moment(b.period_end_unix_us),
            moment(b.runs_out_unix_us),
        )
        for b in found
    ]
    columns = ["kind", "node", "period", "limit#", "used#", "held#", "left#", "taken"]
    here.answer(found, table_of([*columns, "begins anew (UTC)", "runs out (UTC)"], rows))


# ── prices ───────────────────────────────────────────────────────────────────────────────────────
@prices.command("list")
def list_prices(context: typer.Context) -> None:
    """The price list, the most specific first."""
    here = session(context)
    with here.hub() as hub:
        _show_prices(here, hub.prices.list())


@prices.command("set")
def set_price(
    *,
    context: typer.Context,
    provider: Annotated[str | None, typer.Option(help="Default: every provider.")] = None,
    model: Annotated[
        str | None, typer.Option(help="organisation.project.model; default: every model.")
    ] = None,
    weight: Annotated[int, typer.Option(min=0, help="Units per µs of device time.")] = 1,
    host_weight: Annotated[int, typer.Option(min=0, help="Units per µs of host time.")] = 1,
    fixed: Annotated[int | None, typer.Option(min=0, help="Units per row instead.")] = None,
) -> None:
    """Set what work costs. For operators."""
    here = session(context)
    with here.hub() as hub:
        done = hub.prices.set(
            provider=provider, model=model, weight=weight, host_weight=host_weight, fixed=fixed
        )
    _show_prices(here, [dataclasses.replace(done, model_name=model)])


@prices.command("remove")
def remove_price(
    context: typer.Context,
    provider: Annotated[str | None, typer.Option()] = None,
    model: Annotated[str | None, typer.Option()] = None,
) -> None:
    """Take a price from the list, named as it was set. For operators."""
    here = session(context)
    with here.hub() as hub:
        hub.prices.remove(provider=provider, model=model)
    result = {"provider": provider, "model": model, "removed": True}
    here.answer(result, table_of(["provider", "model"], [(provider or "any", model or "any")]))


def _show_prices(here: Session, found: list[plaza.Price]) -> None:
    rows = [
        (p.provider or "any", p.model_name or p.model or "any", p.weight, p.host_weight, p.fixed)
        for p in found
    ]
    columns = ["provider", "model", "per device µs#", "per host µs#", "fixed per row#"]
    here.answer(found, table_of(columns, rows))


# ── shares ───────────────────────────────────────────────────────────────────────────────────────
@shares.command("list")
def list_shares(context: typer.Context) -> None:
    """Guaranteed shares, relative to one another."""
    here = session(context)
    with here.hub() as hub:
        _show_shares(here, hub.shares.list())


@shares.command("set")
def set_share(
    context: typer.Context,
    organisation: Annotated[str, typer.Argument(metavar="ORGANISATION")],
    weight: Annotated[int, typer.Option(min=1, max=1000)],
    borrow_percent: Annotated[
        int | None, typer.Option(min=0, help="Of its own share; default: no limit.")
    ] = None,
) -> None:
    """Guarantee an organisation its part of every pool. For operators."""
    here = session(context)
    with here.hub() as hub:
        _show_shares(here, [hub.shares.set(organisation, weight, borrow_percent=borrow_percent)])


def _show_shares(here: Session, found: list[plaza.Share]) -> None:
    rows = [
        (s.organisation_name, s.weight, "any" if s.borrow_percent is None else s.borrow_percent)
        for s in found
    ]
    here.answer(found, table_of(["organisation", "weight#", "may borrow %#"], rows))
