"""Closed-form linear regression on the last values: the baseline a network has to beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plaza_training.forecast.sets import Series
from plaza_training.forecast.windows import Windows

_BLOCK = 16_384


class Ridge:
    """All horizons at once, on differences to the last value; the penalty is relative."""

    def __init__(self, windows: Windows, *, penalty: float = 1e-3) -> None:
        size = windows.context + 1
        gram = np.zeros((size, size))
        cross = np.zeros((size, windows.horizon))
        for past, future in windows.by_column():
            for start in range(0, len(past), _BLOCK):
                rows = _design(past[start : start + _BLOCK])
                gram += rows.T @ rows
                cross += rows.T @ (future - past[:, -1:])[start : start + _BLOCK]
        gram += penalty * np.trace(gram) / size * np.eye(size)
        self._weights = np.linalg.solve(gram, cross)

    def forecast(self, past: Series) -> NDArray[np.float64]:
        """(n, context) -> (n, horizon)."""
        ahead: NDArray[np.float64] = _design(past) @ self._weights + past[:, -1:]
        return ahead


def _design(past: Series) -> NDArray[np.float64]:
    moves = (past - past[:, -1:]).astype(np.float64)
    return np.concatenate((moves, np.ones((len(past), 1))), axis=1)
