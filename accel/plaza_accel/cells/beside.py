"""Where a thread of a cell runs: beside the one that waits for it, as long as its calls are short.

A worker that waits leaves its processor idle. To wake a thread there costs 3 µs; to wake one on
another idle processor, which is what the system prefers, 25 to 30, and the same again for the way
back. A call that takes long may better go where there is room.
"""

from __future__ import annotations

import os
import time
from typing import Final

SHORT_NS: Final = 200_000
_SMOOTH: Final = 8


class Beside:
    """Of one thread, which calls it itself."""

    def __init__(self) -> None:
        self._allowed = os.sched_getaffinity(0)
        self._on: int | None = None
        self._mean_ns = 0
        self._began_ns = 0

    def begin(self, processor: int) -> None:
        """A call has come from `processor`."""
        self._began_ns = time.monotonic_ns()
        short = self._mean_ns < SHORT_NS and processor in self._allowed
        wanted = processor if short else None
        if wanted != self._on:
            os.sched_setaffinity(0, self._allowed if wanted is None else {wanted})
            self._on = wanted

    def end(self) -> None:
        took = time.monotonic_ns() - self._began_ns
        self._mean_ns += (took - self._mean_ns) // _SMOOTH
