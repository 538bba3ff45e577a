"""Early warning of influenza, measured: `python -m plaza_training.forecast.warned --data DIR`.

The event is a week with at least 5 admissions per 100,000. The chance to warn from is set on season
2024-25, at a stated rate of false alarms, and everything is measured on 2025-26.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from plaza_models.forecast.chance import chance_above
from plaza_models.forecast.levels import with_false_alarms
from plaza_training.data import locate
from plaza_training.data.forecasting import FLUSIGHT
from plaza_training.forecast import admissions
from plaza_training.forecast.alarms import brier, by_lead, reliability
from plaza_training.forecast.wis import LEVELS
from plaza_training.progress import Silent

RATE = 5.0
"""Admissions per 100,000 and week."""
WAY = admissions.Way(8, 0.003)
"""As `flusight-forecaster` chose it on 2024-25."""


def chances(table: admissions.Table, season: int) -> tuple[Any, Any]:
    """(origins x locations, leads): the chance of the event, and whether it came. A state that is
    above already is left out: nobody needs a warning of what is there."""
    pairs = admissions.windows(table, [season])
    module = admissions.made(table, season, WAY)
    quantiles = np.sort(admissions.quantiles_for(module, pairs), axis=2)
    limit = RATE * table.people
    said = chance_above(LEVELS, np.moveaxis(quantiles, 2, 0), limit[None, :, None])
    came = pairs.future >= limit[None, :, None]
    quiet = pairs.past[..., -1] < limit
    return said[quiet], came[quiet]


def measured(table: admissions.Table, false_alarms: float) -> Mapping[str, Any]:
    said, came = chances(table, admissions.VALIDATE)
    threshold = with_false_alarms(said.ravel().tolist(), came.ravel().tolist(), false_alarms)
    said, came = chances(table, admissions.TEST)
    return {
        "event": f"at least {RATE:g} admissions per 100,000 in a week, in a state below it so far",
        "warned_from": round(threshold, 4),
        "false_alarms_stated": false_alarms,
        "by_lead": [asdict(lead) for lead in by_lead(said, came, threshold)],
        "brier": brier(said, came),
        "brier_of_the_frequency": brier(np.full(said.shape, came.mean()), came),
        "reliability": [asdict(part) for part in reliability(said, came)],
    }


def main(
    data: Annotated[Path, typer.Option(envvar="PLAZA_DATA")] = Path("data"),
    false_alarms: Annotated[float, typer.Option(min=0, max=1)] = 0.05,
) -> None:
    """Print it as JSON."""
    folder = locate(FLUSIGHT, data, progress=Silent())
    typer.echo(json.dumps(measured(admissions.read(folder), false_alarms), indent=1))


if __name__ == "__main__":
    typer.run(main)
