"""Warning levels of a forecaster: set on history that taught it nothing, and measured on the test,
by the rule that serves them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from plaza_core.errors import InvalidInput
from plaza_models.forecast.levels import Level
from plaza_models.forecast.options import ForecastOptions, LevelOptions
from plaza_models.forecast.warning import chances
from plaza_training.forecast.alarms import (
    Flags,
    Values,
    brier,
    by_lead,
    notice,
    reliability,
    warnings,
)
from plaza_training.forecast.promise import Numbers, Rate, Told, entrance, followed
from plaza_training.forecast.protocols import Pairs

KEPT = 0.5
"""A level is lowered below this part of the chance that raises it."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What is to be warned of."""

    said: str
    """The event, in words; `threshold` stands for its own."""
    thresholds: Mapping[str, float | Sequence[float]]
    """Level -> in units of the series, or one for each; the mildest first."""
    false_alarms: float
    """Share of the times without the event ahead that may be warned about, in 19 of 20 pieces
    (`Pairs.pieces`) to come."""
    above: bool = True
    stride: int = 1
    """Steps from one forecast to the next."""
    series: int = 1
    """Of a model of one series: rows are the windows of so many, one series after the other."""


@dataclass(frozen=True, slots=True)
class History:
    """Forecasts in order of time, and what came."""

    quantiles: Values
    """(levels, origins, series, steps)."""
    future: Values
    """(origins, series, steps)."""
    now: Values
    """(origins, series): the last value that was known."""
    pieces: Numbers
    """(origins,)."""

    @classmethod
    def of(cls, quantiles: Values, pairs: Pairs, watch: Watch) -> History:
        """`quantiles` (n, [series,] levels, steps)."""
        future, now = pairs.future.astype(np.float64), pairs.past[..., -1].astype(np.float64)
        pieces = np.zeros(len(now), np.int64) if pairs.pieces is None else pairs.pieces
        if quantiles.ndim == 4:
            return cls(np.moveaxis(quantiles, 2, 0), future, now, pieces)
        each = quantiles.reshape(watch.series, -1, *quantiles.shape[1:])
        ahead = future.reshape(watch.series, -1, future.shape[-1])
        return cls(
            each.transpose(2, 1, 0, 3),
            ahead.transpose(1, 0, 2),
            now.reshape(watch.series, -1).T,
            pieces.reshape(watch.series, -1)[0],
        )

    def chances(self, level: Level, levels: Sequence[float]) -> Values:
        """(origins, series, steps) of a value beyond the threshold."""
        each = range(self.now.shape[1])
        said = [chances(level, levels, self.quantiles[:, :, at], at) for at in each]
        return np.stack(said, 1)

    def beyond(self, level: Level) -> tuple[Flags, Flags]:
        """Which future values, and which present ones."""
        limits = np.array([level.threshold(at) for at in range(self.now.shape[1])])
        future, now = self.future - limits[:, None], self.now - limits
        return (future > 0, now > 0) if level.above else (future < 0, now < 0)

    def told(self, level: Level, levels: Sequence[float]) -> Told:
        ahead: Flags = self.beyond(level)[0].max(2)
        return Told(self.chances(level, levels).max(2), ahead, self.pieces)


def set_levels(watch: Watch, history: History, options: ForecastOptions) -> list[LevelOptions]:
    """Each is raised from the lowest chance that keeps the promise. Raises InvalidInput where no
    chance does, history has less than two pieces, or what is warned of never came in it."""
    found = []
    for name, threshold in watch.thresholds.items():
        limits = list(threshold) if isinstance(threshold, Sequence) else [threshold]
        asked = Level(name, tuple(limits), 1.0, 0.0, watch.above)
        told = history.told(asked, options.quantiles)
        if not told.ahead.any():
            raise InvalidInput(
                f"nothing is known of level '{name}': its event never came in the history it is "
                "set on",
                input="levels",
            )
        level, stated = entrance(told, watch.false_alarms, KEPT)
        found.append(
            LevelOptions(
                name=name,
                threshold=limits if len(limits) > 1 else limits[0],
                above=watch.above,
                enter=level.enter,
                leave=level.leave,
                false_alarms=round(stated.share, 4),
                false_alarms_range=_around(stated),
            )
        )
    return found


