"""Recipe `traffic-speed-quantiles`: speeds of the next hour, and warnings of roads that slow down.

Days before the test set the levels, each as forecast by a network that learnt from the other days:
the one that ships has seen them all, and would seem to know them better than days to come.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plaza_models.forecast.options import ForecastOptions
from plaza_models.options import read_options
from plaza_training.data import locate
from plaza_training.forecast.declared import Watched, in_units, pairs_of, with_levels
from plaza_training.forecast.forecaster import Values
from plaza_training.forecast.protocols import Pairs
from plaza_training.forecast.recipes import LEVELS, SPEED, SPEED_CHOICES, Choices, fit, train
from plaza_training.forecast.sets import Series
from plaza_training.forecast.watch import Watch
from plaza_training.forecast.windows import Windows
from plaza_training.recipe import Job, Trained
from plaza_training.runs import NoLog

DAY = 288


def watched(series: Series, choices: Choices = SPEED_CHOICES) -> Watched:
    """Speeds are in miles per hour."""
    window, border = (choices.context, choices.horizon), choices.train_until
    history = Windows(series, *window, first=choices.context, last=border)
    test = Windows(series, *window, first=border, last=len(series))
    return Watched(
        Watch(
            said="a detector's speed below the threshold",
            thresholds={"slow": 40.0, "jam": 25.0},
            false_alarms=0.05,
            above=False,
            series=series.shape[1],
        ),
        pairs_of(history, DAY),
        pairs_of(test),
        "the days that taught, each forecast by a network that learnt from the others",
    )


def left_out(
    series: Series, history: Pairs, options: ForecastOptions, choices: Choices, job: Job
) -> Values:
    """(n, levels, horizon) of each day, by a network whose targets were on other days."""
    learning = Windows(
        series, choices.context, choices.horizon, first=choices.context, last=choices.train_until
    )
    numbers = history.numbered[: len(learning.origins)]
    quantiles = np.zeros((len(history.past), len(LEVELS), choices.horizon))
    # Checkpoints and curves are those of the network that ships.
    quiet = replace(job, state=None, log=NoLog())
    days = np.unique(numbers)
    for day in job.progress.track(days, "days left out", len(days)):
        network = fit(without(learning, numbers == day), choices, quiet).eval()
        rows = history.numbered == day
        quantiles[rows] = in_units(network, history.only(rows), options)
    return quantiles


def without(windows: Windows, day: NDArray[np.bool_]) -> Windows:
    """Those that share no value to be forecast with these origins, which follow one another."""
    own = windows.origins[day]
    return replace(windows, apart=(int(own[0]), int(own[-1]) + windows.horizon))


def traffic_speed(job: Job) -> Trained:
    trained = train(SPEED, SPEED_CHOICES, job)
    series = SPEED.read(locate(SPEED.data, job.data_dir, progress=job.progress))
    asked = watched(series)
    options = read_options(ForecastOptions, trained.options)
    quantiles = left_out(series, asked.history, options, SPEED_CHOICES, job)
    return with_levels(trained, asked, quantiles)
