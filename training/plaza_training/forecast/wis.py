"""The weighted interval score of the FluSight hub, beside the forecasts that it published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plaza_training.forecast.judge import asked, coverage
from plaza_training.forecast.protocols import Pairs
from plaza_training.recipe import Losses, Metrics, Report
from plaza_training.served import Served

if TYPE_CHECKING:
    from plaza_training.forecast.admissions import Table

Values = NDArray[np.float64]
LEVELS = (0.01, 0.025, *(round(0.05 * at, 2) for at in range(1, 20)), 0.975, 0.99)
HORIZON_WEEKS = 4
MODELS = ("FluSight-baseline", "FluSight-ensemble")
_FILE = "reference_forecasts_wk_inc_flu_hosp.parquet"
Task = tuple[date, str, int]
"""Reference date (the Saturday of horizon 0), location, horizon in weeks."""
Published = Mapping[str, Mapping[Task, Values]]
"""Model -> task -> quantiles."""


def interval_scores(quantiles: Values, truth: NDArray[np.floating]) -> Values:
    """(…, levels, horizon) against (…, horizon): twice the mean pinball loss over the levels, which
    is the weighted interval score (Bracher et al., 2021)."""
    miss = np.asarray(truth, np.float64)[..., None, :] - quantiles
    level = np.array(LEVELS)[:, None]
    scores: Values = 2 * np.maximum(level * miss, (level - 1) * miss).mean(-2)
    return scores


def published(
    folder: Path, season: str, dates: Sequence[date], locations: Sequence[str]
) -> Published:
    """What the hub's own models said, for weeks and locations that are known."""
    from pyarrow import parquet  # type: ignore[import-untyped]  # no stubs

    table = parquet.read_table(folder / _FILE)
    column = {name: table.column(name).to_pylist() for name in table.column_names}
    found: dict[str, dict[Task, Values]] = {model: {} for model in MODELS}
    level = {round(q, 3): at for at, q in enumerate(LEVELS)}
    known, places = set(dates), set(locations)
    rows = zip(*(column[name] for name in _COLUMNS), strict=True)
    for of, model, day, horizon, place, q, value in rows:
        ahead = date.fromisoformat(day) + timedelta(weeks=horizon)
        if of != season or horizon < 0 or ahead not in known or place not in places:
            continue
        task = (date.fromisoformat(day), place, int(horizon))
        found[model].setdefault(task, np.full(len(LEVELS), np.nan))[level[round(q, 3)]] = value
    return found


_COLUMNS = ("season", "model", "reference_date", "horizon", "location", "q", "value")


@dataclass(frozen=True, slots=True)
class Question:
    table: Table
    pairs: Pairs
    origins: Sequence[int]
    """Of each window, the week that was known last."""
    hub: Published


@dataclass(frozen=True, slots=True)
class Answered:
    """What a model said to the tasks whose truth was reported."""

    tasks: Sequence[Task]
    ours: Values
    """(tasks, levels)"""
    truth: Values

    def scores(self) -> Values:
        """The weighted interval score of each task."""
        return interval_scores(self.ours[..., None], self.truth[:, None])[:, 0]


def answered(served: Served, question: Question) -> Answered:
    """A task whose truth was never reported is left out for all."""
    table, hub = question.table, question.hub
    quantiles, _ = asked(served, question.pairs)
    window = {table.dates[at + 1]: row for row, at in enumerate(question.origins)}
    week = {day: at for at, day in enumerate(table.dates)}
    place = {name: at for at, name in enumerate(table.locations)}
    tasks, ours, truth = [], [], []
    for task in hub[MODELS[0]]:
        day, location, horizon = task
        actual = table.counts[week[day] + horizon, place[location]]
        if day in window and not np.isnan(actual):
            tasks.append(task)
            ours.append(quantiles[window[day], place[location], :, horizon])
            truth.append(actual)
    return Answered(tasks, np.array(ours), np.array(truth))


def judged(served: Served, *, question: Question) -> Report:
    """Scores of what is served, and of the hub's models where they forecast the same."""
    return report_of(answered(served, question), question.hub)


def report_of(said: Answered, hub: Published) -> Report:
    tasks = said.tasks
    found = {"ours": dict(zip(tasks, said.ours, strict=True)), **hub}
    scores = {name: _scored(model, tasks, said.truth, hub) for name, model in found.items()}
    split = (
        "season 2025-26: every week, horizon (0 to 3) and location that FluSight-baseline "
        "forecast, from final counts up to the week before the reference date"
    )
    every, days = said.scores(), [task[0] for task in tasks]
    each = np.array([every[[d == day for d in days]].mean() for day in sorted(set(days))])
    return Report(split, scores.pop("ours"), scores, Losses("wis", each, stretch=HORIZON_WEEKS))


def _scored(
    said: Mapping[Task, Values], tasks: Sequence[Task], truth: Values, hub: Published
) -> Metrics:
    """Of the tasks that this model took part in; relative to the baseline on the same."""
    rows = [at for at, task in enumerate(tasks) if task in said]
    mine = np.array([said[tasks[at]] for at in rows])[..., None]
    base = np.array([hub[MODELS[0]][tasks[at]] for at in rows])[..., None]
    actual = truth[rows][:, None]
    wis, reference = (interval_scores(one, actual).mean() for one in (mine, base))
    inside = coverage(mine, actual, LEVELS)
    kept = {name: inside[name] for name in ("coverage_50_percent", "coverage_95_percent")}
    median = np.abs(mine[:, LEVELS.index(0.5)] - actual).mean()
    return {
        "wis": float(wis),
        "relative_wis": float(wis / reference),
        "mae": float(median),
        **kept,
        "tasks": float(len(rows)),
    }
