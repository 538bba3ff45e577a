"""Recipe `flusight-forecaster`: weekly admissions with influenza, all states together.

Growth on the fourth root of the rate, from the last weeks, the nation and the time before and
after Christmas, pooled over states; intervals from seasons that were left out.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from plaza_models.forecast.options import ForecastOptions
from plaza_training.data import locate
from plaza_training.data.forecasting import FLUSIGHT
from plaza_training.forecast.assemble import Fitted, assembled, expected
from plaza_training.forecast.forecaster import Fixed, Forecaster, applied, fixed, quantiles_of
from plaza_training.forecast.protocols import Exam, Pairs, Trial
from plaza_training.forecast.ridges import Values, standard_ridge
from plaza_training.forecast.sets import Series
from plaza_training.forecast.watch import History, Watch, set_levels
from plaza_training.forecast.wis import LEVELS, Question, interval_scores, judged, published
from plaza_training.recipe import Job, Recipe, Story, Trained

HORIZON = 4
"""Weeks: the hub's horizons 0 to 3, which begin one week after the last one reported."""
SEASONS = {year: (date(year, 8, 1), date(year + 1, 6, 30)) for year in (2022, 2023, 2024, 2025)}
VALIDATE, TEST = 2024, 2025
CONTEXTS, PENALTIES = (3, 5, 8), (0.001, 0.003, 0.01, 0.03, 0.1)
_LONGEST = max(CONTEXTS)
_SHIFT = 0.01
"""Admissions per 100,000 that are added before the root, so that zero is no cliff."""
RATES = {"high": 5.0, "very high": 10.0}
"""Admissions per 100,000 and week."""
_BUMPS = (-8, -6, -4, -2, -1, 0, 1, 2, 3, 4, 6, 8, 10, 12, 15)
_COARSE = _BUMPS[::2]
"""Weeks from Christmas at which growth may differ."""


@dataclass(frozen=True, slots=True)
class Table:
    dates: Sequence[date]
    locations: Sequence[str]
    people: Values
    """(locations,), in units of 100,000."""
    counts: Values
    """(weeks, locations), NaN where nothing was reported."""

    def filled(self) -> Values:
        """Gaps are in the summer of 2024 alone, when reporting was voluntary."""
        weeks = np.arange(len(self.counts))
        there = ~np.isnan(self.counts)
        columns = zip(self.counts.T, there.T, strict=True)
        return np.stack([np.interp(weeks, weeks[ok], row[ok]) for row, ok in columns], 1)


