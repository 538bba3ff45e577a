"""A bundle before an exam: every window asked as a task, through family and graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaza_models.tasks import ForecastsTask, ForecastTask
from plaza_training.forecast.protocols import Exam, Pairs, Trial
from plaza_training.recipe import Losses, Metrics, Report
from plaza_training.served import Served

Values = NDArray[np.float64]
Method = Callable[[Pairs], Values]
"""A simpler method: point forecasts as long as the future."""


def report(exam: Exam, served: Served, simpler: Mapping[str, Method]) -> Report:
    """The numbers of what is served and of simpler methods on the same windows; losses are those
    of the last trial."""
    levels: Sequence[float] = served.manifest.options["quantiles"]
    metrics: dict[str, float] = {}
    losses: Losses | None = None
    baselines: dict[str, dict[str, float]] = {name: {} for name in simpler}
    for trial in exam.trials:
        quantiles, mean = asked(served, trial.pairs)
        truth = trial.pairs.future.astype(np.float64)
        found = {**trial.score(mean, truth), **coverage(quantiles, truth, levels)}
        metrics |= named(trial, found)
        losses = _losses(trial, mean, truth)
        for name, method in simpler.items():
            baselines[name] |= named(trial, trial.score(method(trial.pairs), truth))
    return Report(exam.split, metrics, baselines, losses)


def _losses(trial: Trial, mean: Values, truth: Values) -> Losses:
    """By origin: those of several series at the same time belong together."""
    each = trial.each(mean, truth).reshape(trial.series, -1).mean(0)
    return Losses(f"{trial.metric}{trial.suffix}", each, trial.stretch)


def asked(served: Served, pairs: Pairs) -> tuple[Values, Values]:
    """(n, [series,] levels, horizon) quantiles and (n, [series,] horizon) means; where the model
    has no mean head, its median."""
    together = pairs.past.ndim == 3
    quantiles, means = [], []
    for answer in served.ask_all(_tasks(served, pairs), joined=16 if together else 128):
        forecasts = answer.forecasts if together else (answer,)
        levels = np.array([one.values for one in forecasts])
        middle = list(forecasts[0].quantiles).index(0.5)
        point = [one.mean or one.values[middle] for one in forecasts]
        quantiles.append(levels if together else levels[0])
        means.append(np.array(point) if together else np.array(point[0]))
    return np.stack(quantiles), np.stack(means)


def _tasks(served: Served, pairs: Pairs) -> Iterable[Any]:
    steps = pairs.future.shape[-1]
    takes = bool(served.manifest.options.get("known"))
    for row, past in enumerate(pairs.past):
        known: Any = ()
        if takes and pairs.known is not None:
            known = tuple(map(tuple, pairs.known[row].tolist()))
        if past.ndim > 1:
            yield ForecastsTask(tuple(map(tuple, past.tolist())), steps, known=known)
        else:
            yield ForecastTask(tuple(past.tolist()), steps, known=known)


def coverage(quantiles: Values, truth: Values, levels: Sequence[float]) -> Metrics:
    """Share of the truth inside each central interval, in percent."""
    middle = list(levels).index(0.5)
    found = {}
    for low, high in zip(range(middle), reversed(range(middle + 1, len(levels))), strict=True):
        inside = (quantiles[..., low, :] <= truth) & (truth <= quantiles[..., high, :])
        width = f"coverage_{100 * (levels[high] - levels[low]):.0f}_percent"
        found[width] = float(inside.mean() * 100)
    return found


def named(trial: Trial, metrics: Metrics) -> dict[str, float]:
    return {f"{metric}{trial.suffix}": value for metric, value in metrics.items()}
