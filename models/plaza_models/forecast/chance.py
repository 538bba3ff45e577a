"""What quantiles say about one value: the chance of more than it, and how strange it would be.

Between two levels the distribution is linear. Beyond the outer ones it falls off exponentially, at
the rate of the two quantiles next to the end, so that no value is impossible.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
_LEAST = 1e-12


def chance_below(levels: Sequence[float], quantiles: Values, value: Values) -> Values:
    """P(X <= value). `quantiles` (levels, …) ascend along axis 0; `value` (…)."""
    level = np.asarray(levels, np.float64)
    low, high = quantiles[0], quantiles[-1]
    found = np.full(np.broadcast(value, low).shape, np.nan)
    value = np.broadcast_to(value, found.shape)
    for at in range(len(level) - 1):
        left, right = quantiles[at], quantiles[at + 1]
        width = np.maximum(right - left, _LEAST)
        share = np.where(right - left > _LEAST, np.clip((value - left) / width, 0, 1), 1.0)
        inside = (left <= value) & (value <= right)
        # At a place where several quantiles meet, the highest level counts: X may be just that.
        found = np.where(inside, level[at] + share * (level[at + 1] - level[at]), found)
    under = level[0] * np.exp(
        -np.maximum(low - value, 0) / _fall(low, quantiles[1], level[0], level[1])
    )
    tail = 1 - level[-1]
    fall = _fall(quantiles[-2], high, tail, 1 - level[-2])
    over = 1 - tail * np.exp(-np.maximum(value - high, 0) / fall)
    found = np.where(value < low, under, found)
    return np.where(value > high, over, found)


def chance_above(levels: Sequence[float], quantiles: Values, threshold: Values) -> Values:
    """P(X > threshold)."""
    above: Values = 1 - chance_below(levels, quantiles, threshold)
    return above


def strangeness(levels: Sequence[float], quantiles: Values, value: Values) -> Values:
    """0 for the median, near 1 for what hardly ever happens: one minus the chance of something at
    least as far out. Of a calibrated forecast, a share s of all values has a score above 1 - s."""
    below = chance_below(levels, quantiles, value)
    return 1 - 2 * np.minimum(below, 1 - below)


def _fall(left: Values, right: Values, outer: float, inner: float) -> Values:
    """Length over which a tail falls by e, from the last two quantiles on its side."""
    steps = np.log(inner / outer)
    length: Values = np.maximum((right - left) / steps, _LEAST)
    return length