class Seen(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """(batch, locations, weeks) counts and (batch, 1, weeks + 4) weeks from Christmas ->
    (batch, locations, features) and the last value (batch, locations, 1), on the root."""

    def __init__(self, people: Values, weeks: int) -> None:
        super().__init__()
        self.people = fixed(people[:, None])
        self._weeks = weeks

    def forward(self, values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        rate = (values / self.people).clamp(min=0) + _SHIFT
        root = rate.sqrt().sqrt()[..., -max(4, self._weeks) :]
        last = root[..., -1:]
        nation = (root[..., -4:] * self.people).sum(1, keepdim=True) / self.people.sum()
        still = torch.zeros_like(last)
        christmas = known[:, :, -HORIZON - 1 :][..., :1]
        fine = torch.exp(-0.5 * ((christmas - torch.tensor(_BUMPS)) / 1.5) ** 2)
        coarse = torch.exp(-0.5 * ((christmas - torch.tensor(_COARSE)) / 1.5) ** 2)
        parts = [
            (root - last)[..., -self._weeks : -1],
            (nation - nation[..., -1:])[..., :-1] + still,
            nation[..., -1:] - last,
            last,
            fine + still,
            last * coarse,
            (last - root[..., -3:-2]) * coarse,
        ]
        return torch.cat(parts, -1), last


class Growth(nn.Module):  # type: ignore[misc]
    """A member: the same linear map for every location."""

    def __init__(self, seen: Seen, weights: Values, bias: Values) -> None:
        super().__init__()
        self.seen, self.weights, self.bias = seen, fixed(weights), fixed(bias)

    def forward(self, values: Tensor, known: Tensor) -> Tensor:
        x, last = self.seen(values, known)
        ahead: Tensor = x @ self.weights + self.bias + last
        return ahead


class Counts(nn.Module):  # type: ignore[misc]
    """The link: from the fourth root of the rate back to admissions."""

    def __init__(self, people: Values) -> None:
        super().__init__()
        self.people = fixed(people)

    def forward(self, point: Tensor) -> Tensor:
        people = self.people.reshape(-1, *[1] * (point.ndim - 2))
        rate = point.clamp(min=0).square().square() - _SHIFT
        return rate.clamp(min=0) * people


def read(folder: Path) -> Table:
    with (folder / "target-hospital-admissions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (folder / "locations.csv").open(newline="", encoding="utf-8") as file:
        people = {row["location"]: float(row["population"]) / 1e5 for row in csv.DictReader(file)}
    dates = sorted({row["date"] for row in rows})
    places = sorted({row["location"] for row in rows})
    counts = np.full((len(dates), len(places)), np.nan)
    week, place = ({name: at for at, name in enumerate(names)} for names in (dates, places))
    for row in rows:
        if row["value"] != "NA":
            counts[week[row["date"]], place[row["location"]]] = float(row["value"])
    days = [date.fromisoformat(day) for day in dates]
    return Table(days, places, np.array([people[name] for name in places]), counts)


def origins(table: Table, seasons: Sequence[int]) -> list[int]:
    """The weeks of these seasons that have enough weeks before them and all four after them."""
    return [
        at
        for at, day in enumerate(table.dates)
        if any(SEASONS[s][0] <= day <= SEASONS[s][1] for s in seasons)
        and at + 1 >= _LONGEST
        and at + HORIZON < len(table.dates)
    ]


def windows(table: Table, seasons: Sequence[int]) -> Pairs:
    """A window for each of them, as the last week that is known; a piece is a season."""
    counts, dates = table.filled(), table.dates
    at = np.array(origins(table, seasons))[:, None]
    before = counts[at + np.arange(1 - _LONGEST, 1)].transpose(0, 2, 1)
    after = counts[at + np.arange(1, HORIZON + 1)].transpose(0, 2, 1)
    weeks = np.array([from_christmas(day) for day in dates])
    around = weeks[at + np.arange(1 - _LONGEST, HORIZON + 1)][:, None]
    pieces = np.array([_season(dates[week]) for week in at[:, 0]])
    past, future, known = (part.astype(np.float32) for part in (before, after, around))
    return Pairs(past, future, known, pieces)


def _season(day: date) -> int:
    """The year it begins in; the year turns in July."""
    return day.year if day.month > 6 else day.year - 1


def from_christmas(day: date) -> float:
    """Weeks since the nearest Christmas, negative before it."""
    return (day - date(_season(day), 12, 25)).days / 7


@dataclass(frozen=True, slots=True)
class Way:
    weeks: int
    penalty: float


def fit(table: Table, seasons: Sequence[int], way: Way) -> Growth:
    pairs = windows(table, seasons)
    seen = Seen(table.people, way.weeks)
    x = applied(lambda values, known: seen(values, known)[0], *_tensors(pairs))
    last = applied(lambda values, known: seen(values, known)[1], *_tensors(pairs))
    y = _root(table, pairs.future) - last
    flat = (x.reshape(-1, x.shape[-1]), y.reshape(-1, HORIZON))
    return Growth(seen, *standard_ridge(*flat, way.penalty))


def left_out(table: Table, seasons: Sequence[int], way: Way) -> Values:
    """(n, horizon) errors on the root: each season by a member that did not see it."""
    found = []
    for season in seasons:
        member = fit(table, [other for other in seasons if other != season], way)
        pairs = windows(table, [season])
        wrong = _root(table, pairs.future) - applied(member, *_tensors(pairs))
        found.append(wrong.reshape(-1, HORIZON))
    return np.concatenate(found)


def until(year: int) -> list[int]:
    """The seasons before that of this year."""
    return [season for season in SEASONS if season < year]


def made(table: Table, seasons: Sequence[int], way: Way) -> Forecaster:
    """From these seasons."""
    errors = quantiles_of(left_out(table, seasons, way), LEVELS)
    link = Counts(table.people)
    return Forecaster([fit(table, seasons, way)], Fixed([1.0]), errors, link=link)


def question_of(folder: Path, table: Table) -> Question:
    """The season of the test."""
    hub = published(folder, "2025-26", table.dates, table.locations)
    return Question(table, windows(table, [TEST]), origins(table, [TEST]), hub)


def forecaster(job: Job) -> Trained:
    """The way is chosen on 2024-25; 2025-26 is forecast from the three seasons before it."""
    folder = locate(FLUSIGHT, job.data_dir, progress=job.progress)
    table = read(folder)
    ways = [Way(*pair) for pair in product(CONTEXTS, PENALTIES)]
    valid = windows(table, [VALIDATE])
    losses = {}
    for way in job.progress.track(ways, "ways", len(ways)):
        quantiles = quantiles_for(made(table, until(VALIDATE), way), valid)
        losses[way] = float(interval_scores(quantiles, valid.future).mean())
    best = min(ways, key=lambda way: losses[way])
    question, watch = question_of(folder, table), watched(table)
    options = ForecastOptions(
        context=_LONGEST,
        horizon=HORIZON,
        quantiles=list(LEVELS),
        scaling="none",
        lower=0.0,
        step_seconds=7 * 86_400,
        unit="admissions a week",
        series=len(table.locations),
        known=["weeks from Christmas"],
    )
    history = history_of(table, best, watch, options)
    exam = Exam(
        learning=[],
        calibration=valid,
        trials=[Trial(question.pairs, lambda *_: {})],
        split="see the judge",
    )
    return assembled(
        Fitted(
            module=made(table, until(TEST), best),
            options=options.model_copy(update={"levels": set_levels(watch, history, options)}),
            exam=exam,
            parameters={
                "chosen": {"weeks": best.weeks, "penalty": best.penalty},
                "validation": {
                    f"{way.weeks} weeks, penalty {way.penalty:g}": round(loss, 2)
                    for way, loss in losses.items()
                },
            },
            simpler={},
            data=FLUSIGHT,
            story=STORY,
            judge=partial(judged, question=question),
            watch=watch,
        )
    )


def history_of(table: Table, way: Way, watch: Watch, options: ForecastOptions) -> History:
    """Each season before the test as forecast from the others: levels are set on it."""
    pairs = windows(table, until(TEST))
    quantiles = [
        expected(
            made(table, [other for other in until(TEST) if other != season], way),
            pairs.only(pairs.numbered == season),
            options,
        )
        for season in until(TEST)
    ]
    return History.of(np.concatenate(quantiles), pairs, watch)


def watched(table: Table) -> Watch:
    """The same rates everywhere, as counts of each location."""
    counts = {name: (rate * table.people).round(1).tolist() for name, rate in RATES.items()}
    return Watch(
        said="a week's admissions per 100,000 above the threshold",
        thresholds=counts,
        false_alarms=0.15,
    )


def quantiles_for(module: Forecaster, pairs: Pairs) -> Values:
    """(n, locations, levels, horizon) admissions."""
    return applied(lambda values, known: module(values, known)[0], *_tensors(pairs))


def _tensors(pairs: Pairs) -> tuple[Series, Series]:
    if pairs.known is None:
        raise ValueError("these windows have no calendar")
    return pairs.past, pairs.known


def _root(table: Table, counts: Series) -> Values:
    rooted: Values = (counts / table.people[:, None] + _SHIFT) ** 0.25
    return rooted


STORY = Story(
    title="Influenza admissions of the next four weeks, by US state",
    summary=(
        "Reads the last weeks of admissions of 53 locations together and gives the 23 quantiles "
        "of the FluSight hub for four weeks. A ridge on growth of the fourth root of rates; "
        "intervals are errors on whole seasons that were left out of the fit."
    ),
    limits=(
        "Measured on final counts: what was known at the time was revised later, so its scores "
        "flatter it beside those of teams who forecast in the season. Four seasons are all there "
        "is. It knows these locations in this order, and no virus but influenza."
    ),
)

RECIPES: Mapping[str, Recipe] = {"flusight-forecaster": forecaster}
