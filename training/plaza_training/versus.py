"""Candidate against champion on the same held-out windows: a paired bootstrap interval."""

from __future__ import annotations

from dataclasses import dataclass

from plaza_core.errors import InvalidInput
from plaza_training.cases import Cases, interval
from plaza_training.recipe import Report


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
    cases = Cases(
        len(mine.each),
        lambda rows: float(mine.each[rows].sum() / theirs.each[rows].sum() - 1),
        mine.stretch,
    )
    low, high = interval(cases, seed=seed)
    return Verdict(cases.whole(), low, high, unbeaten(candidate))


def unbeaten(report: Report) -> tuple[str, ...]:
    """Simpler methods whose main number is not above that of the model."""
    if report.losses is None:
        return ()
    metric = report.losses.metric
    mine = report.metrics[metric]
    found = report.baselines.items()
    return tuple(name for name, said in found if metric in said and said[metric] <= mine)
