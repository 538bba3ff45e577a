"""How the literature measures on each set: which rows teach, which calibrate, which test, and by
what numbers. Knows no model, so that every one is measured alike."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plaza_training.data import DataSet, Split, locate
from plaza_training.data.forecasting import ETT, ISO_NE, LOS_LOOP, M4, WEATHER
from plaza_training.forecast.sets import Series, read_load, read_speeds
from plaza_training.forecast.windows import Windows
from plaza_training.recipe import Job, Metrics

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """What was known, (n, [series,] context), and what came then, (n, [series,] horizon); oldest
    first."""

    past: Series
    future: Series
    known: Series | None = None
    """What is known beside the series, (n, covariates, context + horizon)."""
    pieces: NDArray[np.int64] | None = None
    """(n,) which stretch of time each window belongs to: a season, a day. What is said of stretches
    to come rests on how much these differ."""

    def only(self, rows: NDArray[np.bool_]) -> Pairs:
        known = None if self.known is None else self.known[rows]
        pieces = None if self.pieces is None else self.pieces[rows]
        return Pairs(self.past[rows], self.future[rows], known, pieces)

    @property
    def numbered(self) -> NDArray[np.int64]:
        """The pieces. Raises ValueError where nobody said them."""
        if self.pieces is None:
            raise ValueError("these windows are in no pieces")
        return self.pieces


Score = Callable[[Values, Values], Metrics]
"""(n, horizon) point forecasts and (n, horizon) truth to numbers."""


def squared_each(forecast: Values, actual: Values) -> Values:
    wrong: Values = ((forecast - actual) ** 2).reshape(len(actual), -1).mean(1)
    return wrong


def percent_each(forecast: Values, actual: Values) -> Values:
    wrong: Values = np.abs((forecast - actual) / actual).reshape(len(actual), -1).mean(1)
    return wrong


@dataclass(frozen=True, slots=True)
class Trial:
    """One question of the test: its numbers carry `suffix` in their names."""

    pairs: Pairs
    score: Score
    suffix: str = ""
    metric: str = "mse"
    """The main one of the score."""
    each: Callable[[Values, Values], Values] = squared_each
    """What each window loses: (n, [series,] horizon) forecasts and truth to (n,)."""
    series: int = 1
    """Rows are the windows of so many series, one series after the other."""
    stretch: int = 1
    """Windows in a row that share values."""


@dataclass(frozen=True, slots=True)
class Exam:
    """One set with one horizon, read from disk."""

    learning: Sequence[Pairs]
    """In blocks that fit memory."""
    calibration: Pairs
    """Not used for fitting, not used for testing."""
    trials: Sequence[Trial]
    split: str


@dataclass(frozen=True, slots=True)
class Protocol:
    """A published way of measuring; `open` reads the set."""

    data: DataSet
    context: int
    horizon: int
    season: int
    """Steps after which the series repeats, for the seasonal naive method."""
    open: Callable[[Job, int, int], Exam]
    """(job, context, horizon)."""


def squared(forecast: Values, actual: Values) -> Metrics:
    error = forecast - actual
    return {"mse": float((error**2).mean()), "mae": float(np.abs(error).mean())}


def rooted(forecast: Values, actual: Values) -> Metrics:
    error = forecast - actual
    return {"rmse": float(np.sqrt((error**2).mean())), "mae": float(np.abs(error).mean())}


def percent(forecast: Values, actual: Values) -> Metrics:
    return {"mape_percent": float(np.abs((forecast - actual) / actual).mean() * 100)}


def competition(seasonal_errors: Values, naive2: tuple[float, float]) -> Score:
    """sMAPE, MASE and OWA of M4. `seasonal_errors` (n,) are the in-sample mean absolute errors of
    the seasonal naive method; `naive2` the published sMAPE and MASE that OWA divides by."""

    def score(forecast: Values, actual: Values) -> Metrics:
        smape, mase = _errors(forecast, actual, seasonal_errors)
        found = {"smape_percent": float(smape.mean()), "mase": float(mase.mean())}
        owa = (found["smape_percent"] / naive2[0] + found["mase"] / naive2[1]) / 2
        return {**found, "owa": owa}

    return score


def competition_each(
    seasonal_errors: Values, naive2: tuple[float, float]
) -> Callable[[Values, Values], Values]:
    """What each series adds to OWA, whose mean is OWA."""

    def each(forecast: Values, actual: Values) -> Values:
        smape, mase = _errors(forecast, actual, seasonal_errors)
        return (smape / naive2[0] + mase / naive2[1]) / 2

    return each


def _errors(forecast: Values, actual: Values, seasonal_errors: Values) -> tuple[Values, Values]:
    """sMAPE in percent and MASE of each series, (n,)."""
    error = np.abs(forecast - actual)
    smape: Values = (200 * error / (np.abs(forecast) + np.abs(actual))).mean(1)
    return smape, error.mean(1) / seasonal_errors


def standardised(values: Values, train: Split) -> Series:
    """Every column with the mean and deviation of the train rows."""
    rows = values[train.first : train.last]
    scaled: Series = ((values - rows.mean(0)) / rows.std(0)).astype(np.float32)
    return scaled


def long_horizon(dataset: DataSet, file: str) -> Callable[[Job, int, int], Exam]:
    """ETT and Weather: all columns, all origins, on values standardised by the train rows."""

    def open_exam(job: Job, context: int, horizon: int) -> Exam:
        folder = locate(dataset, job.data_dir, only={file}, progress=job.progress)
        kind = file.partition(".")[0]
        train, valid, test = (dataset.split(f"{kind} {p}") for p in ("train", "valid", "test"))
        series = standardised(read_columns(folder / file), train)
        window = (context, horizon)
        return Exam(
            learning=_blocks(Windows(series, *window, first=context, last=train.last)),
            calibration=_all(Windows(series, *window, first=valid.first, last=valid.last)),
            trials=[
                Trial(
                    _all(Windows(series, *window, first=test.first, last=test.last)),
                    squared,
                    series=series.shape[1],
                    stretch=2 * horizon,
                )
            ],
            split=(
                f"rows {test.first:,} to {test.last:,}, every origin, all {series.shape[1]} "
                f"columns, standardised by rows 0 to {train.last:,}"
            ),
        )

    return open_exam


def traffic(job: Job, context: int, horizon: int) -> Exam:
    """Los-loop as T-GCN measures it: windows that lie wholly in the last fifth; the mean over the
    first 3, 6, 9 and 12 steps."""
    folder = locate(LOS_LOOP, job.data_dir, only={"los_speed.csv"}, progress=job.progress)
    series = read_speeds(folder)
    test = LOS_LOOP.split("test")
    border = test.first - test.count // 2
    trials = [
        Trial(
            _all(Windows(series, context, steps, first=test.first + context, last=test.last)),
            rooted,
            f"_{5 * steps}_minutes",
            metric="rmse",
            series=series.shape[1],
            stretch=2 * steps,
        )
        for steps in (3, 6, 9, 12)
        if steps <= horizon
    ]
    return Exam(
        learning=_blocks(Windows(series, context, horizon, first=context, last=border)),
        calibration=_all(Windows(series, context, horizon, first=border, last=test.first)),
        trials=trials,
        split="windows inside the last 404 of 2,016 rows; all 207 detectors; mean over the steps",
    )


def day_ahead(job: Job, context: int, horizon: int) -> Exam:
    """ISO-NE as its authors measure it: each of 365 days from the end of the day before."""
    folder = locate(ISO_NE, job.data_dir, only={"selected_data_ISONE.csv"}, progress=job.progress)
    series = read_load(folder)
    train, test = ISO_NE.split("train"), ISO_NE.split("test")
    border = train.last - 120 * horizon
    days = np.arange(test.first, test.last, horizon)
    asked = Windows(series, context, horizon, first=test.first, last=test.last)
    pairs = Pairs(*asked.take(days, np.zeros(len(days), np.int64)))
    return Exam(
        learning=_blocks(Windows(series, context, horizon, first=train.first, last=border)),
        calibration=_all(Windows(series, context, horizon, first=border, last=train.last)),
        trials=[Trial(pairs, percent, metric="mape_percent", each=percent_each, stretch=7)],
        split="the 24 hours of each of 365 days, 31 December 2005 to 30 December 2006",
    )


def held_out(
    series: Series, border: int, taught: int | None = None
) -> Callable[[Job, int, int], Exam]:
    """Series without a published protocol: rows from `border` on test, rows before `taught` (None:
    all before the test) teach, but for the last tenth of them, which calibrates the intervals."""
    last = taught or border

    def open_exam(job: Job, context: int, horizon: int) -> Exam:  # noqa: ARG001 port
        window = (context, horizon)
        middle = max(context + horizon, last - max(horizon, last // 10))
        return Exam(
            learning=_blocks(Windows(series, *window, first=context, last=middle)),
            calibration=_all(Windows(series, *window, first=middle, last=last)),
            trials=[
                Trial(
                    _all(Windows(series, *window, first=border, last=len(series))),
                    rooted,
                    metric="rmse",
                    series=series.shape[1],
                    stretch=2 * horizon,
                )
            ],
            split=f"the last {len(series) - border:,} of {len(series):,} rows, every origin",
        )

    return open_exam


def m4(kind: str, season: int, naive2: tuple[float, float]) -> Callable[[Job, int, int], Exam]:
    """The last steps of each series, as the competition held them back."""

    def open_exam(job: Job, context: int, horizon: int) -> Exam:
        names = (f"{kind}-train.csv", f"{kind}-test.csv")
        folder = locate(M4, job.data_dir, only=set(names), progress=job.progress)
        known, asked = (read_rows(folder / name) for name in names)
        future = np.stack(asked).astype(np.float32)
        errors = np.array([np.abs(row[season:] - row[:-season]).mean() for row in known])
        return Exam(
            learning=[_slides(_unit(row[:-horizon], season), context, horizon) for row in known],
            calibration=_tails(known, context, horizon),
            trials=[
                Trial(
                    Pairs(np.stack([_last(row, context) for row in known]), future),
                    competition(errors, naive2),
                    metric="owa",
                    each=competition_each(errors, naive2),
                )
            ],
            split=f"the official last {horizon} steps of each of {len(known)} series",
        )

    return open_exam


def _unit(row: Values, season: int) -> Values:
    """A series in units of its seasonal error, which MASE divides by as well; so neither large nor
    restless series rule the fit. One without any error teaches nothing."""
    error = np.abs(row[season:] - row[:-season]).mean()
    return row / error if error > 0 else row * 0


def _tails(rows: Iterable[Values], context: int, horizon: int) -> Pairs:
    """The last steps that are not held back; series too short for that stay out."""
    long = [row[-context - horizon :] for row in rows if len(row) >= context + horizon]
    table = np.stack(long).astype(np.float32)
    return Pairs(table[:, :context], table[:, context:])


def _slides(row: Values, context: int, horizon: int) -> Pairs:
    if len(row) < context + horizon:
        return Pairs(np.zeros((0, context), np.float32), np.zeros((0, horizon), np.float32))
    every = np.lib.stride_tricks.sliding_window_view(row.astype(np.float32), context + horizon)
    return Pairs(every[:, :context], every[:, context:])


def _last(row: Values, context: int) -> Series:
    """The end of a series; a shorter one begins with its first value, repeated."""
    missing = max(0, context - len(row))
    return np.concatenate((np.full(missing, row[0]), row[-context:])).astype(np.float32)


def _all(windows: Windows) -> Pairs:
    blocks = list(windows.by_column())
    return Pairs(np.concatenate([b[0] for b in blocks]), np.concatenate([b[1] for b in blocks]))


def _blocks(windows: Windows) -> list[Pairs]:
    return [Pairs(past, future) for past, future in windows.by_column()]


def read_columns(path: Path) -> Values:
    """All columns after the date: (rows, columns)."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        return np.array([[float(cell) for cell in row[1:]] for row in rows])


def read_rows(path: Path) -> list[Values]:
    """A series per line after its name; lines end where the series does."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        return [np.array([float(cell) for cell in row[1:] if cell]) for row in rows]


PROTOCOLS: Mapping[str, Protocol] = {
    **{
        f"{name.lower()}-{horizon}": Protocol(
            ETT, 336, horizon, 24, long_horizon(ETT, f"{name}.csv")
        )
        for name in ("ETTh1", "ETTh2")
        for horizon in (96, 336, 720)
    },
    **{
        f"wth-{horizon}": Protocol(WEATHER, 336, horizon, 24, long_horizon(WEATHER, "WTH.csv"))
        for horizon in (24, 168)
    },
    "los-loop-12": Protocol(LOS_LOOP, 12, 12, 1, traffic),
    "iso-ne-24": Protocol(ISO_NE, 168, 24, 24, day_ahead),
    "m4-hourly": Protocol(M4, 336, 48, 24, m4("Hourly", 24, (18.383, 2.395))),
    "m4-weekly": Protocol(M4, 52, 13, 1, m4("Weekly", 1, (9.161, 2.777))),
}
"""Name -> the published way. Naive2 of M4 as published (Makridakis et al., 2020)."""
