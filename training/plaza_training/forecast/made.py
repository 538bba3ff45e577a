"""Series that are made, not measured: seasons, a trend, shocks and gaps, with the truth known.

For tests of what learns, fills and warns. Everything follows from the random generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plaza_training.forecast.sets import Series

_LONGEST_GAP = 6


@dataclass(frozen=True, slots=True)
class Made:
    """`values` (steps, series) as a sensor would give them, NaN where it was silent."""

    values: Series
    expected: Series
    """Without noise, shocks and gaps: what no forecaster can do better than."""
    shocked: NDArray[np.bool_]
    """Where a shock lifts or lowers the series."""
    missing: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Habits:
    """How the series behave."""

    day: int = 24
    level: float = 100.0
    daily: float = 20.0
    """Height of the daily wave."""
    weekly: float = 8.0
    """Height of the wave over seven days."""
    drift: float = 0.0
    """Change of the level from the first to the last step."""
    noise: float = 2.0
    """Standard deviation."""
    shocks: float = 0.004
    """Chance that one begins at a step."""
    shock: float = 40.0
    """Its typical size; it fades over half a day."""
    gaps: float = 0.002
    """Chance that one begins at a step; it lasts up to six steps."""


def make_series(
    rng: np.random.Generator, steps: int, series: int, habits: Habits | None = None
) -> Made:
    """`series` of the same habits, each with its own phase and height."""
    h = habits or Habits()
    time = np.arange(steps)[:, None]
    phase, height = rng.uniform(0, 2 * np.pi, series), rng.uniform(0.7, 1.3, series)
    turn = 2 * np.pi * time / h.day
    expected = (
        h.level
        + height * (h.daily * np.sin(turn + phase) + h.weekly * np.sin(turn / 7 + phase))
        + h.drift * time / max(1, steps - 1)
    )
    push = _shocks(rng, (steps, series), h)
    values = expected + push + rng.normal(0, h.noise, (steps, series))
    missing = _gaps(rng, (steps, series), h.gaps)
    values[missing] = np.nan
    return Made(
        values.astype(np.float32),
        expected.astype(np.float32),
        np.abs(push) > h.noise,
        missing,
    )


def _shocks(rng: np.random.Generator, shape: tuple[int, int], h: Habits) -> NDArray[np.float64]:
    """Each begins at its full size, up or down, and halves every eighth of a day."""
    size = h.shock * rng.uniform(0.5, 1.5, shape) * rng.choice((-1, 1), shape)
    begins = np.where(rng.random(shape) < h.shocks, size, 0.0)
    keep = 0.5 ** (8 / h.day)
    push = np.zeros(shape)
    push[0] = begins[0]
    for step in range(1, shape[0]):
        push[step] = keep * push[step - 1] + begins[step]
    return push


def _gaps(rng: np.random.Generator, shape: tuple[int, int], chance: float) -> NDArray[np.bool_]:
    missing = np.zeros(shape, np.bool_)
    for step, column in np.argwhere(rng.random(shape) < chance):
        missing[step : step + rng.integers(1, _LONGEST_GAP + 1), column] = True
    return missing
