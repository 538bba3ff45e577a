"""Recipe `electricity-load-quantiles`, and the model of `traffic-speed-quantiles` (`congestion`).

One network and one way of training; a recipe chooses the series, the window and the split.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from plaza_core.manifest import Limits
from plaza_models.forecast.graph import Scale
from plaza_models.forecast.options import ForecastOptions, Scaling
from plaza_training.data import DataSet, locate
from plaza_training.data.forecasting import ISO_NE, LOS_LOOP
from plaza_training.forecast.measure import repeat, score_points, score_served
from plaza_training.forecast.network import QuantileNetwork, pinball
from plaza_training.forecast.ridge import Ridge
from plaza_training.forecast.sets import Series, read_load, read_speeds
from plaza_training.forecast.windows import Windows
from plaza_training.loop import Loop, Pace
from plaza_training.recipe import Graph, Job, Metrics, Report, Story, Trained
from plaza_training.served import Served

_LOOKED_AT = 1024
"""Windows of validation."""
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)


@dataclass(frozen=True, slots=True)
class Choices:
    """Everything that shapes the weights besides data and seed."""

    context: int
    horizon: int
    scaling: Scaling
    hidden: int
    dropout: float
    weight_decay: float
    steps: int
    rows_per_step: int
    learning_rate: float
    train_until: int
    """First row of the series that is held out."""
    patience: int | None = None
    """Looks at validation without a better one before it stops; see `loop.Pace`."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is forecast: the series and the words about it."""

    data: DataSet
    read: Callable[[Path], Series]
    split: str
    story: Story
    unit: str
    step_seconds: int
    season: int
    """Steps after which the series roughly repeats, for the seasonal baseline."""
    season_name: str
    lower: float | None = 0.0
    """No value can be below this."""
    test_from: int | None = None
    """First row of the test, where it does not begin as what teaches ends."""


def train(subject: Subject, choices: Choices, job: Job) -> Trained:
    series = subject.read(locate(subject.data, job.data_dir, progress=job.progress))
    window = (choices.context, choices.horizon)
    learning = Windows(series, *window, first=choices.context, last=choices.train_until)
    first = subject.test_from or learning.last
    held_out = Windows(series, *window, first=first, last=len(series))
    network = fit(learning, choices, job)
    options = ForecastOptions(
        context=choices.context,
        horizon=choices.horizon,
        quantiles=list(LEVELS),
        scaling=choices.scaling,
        lower=subject.lower,
        step_seconds=subject.step_seconds,
        unit=subject.unit,
    )

    def evaluate(served: Served) -> Report:
        job.progress.note(f"asking for {len(held_out):,} held-out windows")
        metrics, losses = score_served(served, held_out, LEVELS)
        return Report(subject.split, metrics, _baselines(subject, learning, held_out), losses)

    batches = _parity_batches(held_out, choices, np.random.default_rng(job.seed))
    return Trained(
        graph=Graph(network, batches[0], ("quantiles",)),
        family="forecast.quantile",
        options=options.model_dump(exclude_none=True),
        data=(subject.data,),
        licence="MIT",
        story=subject.story,
        parameters={"levels": list(LEVELS), **asdict(choices)},
        parity_inputs=batches,
        evaluate=evaluate,
        files={"sample.json": _sample(choices, subject, np.random.default_rng(job.seed))},
        samples=("sample.json",),
        limits=Limits(max_batch=256),
    )


def fit(windows: Windows, choices: Choices, job: Job) -> QuantileNetwork:
    """Minimise the pinball loss, in units of the series, over windows drawn evenly. With patience
    the last tenth of the rows teaches nothing but when to stop."""
    network = QuantileNetwork(
        *(choices.context, choices.horizon, len(LEVELS)),
        hidden=choices.hidden,
        dropout=choices.dropout,
    )
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=choices.learning_rate, weight_decay=choices.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, choices.learning_rate, total_steps=choices.steps, pct_start=0.1
    )
    random = np.random.default_rng(job.seed)
    learning, kept = _kept_back(windows) if choices.patience is not None else (windows, None)
    typical = float(np.abs(windows.series[: windows.last]).mean())
    loop = Loop(network, optimiser, schedule, random, choices={**asdict(choices), "seed": job.seed})
    taken = loop.run(
        Pace(choices.steps, min(100, choices.steps), choices.patience),
        job,
        lambda: _loss(network, learning.draw(random, choices.rows_per_step), choices, typical),
        None
        if kept is None
        else lambda: float(
            _loss(network, kept.draw(np.random.default_rng(0), _LOOKED_AT), choices, typical)
        ),
    )
    if taken < choices.steps:
        job.progress.note(f"took the weights of step {taken:,} of {choices.steps:,}")
    return network


