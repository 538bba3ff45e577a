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
from plaza_training.forecast.assemble import Fitted, assembled, expected
from plaza_training.forecast.forecaster import Fixed, Forecaster, applied, fixed, quantiles_of
from plaza_training.forecast.linear import forecast, ridge, seasonal
from plaza_training.forecast.promise import Numbers
from plaza_training.forecast.protocols import Exam, Pairs, Trial, rooted
from plaza_training.forecast.ridges import Values, standard_ridge
from plaza_training.forecast.sets import Series
from plaza_training.forecast.watch import History, Watch, set_levels
from plaza_training.recipe import Job, Recipe, Story, Trained

CONTEXT, HORIZON, DAY, YEAR = 168, 48, 24, 365.25
REACH = 72
"""Values that count one by one."""
_WARM = (8.0, 11.0)
"""Degrees from which it is another kind of weather."""
_LEAST = 0.1
PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1)
LEVELS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99)
KNOWN = ("hour", "day of the year")
WATCH = Watch(
    thresholds={"hot": 12.0, "very hot": 13.5},
    false_alarms=0.15,
    said="a wet-bulb temperature above the threshold",
)
"""About the highest 5 % and 1 % of the hours that teach. At most 15 % in nearly every summer is
about 5 % in a usual one, which is 2 % of a year's hours."""
SUMMER = (152, 273)
"""June to September, as days of the year. Levels are set and judged on summers, for no winter hour
could be a false alarm, and the fewer winters a test has, the more often it would seem to err."""


@dataclass(frozen=True, slots=True)
class Table:
    values: Series
    """(hours,) degrees Celsius."""
    known: Series
    """(covariates, hours)."""
    years: Numbers
    """(hours,)."""


