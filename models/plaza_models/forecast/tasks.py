"""What is asked of past values and of values to come, beside a forecast of them. Frozen values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AnomalyTask:
    """How strange were the last values of each series, had one forecast them?"""

    series: tuple[tuple[float, ...], ...]
    """Oldest value first, evenly spaced, all equally long; what was not measured is NaN."""
    steps: int | None = None
    """How many of the last values to score; None: all that enough values lie before."""
    every: int | None = None
    """Steps from one forecast to the next; None takes the model's."""
    known: tuple[tuple[float, ...], ...] = ()
    """What is known beside the series, as the model names it: a row each, as long as they are."""
    draw: int | None = None
    """Of which series a drawing is wanted, from 0."""

    @property
    def forecasts(self) -> int:
        """How many it takes, at most, as far as the task tells."""
        steps = self.steps or max(map(len, self.series), default=0)
        return len(self.series) * -(-steps // (self.every or 1))


@dataclass(frozen=True, slots=True)
class Scored:
    """The last values of one series."""

    scores: tuple[float | None, ...]
    """0 for the middle of what was expected, near 1 for what hardly ever happens; None where
    nothing was measured."""
    values: tuple[tuple[float, ...], ...]
    """One row per quantile: what each value is compared with."""


@dataclass(frozen=True, slots=True)
class Anomalies:
    first: int
    """Place of the first scored value among those sent, from 0."""
    quantiles: tuple[float, ...]
    series: tuple[Scored, ...]
    picture: bytes | None = None
    """SVG, as asked for by `draw`."""


@dataclass(frozen=True, slots=True)
class LevelWanted:
    """A level that the caller defines. Chances are of the most likely of the steps ahead."""

    name: str
    thresholds: tuple[float, ...]
    """One, or one for each series."""
    above: bool = True
    enter: float | None = None
    """None: 0.5."""
    leave: float | None = None
    """None: half of `enter`."""


@dataclass(frozen=True, slots=True)
class WarningTask:
    """What is to be warned of now?"""

    series: tuple[tuple[float, ...], ...]
    at: str
    """Time of the last values, ISO 8601."""
    horizon: int | None = None
    """Steps to look ahead; None: as far as the model can, and covariates reach."""
    known: tuple[tuple[float, ...], ...] = ()
    levels: tuple[LevelWanted, ...] | None = None
    """None takes the model's."""
    state: str | None = None
    """`Warned.state` of the answer before."""
    draw: int | None = None
    """Of which series a drawing is wanted, from 0."""


@dataclass(frozen=True, slots=True)
class LevelSaid:
    name: str
    threshold: float
    above: bool
    raised: bool
    since: str | None
    """Since when it is raised, in the times that were told."""
    chance: float
    """The largest of `chances`, which decides."""
    step: int
    """In how many steps the chance is largest, from 1."""
    chances: tuple[float, ...]
    """Of a value beyond the threshold, at each step ahead."""
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
    levels: tuple[LevelSaid, ...]
    values: tuple[tuple[float, ...], ...]
    """One row per quantile, a column for each step ahead."""


@dataclass(frozen=True, slots=True)
class Warned:
    at: str
    quantiles: tuple[float, ...]
    series: tuple[WarnedSeries, ...]
    state: str
    """For the question after this one; nothing is kept elsewhere."""
    picture: bytes | None = None
    """SVG, as asked for by `draw`."""
