"""Recipe `iso-ne-forecaster`: the load of the next day from four weeks of loads, the day's
temperature and the calendar, as ISO-NE's load is measured in the literature."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from plaza_models.forecast.options import ForecastOptions
from plaza_training.data import locate
from plaza_training.data.forecasting import ISO_NE
from plaza_training.forecast.assemble import Fitted, assembled, expected, inputs_of
from plaza_training.forecast.choose import absolute_error, shares_of
from plaza_training.forecast.forecaster import Fixed, Forecaster, applied, fixed, quantiles_of
from plaza_training.forecast.holidays import KINDS, kind_of, summer_time
from plaza_training.forecast.linear import forecast, ridge, seasonal
from plaza_training.forecast.protocols import Exam, Pairs, Trial, percent, percent_each
from plaza_training.forecast.recipes import LEVELS
from plaza_training.forecast.ridges import Values, standard_ridge
from plaza_training.forecast.sets import Series
from plaza_training.forecast.watch import History, Watch, set_levels
from plaza_training.recipe import Job, Recipe, Story, Trained

DAY, WEEKS = 24, 4
DAYS = 7 * WEEKS
CONTEXT = DAYS * DAY
FIRST_DAY = date(2003, 3, 1)
VALIDATION_DAYS = 120
PENALTIES = (0.01, 0.02, 0.03, 0.06, 0.1)
KNOWN = ("temperature", "weekday", "holiday", "day of the year", "summer time")
"""Degrees Fahrenheit; 0 is Monday; see `holidays`; 1 to 366; 0 or 1."""
WATCH = Watch(
    said="an hour's load above the threshold",
    thresholds={"high": 19_000.0, "very high": 21_000.0},
    false_alarms=0.1,
    stride=DAY,
)
_COLD, _WARM = ((50, 30), (30, 30)), ((62, 20), (72, 15))
"""Degrees from which it is heated and cooled, and what is taken for one."""


@dataclass(frozen=True, slots=True)
class Table:
    load: Series
    known: Series
    """(covariates, hours)."""


class Conditions(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """(batch, hours) scaled load and (batch, covariates, hours + 24) -> (batch, features), in
    logarithms beside the mean of the last week, and that mean (batch, 1)."""

    def forward(self, values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        load = torch.log(values.clamp(min=1e-6)).unflatten(1, (DAYS, DAY))
        base = load[:, -7:].mean((1, 2)).unsqueeze(1)
        daily = load.mean(2) - base
        parts = [load[:, -ago] - base for ago in (1, 2, 7)]
        parts += [daily[:, -ago : DAYS - ago + 1] for ago in (1, 2, 3, 4, 5, 6, 7, 14, 21, 28)]
        parts += [load[:, -ago, 3::5] - base for ago in (3, 4, 5, 6, 14, 21)]
        days = known.unflatten(2, (DAYS + 1, DAY))
        parts += self._weather(days[:, 0])
        parts += [part for ago in (0, 1, 7) for part in self._calendar(days[:, 1:, DAYS - ago, 0])]
        return torch.cat(parts, 1), base

    def _weather(self, temperature: Tensor) -> list[Tensor]:
        cold = [torch.relu(edge - temperature) / unit for edge, unit in _COLD]
        warm = [torch.relu(temperature - edge) / unit for edge, unit in _WARM]
        hinges = (*cold, *warm)
        hourly = [hinge[:, DAYS - ago] for ago in (0, 1, 2, 7) for hinge in hinges]
        return hourly + [hinge[:, -8:].mean(2) for hinge in hinges]

    def _calendar(self, day: Tensor) -> list[Tensor]:
        """`day` (batch, weekday, holiday, day of the year, summer time)."""
        weekday, holiday, of_year, summer = (day[:, at : at + 1] for at in range(4))
        turn = of_year * (2 * np.pi / 365.25)
        turns = torch.cat([turn, 2 * turn, 3 * turn], 1)
        end = ((of_year >= 357) | (of_year <= 1)).to(of_year.dtype)
        return [
            (weekday == torch.arange(7.0)).to(day.dtype),
            (holiday == torch.arange(1.0, KINDS + 1)).to(day.dtype),
            torch.sin(turns),
            torch.cos(turns),
            summer,
            end,
        ]


class Day(nn.Module):  # type: ignore[misc]
    """A member: one linear map for all 24 hours."""

    def __init__(self, weights: Values, bias: Values) -> None:
        super().__init__()
        self.conditions, self.weights, self.bias = Conditions(), fixed(weights), fixed(bias)

    def forward(self, values: Tensor, known: Tensor) -> Tensor:
        x, base = self.conditions(values, known)
        ahead: Tensor = x @ self.weights + self.bias + base
        return ahead


class Exponential(nn.Module):  # type: ignore[misc]
    """The link of what was forecast in logarithms."""

    def forward(self, point: Tensor) -> Tensor:
        return torch.exp(point)


def read(folder: Path) -> Table:
    """All hours, with what is known of each."""
    with (folder / "selected_data_ISONE.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    days = [FIRST_DAY + timedelta(at // DAY) for at in range(len(rows))]
    known = [
        [float(row["temperature"]) for row in rows],
        [day.weekday() for day in days],
        [kind_of(day) for day in days],
        [day.timetuple().tm_yday for day in days],
        [float(summer_time(day)) for day in days],
    ]
    load = np.array([float(row["demand"]) for row in rows], np.float32)
    return Table(load, np.array(known, np.float32))


def days_of(table: Table, first: int, last: int) -> Pairs:
    """A window for each day in [first, last), from the end of the day before; a piece is a year
    that begins in March."""
    starts = np.arange(first, last) * DAY
    before = starts[:, None] + np.arange(-CONTEXT, 0)
    around = starts[:, None] + np.arange(-CONTEXT, DAY)
    future = table.load[starts[:, None] + np.arange(DAY)]
    known = table.known[:, around].transpose(1, 0, 2)
    return Pairs(table.load[before], future, known, np.arange(first, last) // 365)


def fit(pairs: Pairs, options: ForecastOptions, penalty: float) -> Day:
    tensors, seen = inputs_of(pairs, options), Conditions()
    x = applied(lambda values, known: seen(values, known)[0], *tensors.values())
    base = applied(lambda values, known: seen(values, known)[1], *tensors.values())
    y = np.log(_in_units(pairs)) - base
    return Day(*standard_ridge(x, y, penalty))


def _in_units(pairs: Pairs) -> Values:
    """The future in units of each window, as the graph gives it."""
    unit = np.abs(pairs.past.astype(np.float64)).mean(1, keepdims=True)
    scaled: Values = pairs.future / unit
    return scaled


def exam_of(table: Table) -> Exam:
    """As the set's authors measure it: each of 365 days from the end of the day before."""
    train, test = ISO_NE.split("train"), ISO_NE.split("test")
    first, last = train.first // DAY, train.last // DAY
    asked = days_of(table, test.first // DAY, test.last // DAY)
    return Exam(
        learning=[days_of(table, first, last)],
        calibration=days_of(table, last - VALIDATION_DAYS, last),
        trials=[Trial(asked, percent, metric="mape_percent", each=percent_each, stretch=7)],
        split="the 24 hours of each of 365 days, 31 December 2005 to 30 December 2006",
    )


def _read(job: Job) -> Table:
    return read(
        locate(ISO_NE, job.data_dir, only={"selected_data_ISONE.csv"}, progress=job.progress)
    )


def exam(job: Job) -> Exam:
    return exam_of(_read(job))


def forecaster(job: Job) -> Trained:
    """Penalties and intervals on the last 120 days before the test; fitted again with them. Levels
    on the three years before the test, each forecast by what the others taught."""
    table = _read(job)
    asked, train = exam_of(table), ISO_NE.split("train")
    first, border = train.first // DAY, train.last // DAY - VALIDATION_DAYS
    options = ForecastOptions(
        context=CONTEXT,
        horizon=DAY,
        quantiles=list(LEVELS),
        scaling="mean-abs",
        lower=0.0,
        step_seconds=3600,
        unit="MW",
        known=list(KNOWN),
        every=DAY,
    )
    learning, valid = days_of(table, first, border), asked.calibration
    tensors, actual = inputs_of(valid, options), np.log(_in_units(valid))
    ahead = {p: applied(fit(learning, options, p), *tensors.values()) for p in PENALTIES}
    shares = shares_of(ahead, absolute_error(actual))
    errors = quantiles_of(actual - sum(share * ahead[p] for p, share in shares.items()), LEVELS)
    every = asked.learning[0]

    def made(pairs: Pairs) -> Forecaster:
        members = [fit(pairs, options, penalty) for penalty in shares]
        return Forecaster(members, Fixed(list(shares.values())), errors, link=Exponential())

    history = left_out(every, made, options)
    return assembled(
        Fitted(
            module=made(every),
            options=options.model_copy(update={"levels": set_levels(WATCH, history, options)}),
            exam=asked,
            parameters={"chosen": {f"penalty {p:g}": share for p, share in shares.items()}},
            simpler={
                "ridge on loads alone": partial(_point, ridge([every], penalty=1e-3)),
                "the day before": partial(_point, seasonal(CONTEXT, DAY, DAY)),
                "the week before": partial(_point, seasonal(CONTEXT, DAY, 7 * DAY)),
            },
            data=ISO_NE,
            story=STORY,
            sample={"known": _sample_known()},
            watch=WATCH,
        )
    )


def left_out(
    every: Pairs, made: Callable[[Pairs], Forecaster], options: ForecastOptions
) -> History:
    """Each year as forecast by what is made of the others."""
    quantiles = [
        expected(made(every.only(every.numbered != year)), own, options)
        for year in np.unique(every.numbered)
        for own in (every.only(every.numbered == year),)
    ]
    return History.of(np.concatenate(quantiles), every, WATCH)


def _point(weights: Values, pairs: Pairs) -> Values:
    return forecast(weights, pairs.past)


def _sample_known() -> list[list[float]]:
    """A mild August: no measured data."""
    hours = np.arange(CONTEXT + DAY)
    days = hours // DAY
    warm = 70 + 10 * np.sin(2 * np.pi * hours / DAY)
    rows = np.stack((warm, days % 7, 0 * days, 213 + days, 0 * days + 1))
    found: list[list[float]] = np.round(rows, 1).tolist()
    return found


STORY = Story(
    title="Electricity load of the next day, knowing its temperature",
    summary=(
        "Reads four weeks of hourly load up to midnight, the temperatures of that time and of the "
        "day to come, and the calendar; gives quantiles and a mean for its 24 hours. Ridge on "
        "logarithms, with the graph itself making heating and cooling degrees, seasons and "
        "holidays of what it is given."
    ),
    limits=(
        "Learnt from New England, 2003 to 2005, and only from midnight on. The literature's "
        "protocol gives it the day's actual temperature; with a forecast of it errors grow."
    ),
)

RECIPES: Mapping[str, Recipe] = {"iso-ne-forecaster": forecaster}
