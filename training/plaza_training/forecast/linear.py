"""Forecasters that need no training: a linear map of the past, and quantiles of its past errors.

Both methods are one matrix on differences to the last value, so the forecast moves with the level
and grows with the scale of the series: it is the same in any unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plaza_training.forecast.protocols import Pairs

Values = NDArray[np.float64]
_BLOCK = 16_384


class LinearQuantiles(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """(batch, context) -> (batch, levels, horizon), in scaled units."""

    def __init__(self, weights: Values, errors: Values) -> None:
        """`weights` (context, horizon) of differences to the last value, `errors` (levels,
        horizon): what to add for each quantile, in scaled units."""
        super().__init__()
        self.weights = _fixed(weights)
        self.errors = _fixed(errors)

    def forward(self, values: Tensor) -> Tensor:
        last = values[:, -1:]
        point = (values - last) @ self.weights + last
        return point.unsqueeze(1) + self.errors


def _fixed(array: Values) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(array.astype(np.float32)), requires_grad=False)


def seasonal(context: int, horizon: int, season: int) -> Values:
    """Repeat the last `season` values; 1 is persistence."""
    weights = np.zeros((context, horizon))
    for step in range(horizon):
        weights[context - season + step % season, step] = 1
    return weights


def ridge(blocks: Iterable[Pairs], *, penalty: float) -> Values:
    """Least squares in closed form; `penalty` is relative to the mean square of the differences."""
    gram: Values | None = None
    cross: Values | None = None
    for pairs in blocks:
        for start in range(0, len(pairs.past), _BLOCK):
            past = pairs.past[start : start + _BLOCK].astype(np.float64)
            moves, ahead = past - past[:, -1:], pairs.future[start : start + _BLOCK] - past[:, -1:]
            gram = moves.T @ moves if gram is None else gram + moves.T @ moves
            cross = moves.T @ ahead if cross is None else cross + moves.T @ ahead
    if gram is None or cross is None:
        raise ValueError("there is no window to learn from")
    held = penalty * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights: Values = np.linalg.solve(gram + held, cross)
    return weights


def forecast(weights: Values, past: NDArray[Any]) -> Values:
    """(n, context) -> (n, horizon)."""
    last = past[:, -1:].astype(np.float64)
    ahead: Values = (past - last) @ weights + last
    return ahead


def error_quantiles(
    weights: Values, pairs: Pairs, factors: NDArray[np.float32], levels: Sequence[float]
) -> Values:
    """(levels, horizon): quantiles of the errors on windows that taught nothing, each in units of
    its window (`factors` (n, 1)), moved so that the middle stays the method's own forecast."""
    errors = (pairs.future - forecast(weights, pairs.past)) / factors
    found = np.quantile(errors, levels, axis=0, method="median_unbiased")
    middle = list(levels).index(0.5)
    # An interval keeps its calibrated ends; only a middle outside of them would cross.
    found[middle] = 0
    return np.sort(found, axis=0)
