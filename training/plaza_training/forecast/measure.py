"""Scores of quantile forecasts, and the simple methods they must beat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaza_models.tasks import Forecast, ForecastTask
from plaza_training.forecast.sets import Series
from plaza_training.forecast.windows import Windows
from plaza_training.recipe import Losses, Metrics
from plaza_training.served import Served

Values = NDArray[np.float64]
PointMethod = Callable[[Series], NDArray[Any]]
"""(n, context) -> (n, horizon)."""


def score(forecasts: Values, actual: Values, levels: Sequence[float]) -> Metrics:
    """`forecasts` (n, levels, horizon), `actual` (n, horizon), in the units of the series.

    mae and rmse are of the median; pinball is the mean over levels; coverage_N is the share of
    values inside the central N % interval, which should be N %.
    """
    middle = list(levels).index(0.5)
    error = forecasts[:, middle] - actual
    miss = actual[:, None] - forecasts
    level = np.array(levels)[None, :, None]
    found = {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "mape_percent": float(np.abs(error / actual).mean() * 100),
        "mae_first_step": float(np.abs(error[:, 0]).mean()),
        "mae_last_step": float(np.abs(error[:, -1]).mean()),
        "pinball": float(np.maximum(level * miss, (level - 1) * miss).mean()),
    }
    for low, high in zip(levels[:middle], reversed(levels[middle + 1 :]), strict=True):
        rows = (list(levels).index(low), list(levels).index(high))
        inside = (forecasts[:, rows[0]] <= actual) & (actual <= forecasts[:, rows[1]])
        found[f"coverage_{100 * (high - low):.0f}_percent"] = float(inside.mean() * 100)
    return found


def score_served(
    served: Served, windows: Windows, levels: Sequence[float]
) -> tuple[Metrics, Losses]:
    """Ask the served bundle for every window, as tasks. What it lost is told by origin, all series
    at the same time together."""
    answers: list[Values] = []
    actual: list[Values] = []
    for past, future in windows.by_column():
        tasks = (ForecastTask(tuple(row), windows.horizon) for row in past.tolist())
        answers.extend(_values(served.ask_all(tasks)))
        actual.append(future.astype(np.float64))
    forecasts, truth = np.stack(answers), np.concatenate(actual)
    wrong = ((forecasts[:, list(levels).index(0.5)] - truth) ** 2).mean(1)
    each = wrong.reshape(-1, len(windows.origins)).mean(0)
    return score(forecasts, truth, levels), Losses("rmse", each, 2 * windows.horizon)


def score_points(windows: Windows, levels: Sequence[float], method: PointMethod) -> Metrics:
    """A method that gives one value per step. It has no interval, so none is scored."""
    forecasts: list[Values] = []
    actual: list[Values] = []
    for past, future in windows.by_column():
        point = method(past).astype(np.float64)
        forecasts.append(np.repeat(point[:, None], len(levels), axis=1))
        actual.append(future.astype(np.float64))
    found = score(np.concatenate(forecasts), np.concatenate(actual), levels)
    return {name: value for name, value in found.items() if not name.startswith("coverage")}


def repeat(horizon: int, season: int) -> PointMethod:
    """Repeat the last `season` values; 1 is persistence."""
    times = -(-horizon // season)
    return lambda past: np.tile(past[:, -season:], (1, times))[:, :horizon]


def _values(answers: Iterable[Forecast]) -> Iterable[Values]:
    return (np.array(answer.values) for answer in answers)
