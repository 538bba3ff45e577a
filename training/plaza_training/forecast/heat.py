"""Recipe `wet-bulb-forecaster`: the wet-bulb temperature of the next two days, from its own last
week, the hour and the season. What heat does to people is told by it, not by the thermometer."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from plaza_models.forecast.options import ForecastOptions
from plaza_training.data import locate
from plaza_training.data.forecasting import WEATHER
from plaza_training.forecast.assemble import Fitted, assembled, expected, inputs_of
from plaza_training.forecast.choose import shares_of, squared_error
from plaza_training.forecast.forecaster import Fixed, Forecaster, applied, fixed, quantiles_of
from plaza_training.forecast.linear import forecast, ridge, seasonal
from plaza_training.forecast.protocols import Exam, Pairs, Trial, rooted
from plaza_training.forecast.recipes import scales
from plaza_training.forecast.ridges import Values, standard_ridge
from plaza_training.forecast.sets import Series
from plaza_training.forecast.watch import History, Watch, set_levels
from plaza_training.recipe import Job, Recipe, Story, Trained

CONTEXT, HORIZON, DAY = 336, 48, 24
REACH = 168
"""Values that the member reads; the whole context tells how restless the weather is."""
PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1)
LEVELS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99)
KNOWN = ("hour", "day of the year")
WATCH = Watch(
    thresholds={"hot": 12.0, "very hot": 13.5},
    false_alarms=0.02,
    said="a wet bulb above the threshold, °C",
)
"""About the highest 5 % and 1 % of the hours that teach."""


@dataclass(frozen=True, slots=True)
class Table:
    values: Series
    """(hours,) degrees Celsius."""
    known: Series
    """(covariates, hours)."""


class Course(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """A member: one linear map for all steps, of what lies behind and of the hour and season that
    the last value was measured in."""

    def __init__(self, weights: Values, bias: Values) -> None:
        super().__init__()
        self.weights, self.bias = fixed(weights), fixed(bias)

    def forward(self, values: Tensor, known: Tensor) -> Tensor:
        ahead: Tensor = seen(values, known) @ self.weights + self.bias + values[:, -1:]
        return ahead


def seen(values: Tensor, known: Tensor) -> Tensor:
    """(batch, features): moves since the last week's hours, and turns of day and year."""
    hour, day = known[:, 0, CONTEXT - 1 : CONTEXT], known[:, 1, CONTEXT - 1 : CONTEXT]
    turn, year = hour * (2 * np.pi / DAY), day * (2 * np.pi / 365.25)
    daily = torch.cat([turn, 2 * turn, 3 * turn], 1)
    turns = torch.cat([torch.sin(daily), torch.cos(daily)], 1)
    season = torch.cat([torch.sin(year), torch.cos(year)], 1)
    # How much the day does depends on the season.
    both = (turns.unsqueeze(2) * season.unsqueeze(1)).flatten(1)
    return torch.cat(
        [values[:, -REACH:-1] - values[:, -1:], values[:, -1:], turns, season, both], 1
    )


def read(folder: Path) -> Table:
    """All hours, with what is known of each."""
    with (folder / "WTH.csv").open(newline="", encoding="utf-8") as file:
        rows = [(row["date"], float(row["WetBulbCelsius"])) for row in csv.DictReader(file)]
    times = [datetime.strptime(date, "%m/%d/%Y %H:%M") for date, _ in rows]  # noqa: DTZ007 local time
    known = [[at.hour for at in times], [at.timetuple().tm_yday for at in times]]
    return Table(np.array([value for _, value in rows], np.float32), np.array(known, np.float32))


def windows(table: Table, first: int, last: int) -> Pairs:
    """One for each hour whose next two days lie in [first, last)."""
    starts = np.arange(max(first, CONTEXT), last - HORIZON + 1)[:, None]
    around = starts + np.arange(-CONTEXT, HORIZON)
    return Pairs(
        table.values[starts + np.arange(-CONTEXT, 0)],
        table.values[starts + np.arange(HORIZON)],
        table.known[:, around].transpose(1, 0, 2),
    )