def _kept_back(windows: Windows) -> tuple[Windows, Windows]:
    """The last tenth of a range apart from what comes before it."""
    size = max(windows.horizon, (windows.last - windows.first) // 10)
    border = windows.last - size
    return replace(windows, last=border), replace(windows, first=border)


def _loss(
    network: QuantileNetwork, pairs: tuple[Series, Series], choices: Choices, typical: float
) -> torch.Tensor:
    past, future = pairs
    offset, factor = scales(past, choices.scaling)
    forecast = network(torch.from_numpy((past - offset) / factor))
    loss = pinball(forecast, torch.from_numpy((future - offset) / factor), torch.tensor(LEVELS))
    return (loss * torch.from_numpy(factor / typical).unsqueeze(2)).mean()


def scales(past: Series, scaling: Scaling) -> tuple[Series, Series]:
    """(offset, factor) of every row, each (n, 1), by the rule that serves."""
    found = [Scale.of(row, scaling) for row in past.astype(np.float64)]
    table = np.array([(scale.offset, scale.factor) for scale in found], dtype=np.float32)
    return table[:, :1], table[:, 1:]


def _baselines(subject: Subject, learning: Windows, held_out: Windows) -> Mapping[str, Metrics]:
    ridge = Ridge(learning)
    horizon = held_out.horizon
    methods = {
        "last value": repeat(horizon, 1),
        subject.season_name: repeat(horizon, subject.season),
        "ridge regression": ridge.forecast,
    }
    return {name: score_points(held_out, LEVELS, method) for name, method in methods.items()}


def _parity_batches(
    windows: Windows, choices: Choices, random: np.random.Generator
) -> list[dict[str, Any]]:
    batches = []
    for rows in (64, 1, 33):
        past, _ = windows.draw(random, rows)
        offset, factor = scales(past, choices.scaling)
        batches.append({"values": (past - offset) / factor})
    return batches


def _sample(choices: Choices, subject: Subject, random: np.random.Generator) -> bytes:
    """A made-up series with a day in it, so that the bundle carries no measured data."""
    steps = np.arange(choices.context)
    day = 86_400 / subject.step_seconds
    values = 50 + 10 * np.sin(2 * np.pi * steps / day) + random.normal(0, 1, len(steps))
    sample = {
        "note": "generated",
        "values": np.round(values, 2).tolist(),
        "horizon": choices.horizon,
    }
    return json.dumps(sample).encode()


SPEED = Subject(
    data=LOS_LOOP,
    read=read_speeds,
    split=(
        "the last 404 of 2,016 five-minute steps (20 %, about 34 hours), every origin and all 207 "
        "detectors; trained on the first 1,612 steps"
    ),
    story=Story(
        title="Traffic speed for the next hour, with quantiles",
        summary=(
            "Reads the last day of speeds of one road detector (288 values, one every 5 minutes) "
            "and gives seven quantiles for each of the next 12 steps. One network for all "
            "detectors: a linear map plus a network of two hidden layers, trained on the pinball "
            "loss. Contexts are divided by their mean: kilometres per hour work as well as miles."
        ),
        limits=(
            "Learnt from one week of March 2012 on highways around Los Angeles. It knows neither "
            "the calendar nor the neighbouring detectors, and has seen no weekend but one. The "
            "held-out stretch is a day and a half long, so its scores are an indication and "
            "not a promise for other cities. MAPE is dominated by queues, where speeds are small."
        ),
    ),
    unit="mph",
    step_seconds=300,
    season=288,
    season_name="same time yesterday",
)

LOAD = Subject(
    data=ISO_NE,
    read=read_load,
    split=(
        "the last 730 days (2013 and 2014), every hour as origin; trained on March 2003 to "
        "December 2012"
    ),
    story=Story(
        title="Electricity load for the next day, with quantiles",
        summary=(
            "Reads the last two weeks of hourly load (336 values) and gives seven quantiles for "
            "each of the next 24 hours. A linear map plus a network of two hidden layers, trained "
            "on the pinball loss. Contexts are divided by their mean, so the unit is free."
        ),
        limits=(
            "Learnt from one region, New England. It sees the load alone: no weather forecast and "
            "no calendar, so holidays and sudden heat surprise it. Forecasts that know the day's "
            "temperature reach a MAPE near 1.5 % on this series; this model cannot."
        ),
    ),
    unit="MW",
    step_seconds=3600,
    season=168,
    season_name="same hour last week",
)


SPEED_CHOICES = Choices(
    context=288,
    horizon=12,
    scaling="mean-abs",
    hidden=256,
    dropout=0.1,
    weight_decay=0.01,
    steps=2000,
    rows_per_step=512,
    learning_rate=1e-3,
    train_until=1612,
)
LOAD_CHOICES = Choices(
    context=336,
    horizon=24,
    scaling="mean-abs",
    hidden=256,
    dropout=0.1,
    weight_decay=0.01,
    steps=4000,
    rows_per_step=512,
    learning_rate=2e-3,
    train_until=103_776 - 730 * 24,
)


def electricity_load(job: Job) -> Trained:
    return train(LOAD, LOAD_CHOICES, job)
