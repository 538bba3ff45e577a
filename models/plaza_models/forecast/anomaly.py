"""How strange past values were: each is compared with a forecast that did not know it.

values  ─────────────────┬────────┬────────┬──▶     every `every` steps a forecast is made of
                context ─┤ scored │ scored │        what came before, and judges what came next
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from plaza_core.errors import InvalidInput
from plaza_core.running import Prepared
from plaza_core.tensors import Array
from plaza_models.forecast import svg
from plaza_models.forecast.chance import strangeness
from plaza_models.forecast.graph import Asked, ForecastGraph, Window, windows_of
from plaza_models.forecast.options import ForecastOptions
from plaza_models.forecast.reading import numbers
from plaza_models.forecast.tasks import Anomalies, AnomalyTask, Scored

MOST_VALUES = 1 << 22
"""In the input of one request: contexts of all forecasts together."""


@dataclass(frozen=True, slots=True)
class Scoring:
    task: AnomalyTask
    graph: Asked
    first: int
    every: int


def prepare(graph: ForecastGraph, task: AnomalyTask) -> Prepared:
    """A row for each forecast. Raises InvalidInput naming the field."""
    options = graph.options
    length = _length(task, options)
    every = options.every if task.every is None else task.every
    if not 1 <= every <= options.horizon:
        raise InvalidInput(f"every must be from 1 to {options.horizon}", input="every")
    least = min(options.context, options.shortest or options.context)
    steps = (length - least) // every * every if task.steps is None else task.steps
    if not 1 <= steps <= length - least:
        raise InvalidInput(
            f"the model needs {least} values before the first that is scored", input="steps"
        )
    if len(task.series) * -(-steps // every) * options.context > MOST_VALUES:
        raise InvalidInput("that is too much for one request: score fewer values", input="steps")
    first = length - steps
    origins = range(first, length, every)
    windows = [one for origin in origins for one in _windows(task, options, origin, every)]
    tensors, asked = graph.inputs(windows, every)
    return Prepared(tensors, len(windows), context=Scoring(task, asked, first, every))


def interpret(graph: ForecastGraph, outputs: Mapping[str, Array], scoring: Scoring) -> Anomalies:
    """Raises ModelFailed."""
    options, task = graph.options, scoring.task
    found = graph.read(outputs, scoring.graph).quantiles
    actual = np.array(task.series, np.float64)[:, scoring.first :]
    # (forecasts, series, levels, every) to a row of steps for each series and level.
    stacked = found.reshape(-1, len(actual), *found.shape[2:])
    compared = np.moveaxis(stacked, 0, 2).reshape(len(actual), found.shape[2], -1)
    compared = compared[..., : actual.shape[1]]
    scores = strangeness(options.quantiles, np.moveaxis(compared, 1, 0), actual)
    answer = Anomalies(
        scoring.first,
        tuple(options.quantiles),
        tuple(
            Scored(
                tuple(None if np.isnan(one) else float(one) for one in row),
                tuple(map(tuple, quantiles.tolist())),
            )
            for row, quantiles in zip(scores, compared, strict=True)
        ),
    )
    return answer if task.draw is None else svg.with_anomalies(task, answer, options)


def _length(task: AnomalyTask, options: ForecastOptions) -> int:
    """Of the series, which must be equal. Raises InvalidInput."""
    if len(options.quantiles) < 2:
        raise InvalidInput("a model of one quantile cannot tell what is strange", input="model")
    for at, one in enumerate(task.series):
        numbers(one, f"series[{at}]", fill=options.gaps == "fill")
    lengths = {len(one) for one in task.series}
    if len(lengths) != 1:
        raise InvalidInput("the series must be there, and equally long", input="series")
    if task.draw is not None and not 0 <= task.draw < len(task.series):
        raise InvalidInput("there is no such series to draw", input="draw")
    length = lengths.pop()
    for at, row in enumerate(task.known):
        numbers(row, f"known[{at}]", fill=False)
        if len(row) != length:
            raise InvalidInput(
                f"here it must be as long as the series: {length} values", input=f"known[{at}]"
            )
    return length


def _windows(task: AnomalyTask, options: ForecastOptions, origin: int, every: int) -> list[Window]:
    """What was known just before the value at `origin`. Of covariates what nobody sent, before the
    first value and after the last, is like its neighbour: it bears on no value that is scored."""
    begin = origin - options.context
    past = [one[max(0, begin) : origin] for one in task.series]
    known = []
    for row in task.known:
        there = row[max(0, begin) : origin + options.horizon]
        after = origin + every - len(row)
        known.append((row[0],) * max(0, -begin) + there + (row[-1],) * max(0, after))
    return windows_of(past, [f"series[{at}]" for at in range(len(past))], known, options)
