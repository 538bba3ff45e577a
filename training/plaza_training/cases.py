"""What a measured number is made of, so that it can be made again of other draws of the same cases:
its interval.

Neighbours in time share values and weather, so whole stretches of cases are drawn, not single ones
(Künsch, 1989): otherwise the interval would be too narrow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
DRAWS = 2000
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cases:
    """Frames, texts, windows in order of time."""

    count: int
    value: Callable[[Rows], float]
    """The number, of the cases at these places; a place may be there more than once."""
    stretch: int = 1
    """Cases in a row that are alike."""

    def whole(self) -> float:
        """The number itself."""
        return self.value(np.arange(self.count))


def mean_of(
    each: NDArray[np.floating], then: Callable[[float], float] = float, *, stretch: int = 1
) -> Cases:
    """A number that is a mean over cases, or a function of one."""
    return Cases(len(each), lambda rows: then(float(each[rows].mean())), stretch)


def interval(cases: Cases, *, seed: int, draws: int = DRAWS) -> tuple[float, float]:
    """The 95 % percentile interval. A stretch may run over the end to the start."""
    random = np.random.default_rng(seed)
    n, length = cases.count, min(cases.stretch, cases.count)
    found = []
    for _ in range(draws):
        starts = random.integers(n, size=-(-n // length))
        rows = (starts[:, None] + np.arange(length)).ravel()[:n] % n
        found.append(cases.value(rows))
    low, high = np.nanquantile(found, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)
