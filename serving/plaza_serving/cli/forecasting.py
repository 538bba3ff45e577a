"""`plaza infer forecast`: series of a file, continued. The hub knows which columns of a table are
covariates of the model; a column alone, and what JSON says, go as values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import plaza
from plaza_serving.cli import sheets
from plaza_serving.cli.infer import AtVersion, Chosen, calling, origin
from plaza_serving.cli.series import Draw, Out, shown
from plaza_serving.cli.session import session
from plaza_serving.cli.show import table_of

_STEPS = 12
"""Ahead, where neither the caller nor a table says how many."""


def forecast(
    *,
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            readable=True,
            help="CSV: a header; `time` in ISO 8601, covariates by name, every other column a "
            "series; rows ahead without values. Or a column of numbers. Or .json: the body of "
            "POST /v1/forecast.",
        ),
    ],
    column: Annotated[
        list[str] | None,
        typer.Option(help="Only this series of a table; may be repeated. Default: all of them."),
    ] = None,
    known: Annotated[
        list[str] | None,
        typer.Option(help="With --column: a covariate that goes along; may be repeated."),
    ] = None,
    horizon: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Steps ahead. Default: the rows ahead of a table, else all that the model can; "
            f"{_STEPS} for a column alone.",
        ),
    ] = None,
    quantile: Annotated[list[float] | None, typer.Option(help="Default: the model's.")] = None,
    model: Chosen = None,
    version: AtVersion = None,
    out: Out = None,
    draw: Draw = None,
) -> None:
    """Continue series: their quantiles at each step ahead."""
    if known and not column:
        raise typer.BadParameter("without --column, covariates are known by their names")
    of_json = file.suffix.lower() == ".json"
    if of_json and (column or out or draw):
        raise typer.BadParameter("--column, --csv and --draw are for tables")
    quantiles = quantile or None
    with calling(context) as hub:
        if of_json:
            asked: sheets.Asked | None = sheets.asked(file)
        else:
            sheet = sheets.sheet(file, column or (), known or ())
            alone = sheet.single()
            asked = None if alone is None or out or draw else sheets.Asked(values=alone)
            horizon = horizon if alone is None else horizon or _STEPS
        if asked is not None:
            asked = asked.over(model=model, version=version, horizon=horizon, quantiles=quantiles)
            _typed(context, _answered(hub, asked))
            return

        def ask(form: plaza.TableForm) -> plaza.Table:
            return hub.table(
                "forecast", sheet.csv(), model=model, version=version, form=form,
                horizon=horizon, quantiles=quantiles,
            )  # fmt: skip

        table = ask("csv")
        if draw is not None:
            draw.write_bytes(ask("svg").content)
    shown(context, table, out, spread=True)


def _answered(hub: plaza.Client, asked: sheets.Asked) -> plaza.Forecast | plaza.Forecasts:
    ahead = asked.horizon or _STEPS
    model, version, known = asked.model, asked.version, asked.known
    quantiles = asked.quantiles
    if asked.values is not None:
        return hub.forecast(
            asked.values, ahead, model=model, version=version, quantiles=quantiles, known=known
        )
    return hub.forecasts(
        asked.series or (), ahead, model=model, version=version, quantiles=quantiles, known=known
    )


def _typed(context: typer.Context, found: plaza.Forecast | plaza.Forecasts) -> None:
    """A row for each step, of each series where several were sent."""
    several = isinstance(found, plaza.Forecasts)
    each = found.values if several else found.values[None]
    columns = ["step#", *(f"{q:g}#" for q in found.quantiles)]
    rows = [
        (*([at] if several else []), step, *(f"{v:.4g}" for v in values))
        for at, one in enumerate(each)
        for step, values in enumerate(one.T, 1)
    ]
    session(context).answer(found, table_of([*(["series#"] if several else []), *columns], rows))
    origin(context, found)


def mount(app: typer.Typer) -> None:
    """Add the verb to `plaza infer`."""
    app.command()(forecast)
