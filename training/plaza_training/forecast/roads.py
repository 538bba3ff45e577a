"""Recipe `los-loop-forecaster`: all detectors of a road network together, and the time of day.

Each detector has its own linear map of its last hour, of its usual day around now, and of what the
whole network does beside its usual day, in a few principal components.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plaza_models.forecast.options import ForecastOptions
from plaza_training.data import locate
from plaza_training.data.forecasting import LOS_LOOP
from plaza_training.forecast.assemble import Fitted, assembled
from plaza_training.forecast.choose import shares_of, squared_error
from plaza_training.forecast.forecaster import Fixed, Forecaster, applied, fixed, quantiles_of
from plaza_training.forecast.linear import forecast, ridge
from plaza_training.forecast.protocols import Exam, Pairs, Trial, rooted
from plaza_training.forecast.recipes import LEVELS
from plaza_training.forecast.ridges import Values, standard_ridge
from plaza_training.forecast.sets import Series, read_speeds
from plaza_training.recipe import Job, Recipe, Story, Trained

CONTEXT, HORIZON, DAY = 12, 12, 288
_WEEKEND = (2, 3)
"""Days of the set, which begins on a Thursday."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One member: what validation chooses among."""

    components: int
    penalty: float
    smooth: int = 13
    """Steps over which the usual day is averaged."""
    lags: tuple[int, ...] = (0, 3, 6)
    """How many steps ago the network is looked at."""


CHOICES = tuple(
    Choice(components, penalty, smooth)
    for components in (20, 40)
    for penalty in (0.1, 0.3, 1.0)
    for smooth in (13, 37)
)