def fit(pairs: Pairs, options: ForecastOptions, penalty: float) -> Course:
    tensors = inputs_of(pairs, options)
    x = applied(seen, *tensors.values())
    ahead = _scaled(pairs, options) - tensors["values"][:, -1:]
    return Course(*standard_ridge(x, ahead, penalty))


def _scaled(pairs: Pairs, options: ForecastOptions) -> Values:
    """The future in units of each window, as the graph gives it."""
    offset, factor = scales(pairs.past, options.scaling)
    scaled: Values = (pairs.future - offset.astype(np.float64)) / factor.astype(np.float64)
    return scaled


def forecaster(job: Job) -> Trained:
    """Penalties, intervals and levels on the 10 months before the test; fitted again with them."""
    table = read(locate(WEATHER, job.data_dir, only={"WTH.csv"}, progress=job.progress))
    train, valid, test = (WEATHER.split(f"WTH {part}") for part in ("train", "valid", "test"))
    options = ForecastOptions(
        context=CONTEXT,
        horizon=HORIZON,
        quantiles=list(LEVELS),
        scaling="standard",
        step_seconds=3600,
        unit="°C wet bulb",
        known=list(KNOWN),
        gaps="fill",
    )
    learning = windows(table, train.first, train.last)
    kept = windows(table, valid.first, valid.last)
    tensors, actual = inputs_of(kept, options), _scaled(kept, options)
    ahead = {p: applied(fit(learning, options, p), *tensors.values()) for p in PENALTIES}
    shares = shares_of(ahead, squared_error(actual))
    point = sum(share * ahead[p] for p, share in shares.items())
    errors = quantiles_of(actual - point, LEVELS)
    weighing = Fixed(list(shares.values()))
    tried = Forecaster([fit(learning, options, p) for p in shares], weighing, errors)
    history = History.of(expected(tried, kept, options), kept, WATCH)
    every = windows(table, train.first, valid.last)
    exam = Exam(
        learning=[every],
        calibration=kept,
        trials=[Trial(windows(table, test.first, test.last), rooted, metric="rmse", stretch=96)],
        split=(
            f"rows {test.first:,} to {test.last:,} of WTH (10 months from February 2013), every "
            "hour, the 48 hours after it"
        ),
    )
    return assembled(
        Fitted(
            module=Forecaster([fit(every, options, p) for p in shares], weighing, errors),
            options=options.model_copy(update={"levels": set_levels(WATCH, history, options)}),
            exam=exam,
            parameters={"chosen": {f"penalty {p:g}": share for p, share in shares.items()}},
            simpler={
                "ridge": partial(_point, ridge([_cut(learning)], penalty=1e-3)),
                "the day before": partial(_point, seasonal(REACH, HORIZON, DAY)),
                "last value": partial(_point, seasonal(REACH, HORIZON, 1)),
            },
            data=WEATHER,
            story=STORY,
            sample={"known": _sample_known()},
            watch=WATCH,
        )
    )


def _cut(pairs: Pairs) -> Pairs:
    return Pairs(pairs.past[:, -REACH:], pairs.future)


def _point(weights: Values, pairs: Pairs) -> Values:
    return forecast(weights, pairs.past[:, -REACH:])


def _sample_known() -> list[list[float]]:
    """Two weeks of July and two days more."""
    hours = np.arange(CONTEXT + HORIZON)
    rows: list[list[float]] = np.stack((hours % DAY, 190.0 + hours // DAY)).tolist()
    return rows


STORY = Story(
    title="Wet-bulb temperature of the next two days, with warning levels",
    summary=(
        "Reads two weeks of hourly wet-bulb temperatures, the hour and the day of the year, and "
        "gives eleven quantiles and a mean for each of the next 48 hours. A ridge on the last "
        "week; intervals grow and shrink with how restless the last two weeks were. Two warning "
        "levels, raised from a chance that warned about 2 % of the hours without such heat ahead."
    ),
    limits=(
        "Learnt from one cold, high station (22 inches of mercury): its hottest wet bulb in four "
        "years is 16.3 °C, so its levels are what is hot there and endanger nobody; elsewhere send "
        "levels of your own, and learn from your own station. It sees no weather forecast, and "
        "hours are local."
    ),
)
RECIPES: Mapping[str, Recipe] = {"wet-bulb-forecaster": forecaster}
