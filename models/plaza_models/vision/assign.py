"""The assignment problem: which row goes with which column so that the costs add up to least.

Source: R. Jonker and A. Volgenant, A shortest augmenting path algorithm for dense and sparse linear
assignment problems, Computing 38 (1987); here one path per row, each step over all columns at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def assign(costs: NDArray[np.float64], most: float) -> list[tuple[int, int]]:
    """Pairs (row, column), each row and column at most once, in order of rows.

    A pair that costs more than `most` is not made: staying alone costs `most` for both together.
    Costs are finite.
    """
    rows, columns = costs.shape
    if rows == 0 or columns == 0:
        return []
    # Every row may stay alone on a column of its own; one that does frees a real column.
    padded = np.concatenate((costs, np.full((rows, rows), most)), 1)
    owner = _solve(padded)
    return [
        (row, column)
        for row, column in sorted((int(owner[c]), c) for c in range(columns) if owner[c] >= 0)
        if costs[row, column] <= most
    ]


def _solve(costs: NDArray[np.float64]) -> NDArray[np.intp]:
    """For each column the row that has it, -1 for none. There are at least as many columns."""
    rows, columns = costs.shape
    of_row = np.zeros(rows)
    of_column = np.zeros(columns)
    owner = np.full(columns, -1, np.intp)
    for start in range(rows):
        shortest = np.full(columns, np.inf)
        before = np.full(columns, -1, np.intp)
        done = np.zeros(columns, np.bool_)
        row, reached, last = start, 0.0, -1
        while row >= 0:
            step = reached + costs[row] - of_row[row] - of_column
            better = ~done & (step < shortest)
            shortest[better], before[better] = step[better], last
            last = int(np.argmin(np.where(done, np.inf, shortest)))
            reached, done[last] = shortest[last], True
            row = int(owner[last])
        spent = done & (owner >= 0)
        of_row[start] += reached
        of_row[owner[spent]] += reached - shortest[spent]
        of_column[done] -= reached - shortest[done]
        while last >= 0:
            previous = int(before[last])
            owner[last] = start if previous < 0 else owner[previous]
            last = previous
    return owner
