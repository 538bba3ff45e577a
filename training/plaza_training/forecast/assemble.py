"""From a fitted forecaster to what `pipeline.produce` takes: the same words for every set."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from plaza_core.manifest import Limits
from plaza_models.forecast.options import ForecastOptions
from plaza_training.data import DataSet
from plaza_training.forecast.forecaster import Forecaster
from plaza_training.forecast.judge import Method, report
from plaza_training.forecast.protocols import Exam, Pairs
from plaza_training.forecast.recipes import scales
from plaza_training.recipe import Graph, Report, Story, Trained
from plaza_training.served import Served

OUTPUTS = ("quantiles", "expected")
"""Not `mean`: the exporter gives that name to values inside the graph."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """One forecaster on one set."""

    module: Forecaster
    options: ForecastOptions
    exam: Exam
    parameters: Mapping[str, Any]
    """How it was chosen."""
    simpler: Mapping[str, Method]
    """What it must beat, on the same windows."""
    data: DataSet
    story: Story
    sample: Mapping[str, Any] = field(default_factory=dict)
    """Of the sample, what is not the made-up series and the horizon."""
    judge: Callable[[Served], Report] | None = None
    """Where the exam asks for more than point forecasts."""


def assembled(fitted: Fitted) -> Trained:
    options = fitted.options
    batches = _parity_batches(fitted.exam.trials[-1].pairs, options)
    # A panel's sample is one task of many series, which no sample file says yet.
    files = {} if options.series > 1 else {"sample.json": _sample(options, fitted.sample)}
    return Trained(
        graph=Graph(fitted.module, batches[0], OUTPUTS),
        family="forecast.quantile",
        options=options.model_dump(exclude_none=True),
        data=(fitted.data,),
        licence="MIT" if fitted.data.may_ship else "not for distribution",
        story=fitted.story,
        parameters=fitted.parameters,
        parity_inputs=batches,
        evaluate=fitted.judge or partial(_evaluate, fitted),
        files=files,
        samples=tuple(files),
        limits=Limits(max_batch=16 if options.series > 1 else 256),
    )


def _evaluate(fitted: Fitted, served: Served) -> Report:
    return report(fitted.exam, served, fitted.simpler)


def inputs_of(pairs: Pairs, options: ForecastOptions) -> dict[str, Any]:
    """What the graph would be given for these windows."""
    past = pairs.past
    flat = past.reshape(-1, past.shape[-1])
    offset, factor = scales(flat, options.scaling)
    tensors = {"values": ((flat - offset) / factor).reshape(past.shape).astype(np.float32)}
    if pairs.known is not None:
        tensors["known"] = pairs.known
    return tensors


def _parity_batches(pairs: Pairs, options: ForecastOptions) -> list[dict[str, Any]]:
    """Windows of the test, spread over it, in batches of several sizes."""
    wanted = 20 if options.series > 1 else 98
    every = inputs_of(pairs, options)
    rows = np.arange(0, len(pairs.past), max(1, len(pairs.past) // wanted))[:wanted]
    border = 2 * len(rows) // 3
    parts: Sequence[Any] = (rows[:border], rows[border : border + 1], rows[border:])
    return [{name: array[part] for name, array in every.items()} for part in parts]


def _sample(options: ForecastOptions, more: Mapping[str, Any]) -> bytes:
    """A made-up wave, so that the bundle carries no measured data."""
    steps = np.arange(options.context)
    values = 50 + 10 * np.sin(2 * np.pi * steps / 24)
    body = {"note": "generated", "values": np.round(values, 2).tolist(), **more}
    return json.dumps(body | {"horizon": options.horizon}).encode()
