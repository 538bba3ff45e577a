"""`plaza infer anomalies` and `plaza infer warn`: a table in CSV goes to the hub as it is."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Annotated

import typer

import plaza
from plaza_serving.cli import inputs
from plaza_serving.cli.infer import AtVersion, Chosen, calling
from plaza_serving.cli.session import session
from plaza_serving.cli.show import plain, table_of

_Sheet = Annotated[
    Path,
    typer.Argument(
        exists=True,
        dir_okay=False,
        readable=True,
        help="A header; `time` in ISO 8601, covariates by name, every other column a series.",
    ),
]
Out = Annotated[Path | None, typer.Option("--csv", help="Write the answer's table here.")]
Draw = Annotated[
    Path | None, typer.Option(help="Write a drawing here (SVG); a request of its own.")
]


def anomalies(
    *,
    context: typer.Context,
    file: _Sheet,
    steps: Annotated[int | None, typer.Option(min=1, help="Score the last so many rows.")] = None,
    every: Annotated[
        int | None, typer.Option(min=1, help="Rows from forecast to forecast.")
    ] = None,
    model: Chosen = None,
    version: AtVersion = None,
    out: Out = None,
    draw: Draw = None,
) -> None:
    """How strange the last values were: 0 as expected, near 1 hardly ever."""
    with calling(context) as hub:
        found = hub.table("anomalies", file, model=model, version=version, steps=steps, every=every)
        if draw is not None:
            drawn = hub.table(
                "anomalies",
                file,
                model=model,
                version=version,
                steps=steps,
                every=every,
                form="svg",
            )
            draw.write_bytes(drawn.content)
    shown(context, found, out)


def warn(
    *,
    context: typer.Context,
    file: _Sheet,
    level: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=THRESHOLD", help="The mildest first; default the model's."),
    ] = None,
    below: Annotated[bool, typer.Option("--below", help="Warn of values below it.")] = False,
    horizon: Annotated[int | None, typer.Option(min=1, help="Steps ahead.")] = None,
    at: Annotated[str | None, typer.Option(help="Time of the last row; default its own.")] = None,
    state: Annotated[
        Path | None, typer.Option(help="Read here what the answer before said; kept here again.")
    ] = None,
    model: Chosen = None,
    version: AtVersion = None,
    out: Out = None,
    draw: Draw = None,
) -> None:
    """What to warn of, since when, and how likely it is at each step ahead."""
    levels = [_level(said, above=not below) for said in level or ()] or None
    with calling(context) as hub:
        before = inputs.text(state) if state is not None and state.exists() else None

        def ask(form: plaza.TableForm) -> plaza.Table:
            return hub.table(
                "warn", file, model=model, version=version, form=form, levels=levels,
                horizon=horizon, at=at, state=before,
            )  # fmt: skip

        found = ask("csv")
        if draw is not None:
            draw.write_bytes(ask("svg").content)
    if state is not None and found.state is not None:
        state.write_text(found.state)
    shown(context, found, out)


def mount(app: typer.Typer) -> None:
    """Add the verbs to `plaza infer`."""
    app.command()(anomalies)
    app.command()(warn)


def _level(said: str, *, above: bool) -> plaza.WarningLevel:
    name, _, text = said.rpartition("=")
    try:
        threshold = float(text)
    except ValueError:
        threshold = math.nan
    if not name or math.isnan(threshold):
        raise typer.BadParameter("expected NAME=THRESHOLD", param_hint="--level")
    return plaza.WarningLevel(name, threshold, above=above)


def shown(
    context: typer.Context, found: plaza.Table, out: Path | None, *, spread: bool = False
) -> None:
    """Quantiles are many: of them a terminal gets the median, and with `spread` the outer ones."""
    here = session(context)
    if out is not None:
        out.write_bytes(found.content)
    rows = list(csv.DictReader(io.StringIO(found.content.decode())))
    quantiles = [name for name in rows[0] if name.startswith("q")]
    kept = {"q0.5", *quantiles[:: len(quantiles) - 1 or 1]} if spread else {"q0.5"}
    columns = [name for name in rows[0] if name not in quantiles or name in kept]
    table = table_of(
        [name if name in _WORDS else f"{name}#" for name in columns],
        [[_short(row[name]) for name in columns] for row in rows],
    )
    here.answer({"rows": rows, "state": found.state}, table)
    if not here.as_json:
        here.out.print(plain(f"{found.cost.charge} compute units"), style="dim")


_WORDS = ("series", "time", "level", "since")


def _short(cell: str) -> str:
    try:
        return f"{float(cell):.4g}"
    except ValueError:
        return cell or "-"
