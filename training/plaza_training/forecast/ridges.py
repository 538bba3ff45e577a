"""Ridge regression in closed form: every penalty and every reach from one pass over the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Rows = NDArray[Any]


class Gram:
    """Sums of products of features (n, f) and targets (n, h), fed in blocks."""

    def __init__(self) -> None:
        self._xx: Values | None = None
        self._xy: Values | None = None

    def add(self, x: Rows, y: Rows, weight: Rows | None = None) -> None:
        """`weight` (n,) of each row; 1 if not given."""
        left = x if weight is None else x * weight[:, None]
        xx, xy = (left.T @ x).astype(np.float64), (left.T @ y).astype(np.float64)
        self._xx = xx if self._xx is None else self._xx + xx
        self._xy = xy if self._xy is None else self._xy + xy

    def solve(self, penalties: Sequence[float], reach: int | None = None) -> Mapping[float, Values]:
        """Penalty -> weights (reach, h) of the last `reach` features. A penalty is relative to the
        mean square of the features."""
        if self._xx is None or self._xy is None:
            raise ValueError("there is no row to learn from")
        last = slice(-reach if reach else None, None)
        xx, xy = self._xx[last, last], self._xy[last]
        values, vectors = np.linalg.eigh(xx)
        turned, typical = vectors.T @ xy, np.trace(xx) / len(xx)
        return {p: vectors @ (turned / (values + p * typical)[:, None]) for p in penalties}


def standard_ridge(x: Values, y: Values, penalty: float) -> tuple[Values, Values]:
    """(weights (…, f, h), bias (…, h)) of features (…, n, f) that are standardised for the fit and
    taken raw afterwards; `penalty` is relative to the number of rows."""
    mean, spread = x.mean(-2, keepdims=True), x.std(-2, keepdims=True)
    spread = np.where(spread > 1e-6, spread, np.inf)
    z, centre = (x - mean) / spread, y.mean(-2, keepdims=True)
    turned = np.swapaxes(z, -1, -2)
    held = penalty * x.shape[-2] * np.eye(x.shape[-1])
    weights = np.linalg.solve(turned @ z + held, turned @ (y - centre))
    weights = weights / np.swapaxes(spread, -1, -2)
    bias = (centre - mean @ weights)[..., 0, :]
    return weights, bias
