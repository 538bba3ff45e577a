"""What is to be warned of: the chance of each level at each step ahead, and which is raised.

    quantiles ─▶ chance beyond each threshold ─▶ its largest over the steps ─▶ hysteresis ─▶ level
                                          state of the answer before ──────────────┘

Nothing is remembered here: which levels were raised, and since when, goes to the caller as text and
comes back with the next question. Nothing in it is believed beyond its form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plaza_core.errors import InvalidInput
from plaza_core.running import Prepared
from plaza_core.tensors import Array
from plaza_models.forecast import svg
from plaza_models.forecast.chance import Values, chance_above, chance_below
from plaza_models.forecast.graph import Asked, ForecastGraph, windows_of
from plaza_models.forecast.levels import Level, require_ladder
from plaza_models.forecast.options import ForecastOptions
from plaza_models.forecast.tasks import LevelSaid, LevelWanted, Warned, WarnedSeries, WarningTask

_ENTER = 0.5
_KEPT = 0.5
"""A level of the caller's is lowered below this part of the chance that raises it."""
_MOST_SERIES = 10_000
_Name = Annotated[str, Field(max_length=40)]
_Time = Annotated[str, Field(max_length=40)]


class _State(BaseModel):
    """What goes to the caller and comes back."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    at: _Time
    raised: list[dict[_Name, _Time]] = Field(max_length=_MOST_SERIES)
    """For each series: since when which levels are raised."""


@dataclass(frozen=True, slots=True)
class Watching:
    task: WarningTask
    graph: Asked
    ladder: tuple[Level, ...]
    before: _State
    at: str


def prepare(graph: ForecastGraph, task: WarningTask) -> Prepared:
    """A row for each window. Raises InvalidInput naming the field."""
    options = graph.options
    if len(options.quantiles) < 2:
        raise InvalidInput("a model of one quantile cannot tell chances", input="model")
    count = len(task.series)
    if task.draw is not None and not 0 <= task.draw < count:
        raise InvalidInput("there is no such series to draw", input="draw")
    ladder = _ladder(task.levels, options, count)
    at = moment(task.at, "at")
    before = _before(task.state, count, at)
    horizon = _horizon(task, options)
    fields = [f"series[{number}]" for number in range(count)]
    windows = windows_of(task.series, fields, task.known, options)
    tensors, asked = graph.inputs(windows, horizon)
    watching = Watching(task, asked, ladder, before, _written(at))
    return Prepared(tensors, len(windows), context=watching)


def interpret(graph: ForecastGraph, outputs: Mapping[str, Array], watching: Watching) -> Warned:
    """Raises ModelFailed."""
    options, task = graph.options, watching.task
    found = graph.read(outputs, watching.graph).quantiles
    rows = found.reshape(-1, *found.shape[2:])
    series = tuple(_warned(watching, options, at, row) for at, row in enumerate(rows))
    raised = [
        {said.name: said.since for said in one.levels if said.since is not None} for one in series
    ]
    state = _State(at=watching.at, raised=raised).model_dump_json()
    answer = Warned(watching.at, tuple(options.quantiles), series, state)
    return answer if task.draw is None else svg.with_levels(task, answer, options)


def chances(level: Level, levels: Sequence[float], quantiles: Values, series: int) -> Values:
    """Of a value beyond the threshold; `quantiles` (levels, …) gives (…)."""
    beyond = chance_above if level.above else chance_below
    limit = np.full(quantiles.shape[1:], level.threshold(series))
    return beyond(levels, quantiles, limit)


def _warned(
    watching: Watching, options: ForecastOptions, series: int, quantiles: Values
) -> WarnedSeries:
    said = [
        _said(level, chances(level, options.quantiles, quantiles, series), watching, series)
        for level in watching.ladder
    ]
    raised = [one for one in said if one.raised]
    level, since = (raised[-1].name, raised[-1].since) if raised else (None, None)
    return WarnedSeries(level, since, tuple(said), tuple(map(tuple, quantiles.tolist())))


def _said(level: Level, ahead: Values, watching: Watching, series: int) -> LevelSaid:
    chance = float(ahead.max())
    since = watching.before.raised[series].get(level.name)
    raised = level.next(since is not None, chance)
    return LevelSaid(
        name=level.name,
        threshold=level.threshold(series),
        above=level.above,
        raised=raised,
        since=(since or watching.at) if raised else None,
        chance=chance,
        step=int(ahead.argmax()) + 1,
        chances=tuple(ahead.tolist()),
        enter=level.enter,
        leave=level.leave,
        false_alarms=level.false_alarms,
        false_alarms_range=level.false_alarms_range,
    )


def moment(text: str, field: str) -> datetime:
    """ISO 8601; without an offset it is UTC. Raises InvalidInput."""
    try:
        found = datetime.fromisoformat(text)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except ValueError:
        raise InvalidInput("it must be a time as in ISO 8601", input=field) from None


def _written(at: datetime) -> str:
    """UTC ends with Z: a plus sign has another meaning in a query string."""
    return at.isoformat().replace("+00:00", "Z")


def _ladder(
    wanted: tuple[LevelWanted, ...] | None, options: ForecastOptions, series: int
) -> tuple[Level, ...]:
    """The caller's levels, else the model's. Raises InvalidInput."""
    if wanted is None:
        ladder = options.ladder()
    else:
        ladder = tuple(map(_level, wanted))
        require_ladder(ladder, series)
    if not ladder:
        raise InvalidInput("the model declares no levels: send some", input="levels")
    return ladder


def _level(one: LevelWanted) -> Level:
    enter = _ENTER if one.enter is None else one.enter
    leave = _KEPT * enter if one.leave is None else one.leave
    return Level(one.name, one.thresholds, enter, leave, one.above)


def _horizon(task: WarningTask, options: ForecastOptions) -> int:
    if task.horizon is not None or not task.known:
        return options.horizon if task.horizon is None else task.horizon
    reach = min(len(row) for row in task.known) - options.context
    return min(options.horizon, max(1, reach))


def _before(state: str | None, series: int, at: datetime) -> _State:
    """Raises InvalidInput for what no answer had, and for one of a later time."""
    quiet = _State(at=_written(at), raised=[{}] * series)
    if state is None:
        return quiet
    try:
        found = _State.model_validate_json(state)
        times = [moment(t, "state") for each in found.raised for t in each.values()]
        latest = max([moment(found.at, "state"), *times])
    except ValidationError:
        raise InvalidInput("this is no state of an earlier answer", input="state") from None
    if len(found.raised) != series:
        raise InvalidInput("this state is of another number of series", input="state")
    if latest > at:
        raise InvalidInput("this state is of a later time than the values", input="state")
    return found
