"""Recipe `m4-hourly-forecaster`: hundreds of series that are not alike.

No member is right for all of them, so each window weighs its members by how they would have done
on its own last days. Members: what repeats, and ridges over all series in different frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import torch

from plaza_models.forecast.options import ForecastOptions
from plaza_training.forecast.assemble import Fitted, assembled, inputs_of
from plaza_training.forecast.forecaster import (
    Checked,
    Forecaster,
    Frame,
    Linear,
    applied,
    framed,
    quantiles_of,
)
from plaza_training.forecast.linear import forecast, ridge, seasonal
from plaza_training.forecast.protocols import PROTOCOLS, Exam, Pairs
from plaza_training.forecast.recipes import LEVELS, scales
from plaza_training.forecast.ridges import Gram, Values
from plaza_training.recipe import Job, Recipe, Story, Trained

PROTOCOL = "m4-hourly"
REACH, DAY, WEEK = 336, 24, 168
FRAMES: tuple[Frame, ...] = ("spread", "season", "size")
_WILD = 20.0
"""Windows with a value this many units away teach nothing: they would rule the squares."""
_LEAST = 1e-9
_STRIDE = 11
"""Every so many windows of a series are learnt from; prime to the day, so that all hours are."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Among what validation chooses."""

    penalty: float = 1e-2
    checks: tuple[int, ...] = (3, 6)
    powers: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 12.0)


def repeating(horizon: int) -> list[Values]:
    """(reach, horizon) maps that repeat a day or a week, as it was or moved to the last day's
    level."""
    empty = np.zeros((REACH, horizon))
    day, week, weeks, days = (empty.copy() for _ in range(4))
    for step in range(horizon):
        day[REACH - DAY + step % DAY, step] = 1
        week[REACH - WEEK + step % WEEK, step] = 1
        weeks[[REACH - WEEK + step % WEEK, REACH - 2 * WEEK + step % WEEK], step] = 1 / 2
        for ago in range(1, 8):
            days[REACH - DAY * ago + step % DAY, step] += 1 / 7
    now, before, earlier = (_level(ago, DAY) for ago in (0, WEEK, 2 * WEEK - DAY))
    usual = _level(0, WEEK)
    moved = (week + now - before, weeks + now - before / 2 - earlier / 2, days + now - usual)
    return [day, week, weeks, days, *moved]


def _level(ago: int, over: int) -> Values:
    """(reach, 1): the mean of so many values, so long ago."""
    weights = np.zeros((REACH, 1))
    weights[REACH - ago - over : REACH - ago] = 1 / over
    return weights


def pooled(blocks: Sequence[Pairs], frame: Frame, penalty: float, *, robust: bool) -> Linear:
    """A ridge over windows in their frames. `robust`: fitted twice, the second time with windows
    weighing less the more the first was wrong about them, towards the least absolute error."""
    rows = [_in_frame(block, frame) for block in blocks if len(block.past)]
    x = np.concatenate([row[0] for row in rows])
    y = np.concatenate([row[1] for row in rows])
    weight = None
    for _ in range(1 + robust):
        gram = Gram()
        gram.add(x, y, weight)
        weights = gram.solve([penalty])[penalty]
        wrong = np.abs(y - x @ weights.astype(np.float32)).mean(1)
        weight = 1 / np.maximum(wrong, 0.05)
    return Linear(weights[:-1], weights[-1], frame=frame, season=DAY, recent=WEEK)


def _in_frame(block: Pairs, frame: Frame) -> tuple[Values, Values]:
    """Past with a one, and future, of the windows that are not wild."""
    past, future = block.past[::_STRIDE, -REACH:], block.future[::_STRIDE]
    zero, one = framed(torch.from_numpy(past.copy()), frame, season=DAY, recent=WEEK)
    x, y = (past - zero.numpy()) / one.numpy(), (future - zero.numpy()) / one.numpy()
    calm = (np.abs(x).max(1) < _WILD) & (np.abs(y).max(1) < _WILD)
    return np.concatenate((x[calm], np.ones((calm.sum(), 1), np.float32)), 1), y[calm]


def forecaster(job: Job, choices: Choices | None = None) -> Trained:
    """Members on all but each series' last two days; weighing and intervals on those."""
    chosen = choices or Choices()
    protocol = PROTOCOLS[PROTOCOL]
    horizon = protocol.horizon
    learning = protocol.open(job, REACH, horizon).learning
    members = [
        *(Linear(weights) for weights in repeating(horizon)),
        *(
            pooled(learning, frame, chosen.penalty, robust=robust)
            for frame, robust in product(FRAMES, (False, True))
        ),
    ]
    options = ForecastOptions(
        context=REACH + max(chosen.checks) * horizon,
        horizon=horizon,
        quantiles=list(LEVELS),
        scaling="mean-abs",
        shortest=REACH,
        step_seconds=3600,
    )
    exam = protocol.open(job, options.context, horizon)
    ways = [
        Checked(horizon, checks=checks, power=power)
        for checks, power in product(chosen.checks, chosen.powers)
    ]
    losses = {way: _loss(exam.calibration, _ahead(members, way, exam, options)) for way in ways}
    best = min(ways, key=lambda way: losses[way])
    factors = scales(exam.calibration.past, options.scaling)[1]
    errors = (exam.calibration.future - _ahead(members, best, exam, options)) / factors
    base, naive = ridge(learning, penalty=1e-3), seasonal(REACH, horizon, DAY)
    return assembled(
        Fitted(
            module=Forecaster(members, best, quantiles_of(errors, LEVELS)),
            options=options,
            exam=exam,
            parameters={
                "protocol": PROTOCOL,
                "penalty": chosen.penalty,
                "chosen": best.words,
                "validation": {way.words: round(loss, 4) for way, loss in losses.items()},
            },
            simpler={"ridge": partial(_point, base), "seasonal naive": partial(_point, naive)},
            data=protocol.data,
            story=STORY,
        )
    )


def _ahead(members: Sequence[Linear], way: Checked, exam: Exam, options: ForecastOptions) -> Values:
    """Point forecasts of the validation windows, in their own units."""
    no_errors = np.zeros((1, options.horizon))
    values = inputs_of(exam.calibration, options)["values"]
    factors = scales(exam.calibration.past, options.scaling)[1]
    return applied(Forecaster(members, way, no_errors).point, values) * factors


def _loss(pairs: Pairs, point: Values) -> float:
    """As OWA adds them, with the seasonal errors of the windows."""
    wrong = np.abs(pairs.future - point)
    usual = np.abs(pairs.past[:, DAY:] - pairs.past[:, :-DAY]).mean(1)
    smape = (200 * wrong / (np.abs(point) + np.abs(pairs.future) + _LEAST)).mean()
    mase = (wrong.mean(1) / (usual + _LEAST)).mean()
    return float(smape / 18.383 + mase / 2.395) / 2


def _point(weights: Values, pairs: Pairs) -> Values:
    return forecast(weights, pairs.past[:, -REACH:])


STORY = Story(
    title="Forecaster on m4-hourly",
    summary=(
        "Thirteen linear members, seven that repeat days and weeks and six ridges over all "
        "series, weighed in the graph by how they would have done on the last days of the very "
        "window they are asked about. Quantiles are those of the errors on the two days before "
        "the test, in units of each window's mean."
    ),
    limits="It knows no calendar; series without days or weeks gain nothing from it.",
)
RECIPES: Mapping[str, Recipe] = {"m4-hourly-forecaster": forecaster}
