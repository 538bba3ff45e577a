"""How long a run takes, as once + rows × each, learnt from the runs so far; older ones fade.

A device that likes batches has a large `once`: one row in 0.41 ms may mean forty in 0.8. So the
mean time of a row says too little, and while all runs have had equally many rows nothing more is
known: then half as many more are tried now and then, until the line is. It counts from then on,
also while runs are of one size, as long as they take what it says, or a quarter more or less.

Where a run costs next to nothing beside its rows, fewer runs save nothing, and who is joined only
waits for the others: at half of its load a model of 11 ms that might join for 125 ms had a p99 of
97 ms, without joining 48. Used by worker threads without a lock: a lost update costs a little
precision.
"""

from __future__ import annotations

_FADES = 0.9
"""Weight of a run beside the one after it: ten runs are remembered."""
_DIFFER = 0.01
"""Variance of the rows, over their mean squared, from which on a slope can be trusted."""
_TRY = 16
_MANY = 64
"""Rows from which on nothing is tried: by whole rows the mean comes near enough from below."""


_SAVES = 0.1
"""What a run must cost beside its rows, by one of them, for joining to pay."""
_AGAIN = 64
"""Runs after which joining is tried once more where it did not pay: the line may be wrong."""


class RunTime:
    def __init__(self) -> None:
        self._runs = 0
        self._weight = self._rows = self._ns = self._rows_rows = self._rows_ns = 0.0
        self._line: tuple[float, float] | None = None
        """(once, each) in ns as they were last learnt from runs of different sizes."""

    def note(self, rows: int, ns: int) -> None:
        """A run of so many rows took so long."""
        self._runs += 1
        self._weight = _FADES * self._weight + 1
        self._rows = _FADES * self._rows + rows
        self._ns = _FADES * self._ns + ns
        self._rows_rows = _FADES * self._rows_rows + rows * rows
        self._rows_ns = _FADES * self._rows_ns + rows * ns

    def rows_in(self, ns: int) -> int | None:
        """How many rows a run of this length has, maybe 0; None: nothing has been run."""
        if not self._runs or not self._ns:
            return None
        rows, took = self._rows / self._weight, self._ns / self._weight
        variance = self._rows_rows / self._weight - rows * rows
        if variance >= _DIFFER * rows * rows:
            each = (self._rows_ns / self._weight - rows * took) / variance
            once = took - each * rows
            if each <= 0 or once < -each:  # disturbed
                return int(ns * rows / took)
            self._line = (once, each) if once > 0 else (0.0, took / rows)
        elif self._line is None or abs(self._line[0] + self._line[1] * rows - took) > took / 4:
            more = 0 if self._runs % _TRY or rows >= _MANY else max(1, int(rows / 2))
            return int(ns * rows / took) + more
        once, each = self._line
        return int((ns - once) / each)

    def saves(self) -> bool:
        """Whether to join at all; True while nothing is known."""
        if self._line is None or not self._runs % _AGAIN:
            return True
        once, each = self._line
        return once >= _SAVES * each
