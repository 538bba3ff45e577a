"""What a forecasting model answered, drawn as SVG: a fan, with warning levels; and past values
beside what was expected of them, with the strange ones marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from plaza_models.forecast.options import ForecastOptions
from plaza_models.forecast.plot import FAN, INK, Plot, Values, shade
from plaza_models.forecast.tasks import Anomalies, AnomalyTask, LevelSaid, Warned, WarningTask
from plaza_models.tasks import Forecast

_SEVERITY = ("#b7791f", "#c2410c", "#b91c1c", "#7e1d6b")
"""Of the mildest level to the most severe."""
_STRANGE = ((0.99, "#b91c1c"), (0.95, "#d97706"))
"""Score from which a value is marked, and how."""
_UNITS = ((86_400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))
_LEAST_UNITS = 4
_LARGEST = 1e30
_HISTORY = 6
"""So many times what is ahead is shown of what was."""


def with_picture(values: Sequence[float], forecast: Forecast, options: ForecastOptions) -> Forecast:
    """The forecast with its fan."""
    drawn = _fan(values, forecast.quantiles, np.array(forecast.values), options, "Forecast", ())
    return replace(forecast, picture=drawn)


def with_levels(task: WarningTask, answer: Warned, options: ForecastOptions) -> Warned:
    """The answer with the fan of one of its series, and its levels."""
    at = task.draw or 0
    one = answer.series[at]
    title = "No warning" if one.level is None else f"{one.level}, since {one.since}"
    past, ahead = task.series[at], np.array(one.values)
    return replace(answer, picture=_fan(past, answer.quantiles, ahead, options, title, one.levels))


def with_anomalies(task: AnomalyTask, answer: Anomalies, options: ForecastOptions) -> Anomalies:
    """The answer with one of its series, what was expected of it, and marks."""
    at = task.draw or 0
    one = answer.series[at]
    values = _drawable(task.series[at])
    count, first = len(values), answer.first
    shown = values[max(0, first - 2 * (count - first)) :]
    expected = np.array(one.values)
    per_unit, unit = _time(len(shown), options)
    x = np.arange(1 - len(shown), 1, dtype=np.float64) * per_unit
    scored = x[-(count - first) :]
    marks = [
        next((colour for least, colour in _STRANGE if score is not None and score >= least), None)
        for score in one.scores
    ]
    strange = sum(mark is not None for mark in marks)
    plot = Plot.around(
        x.tolist(),
        np.r_[shown, expected.ravel()],
        title=f"{strange} of {count - first} values are strange",
        xlabel=f"{unit} from the last value",
        ylabel=options.unit,
    )
    _bands(plot, scored, answer.quantiles, expected)
    plot.line(x, shown, INK, "measured")
    for place, value, colour in zip(scored, values[first:], marks, strict=True):
        if colour is not None:
            plot.mark(place, value, colour, 4.5)
    for least, colour in reversed(_STRANGE):
        plot.legend(f"score from {least:g}", colour)
    return replace(answer, picture=plot.svg())


def _fan(  # noqa: PLR0917 one drawing: past, future, words, levels
    past: Sequence[float],
    quantiles: Sequence[float],
    ahead: Values,
    options: ForecastOptions,
    title: str,
    levels: Sequence[LevelSaid],
) -> bytes:
    steps = ahead.shape[1]
    shown = _drawable(past[-_HISTORY * steps :])
    per_unit, unit = _time(len(shown) + steps, options)
    before, after = np.arange(1 - len(shown), 1) * per_unit, np.arange(steps + 1) * per_unit
    plot = Plot.around(
        [float(before[0]), float(after[-1])],
        np.r_[shown, ahead.ravel(), [level.threshold for level in levels]],
        title=title,
        xlabel=f"{unit} from the last value",
        ylabel=options.unit,
    )
    # Every band begins in the last measured value, where nothing is uncertain.
    if np.isfinite(shown[-1]):
        ahead = np.c_[np.full(len(ahead), shown[-1]), ahead]
    else:
        after = after[1:]
    _bands(plot, after, quantiles, ahead)
    plot.line(before, shown, INK, "measured")
    plot.upright(0)
    colours = _SEVERITY if len(levels) >= len(_SEVERITY) else _SEVERITY[1:]
    for at, level in enumerate(levels):
        side = "above" if level.above else "below"
        said = f"{level.name}: {side} {level.threshold:g}, chance {100 * level.chance:.0f} %"
        plot.level(level.threshold, colours[min(at, len(colours) - 1)], said)
    return plot.svg()


def _drawable(values: Sequence[float]) -> Values:
    """What no model has read may be of any size; differences of these are finite."""
    found: Values = np.clip(np.array(values, np.float64), -_LARGEST, _LARGEST)
    return found


def _bands(plot: Plot, x: Values, quantiles: Sequence[float], values: Values) -> None:
    """One for each pair of quantiles, widest first, and the middle. Beyond four pairs only those
    that can be told apart."""
    half = len(quantiles) // 2
    pairs = [(at, len(quantiles) - 1 - at) for at in range(half)]
    for depth, (low, high) in enumerate(pairs[:: max(1, -(-half // 4))]):
        share = f"{100 * (quantiles[high] - quantiles[low]):.0f} %"
        plot.band(x, values[low], values[high], shade(depth), share)
    if len(quantiles) % 2:
        plot.line(x, values[half], FAN, "median" if quantiles[half] == 0.5 else "middle", 2)


def _time(steps: int, options: ForecastOptions) -> tuple[float, str]:
    """Length of a step in the unit that fits so many of them, and its name."""
    if options.step_seconds is None:
        return 1.0, "steps"
    span = steps * options.step_seconds
    size, name = next((u for u in _UNITS if span >= _LEAST_UNITS * u[0]), _UNITS[-1])
    return options.step_seconds / size, name
