"""What a forecasting model says of series beside a forecast: how strange past values were, and what
to warn of; and whole tables, CSV in and CSV or a drawing out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from plaza._http import Answer, Call, Param
from plaza._inference import Values, Version, _cost, _floats, _numbers, _origin, _task
from plaza.answers import Cost, Timing

SeriesTask = Literal["forecast", "anomalies", "warn"]
TableForm = Literal["csv", "svg"]
_PATHS: Mapping[str, str] = {
    "forecast": "/v1/forecast",
    "anomalies": "/v1/anomaly/score",
    "warn": "/v1/warning/level",
}
_FORMS = {"csv": "text/csv", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class ScoredSeries:
    """The last values of one series."""

    scores: NDArray[np.float64] = field(repr=False)
    """0 for what was expected, near 1 for what hardly ever happens; NaN where nothing was
    measured."""
    values: NDArray[np.float64] = field(repr=False)
    """(quantiles, steps): what they were compared with."""


@dataclass(frozen=True, slots=True)
class Anomalies:
    model: str
    version: int
    timing: Timing
    first: int
    """Place of the first scored value among those sent."""
    quantiles: tuple[float, ...]
    series: tuple[ScoredSeries, ...]
    cost: Cost

    @property
    def scores(self) -> NDArray[np.float64]:
        """Of the first series, often the only one."""
        return self.series[0].scores


@dataclass(frozen=True, slots=True)
class WarningLevel:
    """A level of one's own: it is raised when a value beyond `threshold` is at least as likely as
    `enter` (0.5), and lowered below `leave` (half of it)."""

    name: str
    threshold: float | Sequence[float]
    """One, or one for each series."""
    above: bool = True
    enter: float | None = None
    leave: float | None = None


@dataclass(frozen=True, slots=True)
class LevelAnswer:
    """One level in an answer; `chance` is the largest of `chances`, in `step` steps."""

    name: str
    threshold: float
    above: bool
    raised: bool
    since: str | None
    chance: float
    step: int
    chances: tuple[float, ...] = field(repr=False)
    enter: float
    leave: float
    false_alarms: float | None
    """Share of quiet times that it warned about on history, where the model states it."""
    false_alarms_range: tuple[float, float] | None = None
    """Where that share lies in nine of ten stretches of time to come."""


@dataclass(frozen=True, slots=True)
class WarnedSeries:
    level: str | None
    """The most severe one that is raised."""
    since: str | None
    levels: tuple[LevelAnswer, ...]
    values: NDArray[np.float64] = field(repr=False)
    """(quantiles, steps ahead)."""


@dataclass(frozen=True, slots=True)
class Warned:
    model: str
    version: int
    timing: Timing
    at: str
    quantiles: tuple[float, ...]
    series: tuple[WarnedSeries, ...]
    state: str = field(repr=False)
    """For the next call; the hub keeps nothing."""
    cost: Cost

    @property
    def level(self) -> str | None:
        """Of the first series, often the only one."""
        return self.series[0].level

    @property
    def since(self) -> str | None:
        return self.series[0].since


def anomalies(
    values: Values | Sequence[Values],
    *,
    model: str | None = None,
    version: Version = None,
    steps: int | None = None,
    every: int | None = None,
    known: Sequence[Sequence[float]] | None = None,
) -> Call[Anomalies]:
    """How strange the last `steps` values are, had one forecast them every `every` steps; of one
    series or of several. `known`: covariates of the model, a row each as long as the series."""

    def read(answer: Answer) -> Anomalies:
        found = answer.json()
        return Anomalies(
            *_origin(found),
            first=found["first"],
            quantiles=tuple(found["quantiles"]),
            series=tuple(
                ScoredSeries(_array(one["scores"]), _array(one["values"]))
                for one in found.get("series", [found])
            ),
            cost=_cost(answer),
        )

    return _task(
        _PATHS["anomalies"],
        read,
        model=model,
        version=version,
        **_sent(values),
        steps=steps,
        every=every,
        known=_rows(known),
    )


def warn(
    values: Values | Sequence[Values],
    *,
    model: str | None = None,
    version: Version = None,
    horizon: int | None = None,
    levels: Sequence[WarningLevel] | None = None,
    known: Sequence[Sequence[float]] | None = None,
    at: str | datetime | None = None,
    state: str | None = None,
) -> Call[Warned]:
    """What to warn of after the last values, which were measured `at` (None: now). Without `levels`
    those of the model. Hand `state` of each answer to the next call, so that a level is not raised
    and lowered with every tremble of its chance."""

    def read(answer: Answer) -> Warned:
        found = answer.json()
        return Warned(
            *_origin(found),
            at=found["at"],
            quantiles=tuple(found["quantiles"]),
            series=tuple(map(_warned, found.get("series", [found]))),
            state=found["state"],
            cost=_cost(answer),
        )

    return _task(
        _PATHS["warn"],
        read,
        model=model,
        version=version,
        **_sent(values),
        horizon=horizon,
        levels=None if levels is None else [_level(one) for one in levels],
        known=_rows(known),
        at=at.isoformat() if isinstance(at, datetime) else at,
        state=state,
    )


def table(
    task: SeriesTask,
    rows: str | bytes | Path,
    *,
    model: str | None = None,
    version: Version = None,
    form: TableForm = "csv",
    levels: Sequence[WarningLevel] | None = None,
    quantiles: Sequence[float] | None = None,
    **fields: str | int | None,
) -> Call[Table]:
    """A table in CSV (text, or a file), answered as CSV or as a drawing. The column `time` is ISO
    8601, columns named as the model's covariates are these, every other one is a series. `fields`
    are those of the task: `horizon`, `steps`, `every`, `at`, `state`, `draw`; `levels` are a
    warning's, `quantiles` a forecast's."""

    def read(answer: Answer) -> Table:
        return Table(answer.content, answer.headers.get("x-plaza-state"), _cost(answer))

    content = rows.read_bytes() if isinstance(rows, Path) else rows
    params: dict[str, Param] = {"model": model, "version": version, **fields}
    if levels is not None:
        params["levels"] = json.dumps([_level(one) for one in levels])
    if quantiles is not None:
        params["quantiles"] = json.dumps([float(one) for one in quantiles])
    return Call(
        "inference",
        "POST",
        _PATHS[task],
        read,
        params=params,
        headers={"content-type": "text/csv", "accept": _FORMS[form]},
        content=content.encode() if isinstance(content, str) else content,
    )


@dataclass(frozen=True, slots=True)
class Table:
    content: bytes = field(repr=False)
    """CSV in UTF-8, or SVG."""
    state: str | None
    """Of a warning: for the next call."""
    cost: Cost


def _warned(one: Mapping[str, Any]) -> WarnedSeries:
    levels = [_level_answer(**level) for level in one["levels"]]
    return WarnedSeries(one["level"], one["since"], tuple(levels), _array(one["values"]))


def _level_answer(*, chances: Sequence[float], **said: Any) -> LevelAnswer:
    """Fields of a later hub are left out."""
    known = {name: said[name] for name in LevelAnswer.__dataclass_fields__ if name in said}
    if stated := known.get("false_alarms_range"):
        known["false_alarms_range"] = tuple(stated)
    return LevelAnswer(chances=tuple(chances), **known)


def _array(values: Any) -> NDArray[np.float64]:
    """null is NaN."""
    return np.array(values, dtype=np.float64)


def _level(one: WarningLevel) -> dict[str, Any]:
    said = one.threshold
    fields = {
        "name": one.name,
        "threshold": said if isinstance(said, int | float) else list(map(float, said)),
        "above": one.above,
        "enter": one.enter,
        "leave": one.leave,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _sent(values: Any) -> dict[str, Any]:
    """`values` of one series, `series` of several."""
    if len(values) and not np.isscalar(values[0]) and values[0] is not None:
        return {"series": [_numbers(one) for one in values]}
    return {"values": _numbers(values)}


def _rows(known: Sequence[Sequence[float]] | None) -> list[list[float]] | None:
    return None if known is None else _floats(known)
