"""From a fitted forecaster to what `pipeline.produce` takes: the same words for every set."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from plaza_core.manifest import Limits
from plaza_models.forecast.options import ForecastOptions
from plaza_training.data import DataSet
from plaza_training.forecast.forecaster import Forecaster, Values, applied
from plaza_training.forecast.judge import Method, asked, report
from plaza_training.forecast.protocols import Exam, Pairs
from plaza_training.forecast.recipes import scales
from plaza_training.forecast.watch import History, Watch, measured, metrics_of
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
    watch: Watch | None = None
    """What the levels in the options warn of."""
    watched: Pairs | None = None
    """What they are measured on, where it is not the last trial."""


def assembled(fitted: Fitted) -> Trained:
    options = fitted.options
    batches = _parity_batches(fitted.exam.trials[-1].pairs, options)
    # A panel is sampled in tensors: that is what an examination can read of many series.
    panel = options.series > 1
    files = {"sample.json": _panel(options) if panel else _sample(options, fitted.sample)}
    return Trained(
        graph=Graph(fitted.module, batches[0], OUTPUTS),
        family="forecast.quantile",
        options=options.model_dump(exclude_none=True),
        data=(fitted.data,),
        licence="MIT" if fitted.data.may_ship else "not for distribution",
        story=fitted.story,
        parameters=fitted.parameters,
        parity_inputs=batches,
        evaluate=partial(_evaluate, fitted),
        files=files,
        samples=tuple(files),
        limits=Limits(max_batch=16 if panel else 256),
    )


def _evaluate(fitted: Fitted, served: Served) -> Report:
    found = fitted.judge(served) if fitted.judge else report(fitted.exam, served, fitted.simpler)
    if fitted.watch is None:
        return found
    pairs = fitted.watched or fitted.exam.trials[-1].pairs
    history = History.of(asked(served, pairs)[0], pairs, fitted.watch)
    warned = metrics_of(measured(fitted.watch, history, fitted.options))
    return replace(found, metrics={**found.metrics, **warned})


def expected(module: Forecaster, pairs: Pairs, options: ForecastOptions) -> Values:
    """(n, [series,] levels, horizon) quantiles as they will be served."""
    flat = pairs.past.reshape(-1, pairs.past.shape[-1])
    shape = (*pairs.past.shape[:-1], 1, 1)
    offset, factor = (part.reshape(shape) for part in scales(flat, options.scaling))
    found = applied(lambda *tensors: module(*tensors)[0], *inputs_of(pairs, options).values())
    return np.sort(found * factor + offset, axis=-2)


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


def _panel(options: ForecastOptions) -> bytes:
    """A made-up row of the inputs: every series grows by a tenth at each step."""
    steps = 1.1 ** np.arange(options.context)
    values = np.round(np.outer(20 + np.arange(options.series), steps), 2)
    tensors = {"values": values}
    if options.known:
        ahead = options.context + options.horizon
        tensors["known"] = np.tile(np.arange(ahead) - options.context, (len(options.known), 1))
    inputs = [
        {"name": name, "datatype": "FP32", "shape": [1, *rows.shape], "data": rows.ravel().tolist()}
        for name, rows in tensors.items()
    ]
    return json.dumps({"note": "generated", "inputs": inputs}).encode()
