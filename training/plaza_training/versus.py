"""Candidate against champion on the same held-out windows: a paired bootstrap interval.

Windows that follow each other share values and weather, so whole stretches of them are drawn, not
single ones (Kuensch, 1989): otherwise the interval would be too narrow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plaza_core.errors import InvalidInput
from plaza_training.recipe import Losses, Report

DRAWS = 2000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Verdict:
    """How much less the candidate loses, relative to what the champion loses; below zero is
    better. Propose only what `wins` and beats its `baselines`."""

    change: float
    low: float
    high: float
    """Ends of the 95 % interval."""
    unbeaten: tuple[str, ...]
    """Simpler methods that are as good or better."""

    @property
    def wins(self) -> bool:
        return self.high < 0

    @property
    def proposed(self) -> bool:
        return self.wins and not self.unbeaten

    def words(self) -> str:
        said = f"{self.change:+.2%} ({self.low:+.2%} to {self.high:+.2%}) against the champion"
        if self.unbeaten:
            return f"{said}; not proposed: no better than {', '.join(self.unbeaten)}"
        return f"{said}; {'proposed' if self.wins else 'not proposed: it may be chance'}"


def compare(candidate: Report, champion: Report, *, seed: int) -> Verdict:
    """Raises InvalidInput when the two were not measured on the same windows."""
    if candidate.losses is None or champion.losses is None:
        raise InvalidInput("this recipe keeps no losses to compare", input="against")
    mine, theirs = candidate.losses, champion.losses
    if mine.each.shape != theirs.each.shape or mine.metric != theirs.metric:
        raise InvalidInput("the two were not measured on the same windows", input="against")
    change = float(mine.each.sum() / theirs.each.sum() - 1)
    drawn = _drawn(mine, theirs.each, np.random.default_rng(seed))
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Verdict(change, float(low), float(high), unbeaten(candidate))


def unbeaten(report: Report) -> tuple[str, ...]:
    """Simpler methods whose main number is not above that of the model."""
    if report.losses is None:
        return ()
    metric = report.losses.metric
    mine = report.metrics[metric]
    found = report.baselines.items()
    return tuple(name for name, said in found if metric in said and said[metric] <= mine)


def _drawn(mine: Losses, theirs: NDArray[np.float64], random: np.random.Generator) -> Values:
    """Relative changes over series of stretches; a stretch may run over the end to the start."""
    n, length = len(mine.each), min(mine.stretch, len(mine.each))
    count = -(-n // length)
    mine_sums, their_sums = (_stretches(each, length) for each in (mine.each, theirs))
    starts = random.integers(n, size=(DRAWS, count))
    drawn: Values = mine_sums[starts].sum(1) / their_sums[starts].sum(1) - 1
    return drawn


def _stretches(each: NDArray[np.float64], length: int) -> Values:
    """The sum of the `length` values from each place on, around the end."""
    sums = np.concatenate(([0.0], np.cumsum(np.concatenate((each, each[: length - 1])))))
    found: Values = sums[length:] - sums[:-length]
    return found


Values = NDArray[np.float64]
