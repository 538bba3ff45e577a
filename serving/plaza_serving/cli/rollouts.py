"""`plaza rollouts …`: versions on their way into traffic, and what the gate says of them."""

from __future__ import annotations

import math
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

Id = Annotated[str, typer.Argument(help="The rollout's id: rol_….", metavar="ROLLOUT")]
_WHOLE_PERCENT = 100


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
def show(context: typer.Context, rollout: Id, organisation: For = None) -> None:
    """One rollout and its tests: how near each is to stopping it."""
    here = session(context)
    with here.hub() as hub:
        _show(here, hub.rollouts.show(rollout, organisation=organisation))


@app.command()
def cancel(context: typer.Context, rollout: Id, organisation: For = None) -> None:
    """Let the stable version answer everything again."""
    here = session(context)
    with here.hub() as hub:
        _show(here, hub.rollouts.cancel(rollout, organisation=organisation))


@app.command()
def promote(context: typer.Context, rollout: Id, organisation: For = None) -> None:
    """Make the candidate the stable version."""
    here = session(context)
    with here.hub() as hub:
        _show(here, hub.rollouts.promote(rollout, organisation=organisation))


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