class Course(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """A member: one linear map for all steps of what is seen at the last value."""

    def __init__(self, weights: Values, bias: Values) -> None:
        super().__init__()
        self.weights, self.bias = fixed(weights), fixed(bias)

    def forward(self, values: Tensor, known: Tensor) -> Tensor:
        ahead: Tensor = seen(values, known) @ self.weights + self.bias + values[:, -1:]
        return ahead


class Width(nn.Module):  # type: ignore[misc]
    """How wrong it will be about (batch, 1): winters are restless, and heat has a ceiling."""

    def __init__(self, weights: Values, bias: Values) -> None:
        super().__init__()
        self.weights, self.bias = fixed(weights), fixed(bias)

    def forward(self, values: Tensor, known: Tensor) -> Tensor:
        width: Tensor = (restless(values, known) @ self.weights + self.bias).clamp(min=_LEAST)
        return width


def seen(values: Tensor, known: Tensor) -> Tensor:
    """(batch, features): moves since each of the last hours, levels, turns of day and year, and how
    each level and turn counts with the season."""
    last = values[:, -1:]
    levels = torch.cat([last, _mean(values, DAY), _mean(values, 7 * DAY)], 1)
    turn = _turn(known, 0, DAY)
    daily = torch.cat([turn, 2 * turn, 3 * turn], 1)
    year = _turn(known, 1, YEAR)
    turns = torch.cat([torch.sin(daily), torch.cos(daily)], 1)
    season = torch.cat([torch.sin(year), torch.cos(year)], 1)
    halves = torch.cat([torch.sin(2 * year), torch.cos(2 * year)], 1)
    when = torch.cat([turns, season, halves], 1)
    parts = [values[:, -REACH:-1] - last, levels, when]
    parts += [_products(turns, season), _products(levels, when)]
    return torch.cat([*parts, *(torch.relu(levels - edge) for edge in _WARM)], 1)


def restless(values: Tensor, known: Tensor) -> Tensor:
    """(batch, features) that tell how large errors will be."""
    year = _turn(known, 1, YEAR)
    levels = torch.cat([values[:, -1:], _mean(values, DAY)], 1)
    spreads = [values[:, -hours:].std(1, keepdim=True) for hours in (REACH, DAY)]
    warm = [torch.relu(levels - edge) for edge in _WARM]
    return torch.cat([torch.sin(year), torch.cos(year), levels, *warm, *spreads], 1)


def _mean(values: Tensor, hours: int) -> Tensor:
    mean: Tensor = values[:, -hours:].mean(1, keepdim=True)
    return mean


def _turn(known: Tensor, row: int, length: float) -> Tensor:
    """Of a covariate at the last value, as an angle."""
    return known[:, row, CONTEXT - 1 : CONTEXT] * (2 * np.pi / length)


def _products(one: Tensor, other: Tensor) -> Tensor:
    return (one.unsqueeze(2) * other.unsqueeze(1)).flatten(1)


def read(folder: Path) -> Table:
    """All hours, with what is known of each."""
    with (folder / "WTH.csv").open(newline="", encoding="utf-8") as file:
        rows = [(row["date"], float(row["WetBulbCelsius"])) for row in csv.DictReader(file)]
    times = [datetime.strptime(date, "%m/%d/%Y %H:%M") for date, _ in rows]  # noqa: DTZ007 local time
    known = [[at.hour for at in times], [at.timetuple().tm_yday for at in times]]
    return Table(
        np.array([value for _, value in rows], np.float32),
        np.array(known, np.float32),
        np.array([at.year for at in times]),
    )


def windows(table: Table, first: int, last: int) -> Pairs:
    """One for each hour whose next two days lie in [first, last); a piece is a year."""
    starts = np.arange(max(first, CONTEXT), last - HORIZON + 1)[:, None]
    around = starts + np.arange(-CONTEXT, HORIZON)
    return Pairs(
        table.values[starts + np.arange(-CONTEXT, 0)],
        table.values[starts + np.arange(HORIZON)],
        table.known[:, around].transpose(1, 0, 2),
        table.years[starts[:, 0]],
    )


def summers(pairs: Pairs) -> Pairs:
    """The hours that levels are set and judged on."""
    _, known = _tensors(pairs)
    day = known[:, 1, CONTEXT - 1]
    return pairs.only((day >= SUMMER[0]) & (day <= SUMMER[1]))


def fit(pairs: Pairs, penalty: float) -> Course:
    x = applied(seen, *_tensors(pairs))
    ahead = (pairs.future - pairs.past[:, -1:]).astype(np.float64)
    return Course(*standard_ridge(x, ahead, penalty))


def fit_width(pairs: Pairs, member: Course) -> Width:
    """Of the mean absolute error at each step, one factor for all steps."""
    wrong: Values = np.abs(pairs.future - applied(member, *_tensors(pairs)))
    relative: Values = (wrong / wrong.mean(0)).mean(1, keepdims=True)
    return Width(*standard_ridge(applied(restless, *_tensors(pairs)), relative, 0.01))


def _tensors(pairs: Pairs) -> tuple[Series, Series]:
    if pairs.known is None:
        raise ValueError("these windows have no calendar")
    return pairs.past, pairs.known


def forecaster(job: Job) -> Trained:
    """Penalty and intervals on the 10 months before the test; fitted again with them. Levels on the
    three summers before the test, each forecast by what all other years taught."""
    table = read(locate(WEATHER, job.data_dir, only={"WTH.csv"}, progress=job.progress))
    train, valid, test = (WEATHER.split(f"WTH {part}") for part in ("train", "valid", "test"))
    options = ForecastOptions(
        context=CONTEXT,
        horizon=HORIZON,
        quantiles=list(LEVELS),
        scaling="none",
        step_seconds=3600,
        unit="°C wet bulb",
        known=list(KNOWN),
        gaps="fill",
    )
    learning = windows(table, train.first, train.last)
    kept = windows(table, valid.first, valid.last)
    every = windows(table, train.first, valid.last)
    members = {penalty: fit(learning, penalty) for penalty in PENALTIES}
    wrong = {p: kept.future - applied(one, *_tensors(kept)) for p, one in members.items()}
    best = min(PENALTIES, key=lambda penalty: float((wrong[penalty] ** 2).mean()))
    width = fit_width(learning, members[best])
    errors = quantiles_of(wrong[best] / applied(width, *_tensors(kept)), LEVELS)
    module = Forecaster([fit(every, best)], Fixed([1.0]), errors, width=width)
    history = left_out(every, best, errors, options)
    asked = windows(table, test.first, test.last)
    exam = Exam(
        learning=[every],
        calibration=kept,
        trials=[Trial(asked, rooted, metric="rmse", stretch=96)],
        split=(
            f"rows {test.first:,} to {test.last:,} of WTH (10 months from February 2013), every "
            "hour, the 48 hours after it"
        ),
    )
    return assembled(
        Fitted(
            module=module,
            options=options.model_copy(update={"levels": set_levels(WATCH, history, options)}),
            exam=exam,
            parameters={"chosen": {"penalty": best}},
            simpler={
                "ridge": partial(_point, ridge([learning], penalty=1e-3)),
                "the day before": partial(_point, seasonal(CONTEXT, HORIZON, DAY)),
                "last value": partial(_point, seasonal(CONTEXT, HORIZON, 1)),
            },
            data=WEATHER,
            story=STORY,
            sample={"known": _sample_known()},
            watch=WATCH,
            watched=summers(asked),
        )
    )


def left_out(every: Pairs, penalty: float, errors: Values, options: ForecastOptions) -> History:
    """Each summer as forecast by a model that has seen the other years alone."""
    asked = summers(every)
    quantiles = np.zeros((len(asked.past), len(LEVELS), HORIZON))
    for year in np.unique(asked.numbered):
        others, rows = every.only(every.numbered != year), asked.numbered == year
        member = fit(others, penalty)
        width = fit_width(others, member)
        module = Forecaster([member], Fixed([1.0]), errors, width=width)
        quantiles[rows] = expected(module, asked.only(rows), options)
    return History.of(quantiles, asked, WATCH)


def _point(weights: Values, pairs: Pairs) -> Values:
    return forecast(weights, pairs.past)


def _sample_known() -> list[list[float]]:
    """A week of July and two days more."""
    hours = np.arange(CONTEXT + HORIZON)
    rows: list[list[float]] = np.stack((hours % DAY, 190.0 + hours // DAY)).tolist()
    return rows


STORY = Story(
    title="Wet-bulb temperature of the next two days, with warning levels",
    summary=(
        "Reads a week of hourly wet-bulb temperatures, the hour and the day of the year, and gives "
        "eleven quantiles and a mean for each of the next 48 hours. A ridge on three days of "
        "values, levels and seasons; intervals as wide as such weather is restless. Two warning "
        "levels, set so that in 19 of 20 summers at most 15 % of the hours without such heat ahead "
        "should be warned about, by what happened in three, each forecast without its own year."
    ),
    limits=(
        "Learnt from one cold, high station (22 inches of mercury): its hottest wet bulb in four "
        "years is 16.3 °C, so its levels are what is hot there and endanger nobody; elsewhere send "
        "levels of your own, and learn from your own station. It sees no weather forecast, and "
        "hours are local."
    ),
)
RECIPES: Mapping[str, Recipe] = {"wet-bulb-forecaster": forecaster}
