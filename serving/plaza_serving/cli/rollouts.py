"""`plaza rollouts …`: versions on their way into traffic, and what the gate says of them."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

import plaza
from plaza_serving.cli.models import For
from plaza_serving.cli.session import Session, session
from plaza_serving.cli.show import bar, moment, state, table_of

app = typer.Typer(
    help="Versions on their way into traffic; `models promote --canary` begins one.",
    no_args_is_help=True,
)

Which = Annotated[
    str,
    typer.Argument(help="Its id, rol_…, or a model: its newest rollout.", metavar="ROLLOUT|MODEL"),
]
_WHOLE_PERCENT = 100
_ID = "rol_"
_EVERY_S = 0.5


@app.command("list")
def list_rollouts(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(help="Of this model only.")] = None,
    organisation: For = None,
) -> None:
    """Rollouts of the organisation's own models, newest first."""
    here = session(context)
    with here.hub() as hub:
        found = hub.rollouts.list(model, organisation=organisation)
    rows = [
        (r.id, r.model, r.alias, _way(r), _part(r), state(r.state), moment(r.started_unix_us))
        for r in found
    ]
    columns = ["rollout", "model", "alias", "versions", "part", "state", "started (UTC)"]
    here.answer(found, table_of(columns, rows))


@app.command()
def show(context: typer.Context, rollout: Which, organisation: For = None) -> None:
    """One rollout and its tests: how near each is to stopping it."""
    here = session(context)
    with here.hub() as hub:
        found = hub.rollouts.show(_id(hub, rollout, organisation), organisation=organisation)
        _show(here, found)


@app.command()
def watch(
    context: typer.Context,
    rollout: Which,
    within: Annotated[
        float, typer.Option("--for", min=0, metavar="SECONDS", help="Look on for this long.")
    ] = 600,
    organisation: For = None,
) -> None:
    """Wait until a rollout has ended, then show it; or as it stands when the time is over."""
    here = session(context)
    until = time.monotonic() + within
    with here.hub() as hub:
        number = _id(hub, rollout, organisation)
        while True:
            found = hub.rollouts.show(number, organisation=organisation)
            if found.state != "running" or time.monotonic() >= until:
                break
            time.sleep(_EVERY_S)
    _show(here, found)


@app.command()
def cancel(context: typer.Context, rollout: Which, organisation: For = None) -> None:
    """Let the stable version answer everything again."""
    here = session(context)
    with here.hub() as hub:
        found = hub.rollouts.cancel(_id(hub, rollout, organisation), organisation=organisation)
        _show(here, found)


@app.command()
def promote(context: typer.Context, rollout: Which, organisation: For = None) -> None:
    """Make the candidate the stable version."""
    here = session(context)
    with here.hub() as hub:
        found = hub.rollouts.promote(_id(hub, rollout, organisation), organisation=organisation)
        _show(here, found)


def _id(hub: plaza.Client, text: str, organisation: str | None) -> str:
    """A name has no '_', so that an id is never taken for one."""
    if text.startswith(_ID):
        return text
    found = hub.rollouts.list(text, organisation=organisation)
    if not found:
        raise typer.BadParameter(f"{text} has had no rollout", param_hint="ROLLOUT|MODEL")
    return found[0].id


def _show(here: Session, found: plaza.Rollout) -> None:
    rows = [
        ("rollout", found.id),
        ("model", found.model),
        ("alias", f"{found.alias}: {_way(found)}"),
        ("part", _part(found)),
        ("state", state(found.state)),
        ("started (UTC)", moment(found.started_unix_us)),
        ("ended (UTC)", moment(found.ended_unix_us)),
        ("ended by", found.ended_by),
    ]
    here.answer(found, table_of(["", ""], rows))
    if found.verdict is not None and not here.as_json:
        here.out.print()
        here.out.print(_tests(found.verdict))


def _tests(verdict: Mapping[str, Any]) -> Table:
    """Evidence against its limit on a logarithmic line: full, the rollout is stopped."""
    rows = []
    for test in verdict["tests"]:
        limit = 1 / test["level"]
        part = math.log(max(test["evidence"], 1.0)) / math.log(limit)
        name = test["name"]
        decided = verdict["because"] == name
        rows.append(
            (
                Text(name, style="bold red") if decided else name,
                bar(part),
                f"{test['evidence']:.3g}",
                f"{limit:,.0f}",
                _counts(test["candidate"]),
                _counts(test["stable"]),
            )
        )
    return table_of(["test", "", "evidence#", "stops at#", "candidate#", "stable#"], rows)


def _counts(counts: list[int] | None) -> str | None:
    return None if counts is None else f"{counts[0]:,} of {counts[1]:,}"


def _way(found: plaza.Rollout) -> str:
    return f"{found.stable} → {found.candidate}"


def _part(found: plaza.Rollout) -> str:
    return f"{found.kind} {found.part / _WHOLE_PERCENT:g} %"