class Seen(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """(batch, series, 12) speeds and (batch, 1, 24) step of the day -> (batch, series, features)"""

    def __init__(self, usual: Values, mean: Values, axes: Values, lags: tuple[int, ...]) -> None:
        """`usual` (288, series), `mean` (series,) beside it, `axes` (series, components)."""
        super().__init__()
        self.usual, self.mean, self.axes = fixed(usual), fixed(mean), fixed(axes)
        self._lags = lags

    def forward(self, values: Tensor, known: Tensor) -> Tensor:
        step = known[:, 0].to(torch.int64) % DAY
        usual = self.usual[step].transpose(1, 2)
        beside = values - usual[..., :CONTEXT] - self.mean.unsqueeze(-1)
        ago = [beside[..., CONTEXT - 1 - lag] @ self.axes for lag in self._lags]
        network = torch.cat(ago, -1).unsqueeze(1) + torch.zeros_like(values[..., :1])
        return torch.cat((values, usual[..., CONTEXT - 1 :], network), -1)


class Detectors(nn.Module):  # type: ignore[misc]
    """A member: a linear map of its own for every detector."""

    def __init__(self, seen: Seen, weights: Values, bias: Values) -> None:
        super().__init__()
        self.seen, self.weights, self.bias = seen, fixed(weights), fixed(bias)

    def forward(self, values: Tensor, known: Tensor) -> Tensor:
        x = self.seen(values, known)
        ahead = (x.transpose(0, 1) @ self.weights).transpose(0, 1)
        moved: Tensor = ahead + self.bias + values[..., -1:]
        return moved


def windows(series: Series, first: int, last: int, steps: int = HORIZON) -> Pairs:
    """Windows whose future lies in [first, last): (n, series, …), with the step of the day."""
    origins = np.arange(first, last - steps + 1)
    past = series[origins[:, None] + np.arange(-CONTEXT, 0)].transpose(0, 2, 1)
    future = series[origins[:, None] + np.arange(steps)].transpose(0, 2, 1)
    clock = (origins[:, None] + np.arange(-CONTEXT, HORIZON)) % DAY
    return Pairs(past, future, clock[:, None].astype(np.float32))


def fit(series: Series, border: int, choice: Choice) -> Detectors:
    """From the rows before `border`."""
    usual = _usual(series[:border].astype(np.float64), choice.smooth)
    beside = series[:border] - usual[np.arange(border) % DAY]
    mean = beside.mean(0)
    axes = np.linalg.svd(beside - mean, full_matrices=False)[2][: choice.components].T
    seen = Seen(usual, mean, axes, choice.lags)
    pairs = windows(series, CONTEXT, border)
    x = applied(seen, pairs.past, _known(pairs), rows=256).transpose(1, 0, 2)
    y = (pairs.future - pairs.past[..., -1:]).astype(np.float64).transpose(1, 0, 2)
    maps = [standard_ridge(*one, choice.penalty) for one in zip(x, y, strict=True)]
    return Detectors(seen, np.stack([m[0] for m in maps]), np.stack([m[1] for m in maps]))


def _usual(series: Values, smooth: int) -> Values:
    """(288, series): the mean of the working days, smoothed around the clock."""
    rows = np.arange(len(series))
    working = ~np.isin(rows // DAY, _WEEKEND)
    day = np.stack([series[working & (rows % DAY == step)].mean(0) for step in range(DAY)])
    reach = smooth // 2
    wrapped = np.concatenate((day[-reach:], day, day[:reach]))
    usual: Values = np.lib.stride_tricks.sliding_window_view(wrapped, smooth, axis=0).mean(-1)
    return usual


def _known(pairs: Pairs) -> Series:
    if pairs.known is None:
        raise ValueError("these windows have no clock")
    return pairs.known


def forecaster(job: Job) -> Trained:
    """Members and shares on the tenth before the test; fitted again on all rows before it."""
    folder = locate(LOS_LOOP, job.data_dir, only={"los_speed.csv"}, progress=job.progress)
    series = read_speeds(folder)
    test = LOS_LOOP.split("test")
    border = test.first - test.count // 2
    valid = windows(series, border, test.first)
    ahead = {}
    for choice in job.progress.track(CHOICES, "members", len(CHOICES)):
        ahead[choice] = applied(fit(series, border, choice), valid.past, _known(valid), rows=256)
    shares = shares_of(ahead, squared_error(valid.future.astype(np.float64)), rounds=5)
    point = sum(share * ahead[choice] for choice, share in shares.items())
    errors = _errors(valid.future - point)
    module = Forecaster(
        [fit(series, test.first, choice) for choice in shares],
        Fixed(list(shares.values())),
        errors,
    )
    trials = [
        Trial(
            windows(series, test.first + CONTEXT, test.last, steps),
            rooted,
            f"_{5 * steps}_minutes",
            metric="rmse",
            stretch=2 * steps,
        )
        for steps in (3, 6, 9, 12)
    ]
    exam = Exam(
        learning=[],
        calibration=valid,
        trials=trials,
        split="windows inside the last 404 of 2,016 rows; all 207 detectors; mean over the steps",
    )
    learned = windows(series, CONTEXT, test.first)
    flat = Pairs(learned.past.reshape(-1, CONTEXT), learned.future.reshape(-1, HORIZON))
    return assembled(
        Fitted(
            module=module,
            options=ForecastOptions(
                context=CONTEXT,
                horizon=HORIZON,
                quantiles=list(LEVELS),
                scaling="none",
                lower=0.0,
                step_seconds=300,
                unit="mph",
                series=series.shape[1],
                known=["step of the day"],
            ),
            exam=exam,
            parameters={"chosen": {_named(c): share for c, share in shares.items()}},
            simpler={
                "ridge": partial(_each, ridge([flat], penalty=1e-3)),
                "last value": lambda pairs: np.repeat(
                    pairs.past[..., -1:].astype(np.float64), pairs.future.shape[-1], axis=-1
                ),
            },
            data=LOS_LOOP,
            story=STORY,
        )
    )


STORY = Story(
    title="Traffic speeds of a network for the next hour",
    summary=(
        "Reads the last hour of 207 detectors together, and the time of day, and gives quantiles "
        "and a mean for the next twelve steps of five minutes. Linear maps per detector, of its "
        "own past, its usual working day and the principal components of the network."
    ),
    limits=(
        "Made for these detectors, in this order: it knows no others. Its usual day comes from "
        "four working days of March 2012, so weekends and holidays surprise it."
    ),
)


def _errors(wrong: NDArray[Any]) -> Values:
    """(series, levels, horizon). The shape is that of all detectors, the width their own, half-way
    to the common one, because a tenth of a week says little about a single one."""
    own = np.sqrt((wrong**2).mean((0, 2)))
    width = np.sqrt(own * np.sqrt((own**2).mean()))[:, None]
    shape = quantiles_of((wrong / width).reshape(-1, HORIZON), LEVELS)
    errors: Values = width[:, :, None] * shape[None]
    return errors


def _each(weights: Values, pairs: Pairs) -> Values:
    """A method for single series, for every detector."""
    flat = forecast(weights, pairs.past.reshape(-1, CONTEXT))
    found: Values = flat.reshape(*pairs.past.shape[:2], -1)[..., : pairs.future.shape[-1]]
    return found


def _named(choice: Choice) -> str:
    return f"{choice.components} components, penalty {choice.penalty:g}, {choice.smooth} steps"


RECIPES: Mapping[str, Recipe] = {"los-loop-forecaster": forecaster}
