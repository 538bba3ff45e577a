"""Recipes of the methods that every forecaster must beat: `PROTOCOL-naive` and `PROTOCOL-ridge`.

They are bundles like any other, so a hub can serve, certify and compare them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaza_core.manifest import Limits
from plaza_models.forecast.options import ForecastOptions, Scaling
from plaza_training.forecast.judge import Method, report
from plaza_training.forecast.linear import (
    LinearQuantiles,
    error_quantiles,
    forecast,
    ridge,
    seasonal,
)
from plaza_training.forecast.protocols import PROTOCOLS, Exam, Pairs, Protocol
from plaza_training.forecast.recipes import LEVELS, scales
from plaza_training.recipe import Graph, Job, Recipe, Report, Story, Trained
from plaza_training.served import Served

Values = NDArray[np.float64]
SCALING: Scaling = "standard"
PENALTY = 1e-3
METHODS = ("naive", "ridge")


def baseline(name: str, method: str, job: Job) -> Trained:
    """One method on one published protocol."""
    return fit(name, PROTOCOLS[name], method, job)


def fit(
    name: str, protocol: Protocol, method: str, job: Job, *, penalty: float = PENALTY
) -> Trained:
    """Fit one method on the train rows of a protocol and its intervals on the validation rows."""
    window = (protocol.context, protocol.horizon)
    exam = protocol.open(job, *window)
    naive = seasonal(*window, protocol.season)
    weights = naive if method == "naive" else ridge(exam.learning, penalty=penalty)
    _, factors = scales(exam.calibration.past, SCALING)
    errors = error_quantiles(weights, exam.calibration, factors, LEVELS)
    options = ForecastOptions(
        context=protocol.context,
        horizon=protocol.horizon,
        quantiles=list(LEVELS),
        scaling=SCALING,
    )
    simpler = {} if method == "naive" else {"seasonal naive": naive}
    batches = _parity_batches(exam)
    return Trained(
        graph=Graph(LinearQuantiles(weights, errors), batches[0], ("quantiles",)),
        family="forecast.quantile",
        options=options.model_dump(exclude_none=True),
        data=(protocol.data,),
        licence="MIT" if protocol.data.may_ship else "not for distribution",
        story=_story(name, method, protocol),
        parameters={"method": method, "protocol": name, "season": protocol.season}
        | ({"penalty": penalty} if method == "ridge" else {}),
        parity_inputs=batches,
        evaluate=partial(_evaluate, exam, simpler),
        files={"sample.json": _sample(protocol)},
        samples=("sample.json",),
        limits=Limits(max_batch=256),
    )


def _evaluate(exam: Exam, simpler: Mapping[str, Values], served: Served) -> Report:
    methods: dict[str, Method] = {name: partial(_point, way) for name, way in simpler.items()}
    return report(exam, served, methods)


def _point(weights: Values, pairs: Pairs) -> Values:
    return forecast(weights, pairs.past)[:, : pairs.future.shape[1]]


def _parity_batches(exam: Exam) -> list[dict[str, Any]]:
    """Windows of the test, spread over it, in batches of several sizes."""
    past = exam.trials[0].pairs.past
    spread = past[:: max(1, len(past) // 98)][:98]
    offset, factor = scales(spread, SCALING)
    rows = (spread - offset) / factor
    return [{"values": part} for part in (rows[:64], rows[64:65], rows[65:]) if len(part)]


def _story(name: str, method: str, protocol: Protocol) -> Story:
    ways = {
        "naive": f"Repeats the last {protocol.season} values.",
        "ridge": f"One linear map from the last {protocol.context} values, in closed form.",
    }
    return Story(
        title=f"{method.capitalize()} on {name}",
        summary=(
            f"{ways[method]} Quantiles are those of its errors on the validation part, in units "
            "of each window's deviation. It stands here to be beaten."
        ),
        limits="A baseline: it knows neither the calendar nor anything beside the series.",
    )


def _sample(protocol: Protocol) -> bytes:
    """A made-up wave, so that the bundle carries no measured data."""
    steps = np.arange(protocol.context)
    values = 50 + 10 * np.sin(2 * np.pi * steps / max(protocol.season, 2))
    body = {"note": "generated", "values": np.round(values, 2).tolist()}
    return json.dumps(body | {"horizon": protocol.horizon}).encode()


RECIPES: Mapping[str, Recipe] = {
    f"{name}-{method}": partial(baseline, name, method) for name in PROTOCOLS for method in METHODS
}
