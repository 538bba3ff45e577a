"""Recipes `PROTOCOL-forecaster` for series without covariates that are measured at every origin:
ETT and Weather. Members are ridges of several reaches and penalties over all columns at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaza_models.forecast.options import ForecastOptions
from plaza_training.forecast.assemble import Fitted, assembled
from plaza_training.forecast.choose import shares_of, squared_error
from plaza_training.forecast.forecaster import Fixed, Forecaster, Linear, quantiles_of
from plaza_training.forecast.linear import forecast, ridge, seasonal
from plaza_training.forecast.protocols import PROTOCOLS, Exam, Pairs
from plaza_training.forecast.recipes import LEVELS, scales
from plaza_training.forecast.ridges import Gram, Values
from plaza_training.recipe import Job, Recipe, Story, Trained

_BLOCK = 16_384


@dataclass(frozen=True, slots=True)
class Choices:
    """Among what validation chooses."""

    reaches: tuple[int, ...] = (336, 512, 720)
    penalties: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0)
    rounds: int = 20


def forecaster(name: str, job: Job, choices: Choices | None = None) -> Trained:
    """Members on the train rows, their shares and the intervals on the validation rows."""
    chosen = choices or Choices()
    protocol = PROTOCOLS[name]
    context = max(chosen.reaches)
    exam = protocol.open(job, context, protocol.horizon)
    members = fitted_members(exam, chosen)
    valid = exam.calibration
    ahead = {key: _ahead(weights, valid.past) for key, weights in members.items()}
    shares = shares_of(ahead, squared_error(valid.future), rounds=chosen.rounds)
    merged = np.zeros((context, protocol.horizon))
    for key, share in shares.items():
        merged[-len(members[key]) :] += share * members[key]
    factors = scales(valid.past, "standard")[1]
    errors = quantiles_of((valid.future - _ahead(merged, valid.past)) / factors, LEVELS)
    module = Forecaster([Linear(merged)], Fixed([1.0]), errors)
    base = ridge([_cut(block, protocol.context) for block in exam.learning], penalty=1e-3)
    naive = seasonal(protocol.context, protocol.horizon, protocol.season)
    return assembled(
        Fitted(
            module=module,
            options=ForecastOptions(
                context=context,
                horizon=protocol.horizon,
                quantiles=list(LEVELS),
                scaling="standard",
            ),
            exam=exam,
            parameters={
                "protocol": name,
                **{
                    key: list(v) if isinstance(v, tuple) else v for key, v in asdict(chosen).items()
                },
                "chosen": {f"{r} values, penalty {p:g}": s for (r, p), s in shares.items()},
            },
            simpler={"ridge": partial(_point, base), "seasonal naive": partial(_point, naive)},
            data=protocol.data,
            story=Story(
                title=f"Forecaster on {name}",
                summary=(
                    "A mean of ridge regressions that reach back differently far, found on the "
                    "validation rows and merged into one matrix on differences to the last value. "
                    "Quantiles are those of its errors there, in units of each window's deviation."
                ),
                limits="It reads one series by itself and knows no calendar.",
            ),
        )
    )


def fitted_members(exam: Exam, choices: Choices) -> dict[tuple[int, float], Values]:
    gram = Gram()
    for block in exam.learning:
        for first in range(0, len(block.past), _BLOCK):
            past = block.past[first : first + _BLOCK]
            gram.add(past - past[:, -1:], block.future[first : first + _BLOCK] - past[:, -1:])
    return {
        (reach, penalty): weights
        for reach in choices.reaches
        for penalty, weights in gram.solve(choices.penalties, reach).items()
    }


def _ahead(weights: Values, past: NDArray[Any]) -> Values:
    return forecast(weights, past[:, -len(weights) :])


def _point(weights: Values, pairs: Pairs) -> Values:
    return _ahead(weights, pairs.past)[:, : pairs.future.shape[1]]


def _cut(pairs: Pairs, context: int) -> Pairs:
    return Pairs(pairs.past[:, -context:], pairs.future)


NAMES = tuple(name for name in PROTOCOLS if name.startswith(("ett", "wth")))
RECIPES: Mapping[str, Recipe] = {f"{name}-forecaster": partial(forecaster, name) for name in NAMES}
