"""Exams of forecasters: each set's published protocol, whose windows the hub is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.exam import Seat
from benchmarks.quality.figures import Figures, figures
from plaza_core.card import read_card
from plaza_core.manifest import CARD_FILE
from plaza_training.cases import Cases, Rows, mean_of
from plaza_training.data import locate
from plaza_training.data.forecasting import FLUSIGHT
from plaza_training.forecast import admissions
from plaza_training.forecast.judge import report
from plaza_training.forecast.measure import score_served
from plaza_training.forecast.protocols import PROTOCOLS, Exam
from plaza_training.forecast.recipes import LEVELS, LOAD, SPEED
from plaza_training.forecast.windows import Windows
from plaza_training.forecast.wis import MODELS, Answered, answered, interval_scores, report_of
from plaza_training.recipe import load_recipe

Values = NDArray[np.float64]
THEN: Mapping[str, Callable[[float], float]] = {
    "rmse": math.sqrt,
    "mape_percent": lambda share: 100 * share,
}
"""From the mean loss to the metric, where they are not the same."""
SUBJECTS = {"traffic-speed-quantiles": SPEED, "electricity-load-quantiles": LOAD}


def protocol(seat: Seat) -> Figures:
    """`exam.protocol`, one of `PROTOCOLS`, with the context that the model reads."""
    asked = PROTOCOLS[seat.exam.arguments["protocol"]]
    return _each_trial(
        asked.open(seat.job, seat.served.manifest.options["context"], asked.horizon), seat
    )


def trials(seat: Seat) -> Figures:
    """`exam.trials`, as `module:function` from a Job to an Exam."""
    module, _, function = seat.exam.arguments["trials"].partition(":")
    asked: Exam = getattr(import_module(module), function)(seat.job)
    return _each_trial(asked, seat)


def own(seat: Seat) -> Figures:
    """The measure of the model's own recipe, which is run for it: for recipes of seconds. An
    interval where its losses make up its number."""
    said = load_recipe(seat.exam.model)(seat.job).evaluate(seat.served)
    if said.losses is None:
        return figures(said.metrics, {})
    metric = said.losses.metric
    then = next((way for name, way in THEN.items() if metric.startswith(name)), float)
    cases = mean_of(said.losses.each, then, stretch=said.losses.stretch)
    exact = math.isclose(cases.whole(), said.metrics[metric], rel_tol=1e-6)
    return figures(said.metrics, {metric: cases} if exact else {})


def _each_trial(exam: Exam, seat: Seat) -> Figures:
    """Trial by trial, so that each keeps its losses."""
    found: dict[str, float] = {}
    cases: dict[str, Cases] = {}
    for trial in exam.trials:
        said = report(replace(exam, trials=[trial]), seat.served, {})
        found |= said.metrics
        if said.losses is not None:
            then = THEN.get(trial.metric, float)
            cases[said.losses.metric] = mean_of(said.losses.each, then, stretch=trial.stretch)
    return figures(found, cases)


def held_out(seat: Seat) -> Figures:
    """The rows behind those that the card says it was trained on, every origin."""
    subject = SUBJECTS[seat.exam.model]
    series = subject.read(locate(subject.data, seat.job.data_dir, progress=seat.job.progress))
    card = read_card((seat.directory / CARD_FILE).read_text(encoding="utf-8")).front
    first = int((card.model_extra or {})["parameters"]["train_until"])
    options = seat.served.manifest.options
    windows = Windows(series, options["context"], options["horizon"], first=first, last=len(series))
    metrics, losses = score_served(seat.served, windows, LEVELS)
    return figures(metrics, {"rmse": mean_of(losses.each, math.sqrt, stretch=losses.stretch)})


def influenza(seat: Seat) -> Figures:
    """FluSight's own tasks, beside the forecasts that it published; drawn by reference date."""
    folder = locate(FLUSIGHT, seat.job.data_dir, progress=seat.job.progress)
    question = admissions.question_of(folder, admissions.read(folder))
    said = answered(seat.served, question)
    metrics = report_of(said, question.hub).metrics
    base = np.array([question.hub[MODELS[0]][task] for task in said.tasks])
    theirs = interval_scores(base[..., None], said.truth[:, None])[:, 0]
    inside = (said.ours[:, 1] <= said.truth) & (said.truth <= said.ours[:, -2])
    weeks = _by_week(said, np.stack([said.scores(), theirs, inside, np.ones(len(theirs))], 1))

    def ratio(above: int, below: int, times: float = 1.0) -> Cases:
        def value(rows: Rows) -> float:
            sums = weeks[rows].sum(0)
            return float(times * sums[above] / sums[below])

        return Cases(len(weeks), value, stretch=4)

    return figures(
        metrics, {"relative_wis": ratio(0, 1), "coverage_95_percent": ratio(2, 3, 100.0)}
    )


def _by_week(said: Answered, columns: Values) -> Values:
    """Sums of each reference date, in order of time."""
    of = np.array([task[0].toordinal() for task in said.tasks])
    return np.stack([columns[of == week].sum(0) for week in np.unique(of)])
