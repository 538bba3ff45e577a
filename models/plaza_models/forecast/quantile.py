"""Family `forecast.quantile`: series in, and out what its quantiles say.

    ForecastTask, ForecastsTask ─▶ quantiles and mean of the next values
    AnomalyTask                 ─▶ how strange past values were          (`anomaly.py`)
    WarningTask                 ─▶ the chance of each level, and the one raised (`warning.py`)

What a graph looks like, and how it is asked: `graph.py`. A task is a row for each window, so the
batcher may join tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from plaza_core.errors import InvalidInput
from plaza_core.manifest import Manifest
from plaza_core.running import Prepared
from plaza_core.tensors import Array
from plaza_models.forecast import anomaly, svg, warning
from plaza_models.forecast.graph import Answered, Asked, ForecastGraph, Window, windows_of
from plaza_models.forecast.options import SAME, ForecastOptions
from plaza_models.forecast.tasks import Anomalies, AnomalyTask, Warned, WarningTask
from plaza_models.options import read_options
from plaza_models.tasks import Forecast, Forecasts, ForecastsTask, ForecastTask

Task = ForecastTask | ForecastsTask | AnomalyTask | WarningTask


@dataclass(frozen=True, slots=True)
class _Asked:
    task: ForecastTask | ForecastsTask
    graph: Asked
    columns: tuple[int, ...]
    """Positions of the asked quantiles among the model's, in the order they were asked."""


class QuantileFamily:
    """`prepare` takes a task, `interpret` gives its answer."""

    def __init__(self, graph: ForecastGraph) -> None:
        self.options = graph.options
        self._graph = graph

    def prepare(self, payload: Task) -> Prepared:
        """Tensors for the windows of a task. Raises InvalidInput naming the field."""
        if isinstance(payload, AnomalyTask):
            return anomaly.prepare(self._graph, payload)
        if isinstance(payload, WarningTask):
            return warning.prepare(self._graph, payload)
        columns = self._columns(payload.quantiles)
        windows = _windows(payload, self.options)
        tensors, asked = self._graph.inputs(windows, payload.horizon)
        return Prepared(tensors, len(windows), context=_Asked(payload, asked, columns))

    def interpret(
        self, outputs: Mapping[str, Array], context: _Asked | anomaly.Scoring | warning.Watching
    ) -> Forecast | Forecasts | Anomalies | Warned:
        """Raises ModelFailed when the model gave something that is not a number."""
        if isinstance(context, anomaly.Scoring):
            return anomaly.interpret(self._graph, outputs, context)
        if isinstance(context, warning.Watching):
            return warning.interpret(self._graph, outputs, context)
        answered = self._graph.read(outputs, context.graph)
        forecasts = self._forecasts(answered, context.columns)
        task = context.task
        if isinstance(task, ForecastsTask):
            return Forecasts(forecasts)
        if not task.draw:
            return forecasts[0]
        return svg.with_picture(task.values, forecasts[0], self.options)

    def _forecasts(self, answered: Answered, columns: tuple[int, ...]) -> tuple[Forecast, ...]:
        """One for each series of each window."""
        steps = answered.quantiles.shape[-1]
        rows = answered.quantiles.reshape(-1, len(self.options.quantiles), steps)
        means = None if answered.means is None else answered.means.reshape(-1, steps)
        levels = tuple(self.options.quantiles[column] for column in columns)
        return tuple(
            Forecast(
                levels,
                tuple(tuple(row[column].tolist()) for column in columns),
                None if means is None else tuple(means[at].tolist()),
            )
            for at, row in enumerate(rows)
        )

    def _columns(self, asked: tuple[float, ...] | None) -> tuple[int, ...]:
        have = self.options.quantiles
        if asked is None:
            return tuple(range(len(have)))
        if not asked:
            raise InvalidInput("ask for at least one quantile", input="quantiles")
        columns = []
        for level in asked:
            near = [i for i, known in enumerate(have) if abs(known - level) < SAME]
            if not near:
                raise InvalidInput(
                    f"the model has no quantile {level:g}; it has "
                    + ", ".join(f"{known:g}" for known in have),
                    input="quantiles",
                )
            columns.append(near[0])
        if any(b <= a for a, b in pairwise(columns)):
            raise InvalidInput("quantiles must ascend without repeats", input="quantiles")
        return tuple(columns)


def open_family(directory: Path, manifest: Manifest) -> QuantileFamily:  # noqa: ARG001 port
    """Entry point `forecast.quantile`. Raises InvalidBundle when options and signature disagree."""
    options = read_options(ForecastOptions, manifest.options)
    return QuantileFamily(ForecastGraph(options, manifest.signature_spec()))


def _windows(payload: ForecastTask | ForecastsTask, options: ForecastOptions) -> list[Window]:
    """One for each series, or one of all that are read together. Raises InvalidInput."""
    if isinstance(payload, ForecastTask):
        return windows_of((payload.values,), ("values",), payload.known, options)
    fields = [f"series[{at}]" for at in range(len(payload.series))]
    return windows_of(payload.series, fields, payload.known, options)