def _around(stated: Rate) -> tuple[float, float]:
    """Rounded away from the share."""
    return math.floor(1e4 * stated.low) / 1e4, math.ceil(1e4 * stated.high) / 1e4


def measured(watch: Watch, history: History, options: ForecastOptions) -> dict[str, dict[str, Any]]:
    """Level -> how good it was. By lead: each step by itself, of the times when it was not beyond
    the threshold yet; nobody needs a warning of what is there. The rest: by the rule that serves,
    the largest chance of all steps, with hysteresis."""
    return {
        level.name: _measured(level, watch, history, options.quantiles)
        for level in options.ladder()
    }


def _measured(
    level: Level, watch: Watch, history: History, levels: Sequence[float]
) -> dict[str, Any]:
    said, (came, now) = history.chances(level, levels), history.beyond(level)
    raised, ahead = followed(level, said.max(2)), came.max(2)
    fresh = ~now
    noticed = _noticed(watch, raised, came, now)
    # Raised as it begins is no notice: by then the value is known.
    found = [steps for steps in noticed if steps]
    given, vain = warnings(raised, ahead)
    return {
        "threshold": list(level.thresholds) if len(level.thresholds) > 1 else level.threshold(0),
        "raised_from": level.enter,
        "lowered_below": level.leave,
        "false_alarms_stated": level.false_alarms,
        "false_alarms_range": level.false_alarms_range,
        "false_alarms": _share(raised & ~ahead, ~ahead),
        "precision": _share(raised & ahead & fresh, raised & fresh),
        "recall": _share(raised & ahead & fresh, ahead & fresh),
        "warnings": given,
        "warnings_in_vain": vain,
        "events": len(noticed),
        "noticed": len(found),
        "median_notice_steps": float(np.median(found)) if found else None,
        "brier": brier(said[fresh], came[fresh]),
        "brier_of_the_frequency": brier(
            np.full(said[fresh].shape, came[fresh].mean()), came[fresh]
        ),
        "by_lead": [asdict(lead) for lead in by_lead(said[fresh], came[fresh], level.enter)],
        "reliability": [asdict(part) for part in reliability(said[fresh], came[fresh])],
    }


def _noticed(watch: Watch, raised: Flags, came: Flags, now: Flags) -> list[int | None]:
    """Steps from the warning to the beginning of each event. Where forecasts do not overlap, an
    event begins at its first step in the forecast that it lies in."""
    if watch.stride == 1:
        columns = zip(raised.T.tolist(), now.T.tolist(), strict=True)
        return [steps for levels, event in columns for steps in notice(levels, event)]
    fresh = came.any(2) & ~now
    first = came.argmax(2) + 1
    return [int(first[at]) if raised[at] else None for at in zip(*np.nonzero(fresh), strict=True)]


def metrics_of(found: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The numbers of a card, as far as there are any: without a warning there is no precision."""
    metrics: dict[str, float] = {}
    for name, one in found.items():
        word = name.replace(" ", "_")
        for what in ("false_alarms", "precision", "recall"):
            metrics[f"{word}_{what}_percent"] = 100 * one[what]
        if one["false_alarms_range"] is not None:
            low, high = one["false_alarms_range"]
            metrics[f"{word}_false_alarms_stated_percent"] = 100 * one["false_alarms_stated"]
            metrics[f"{word}_false_alarms_stated_from_percent"] = 100 * low
            metrics[f"{word}_false_alarms_stated_to_percent"] = 100 * high
        for what in ("warnings", "warnings_in_vain", "events"):
            metrics[f"{word}_{what}"] = float(one[what])
        metrics[f"{word}_noticed_before"] = float(one["noticed"])
        if one["median_notice_steps"] is not None:
            metrics[f"{word}_median_notice_steps"] = one["median_notice_steps"]
    return {name: value for name, value in metrics.items() if not math.isnan(value)}


def _share(part: Flags, of: Flags) -> float:
    return float(part.sum() / of.sum()) if of.any() else float("nan")
