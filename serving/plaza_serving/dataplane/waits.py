"""How long requests wait before a worker takes them: what a pool is scaled by."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from plaza_serving.dataplane.work import Work


class Waits:
    """Noted by workers, read by whoever reports; about a microsecond for a batch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._sum_ns = 0

    def note(self, works: Sequence[Work], now_ns: int) -> None:
        """These are taken now."""
        waited = now_ns * len(works) - sum([work.admitted_ns for work in works])
        with self._lock:
            self._count += len(works)
            self._sum_ns += waited

    def mean_ms(self) -> float:
        """Of all taken since it was asked last; 0 when none was."""
        with self._lock:
            count, total = self._count, self._sum_ns
            self._count = self._sum_ns = 0
        return total / count / 1e6 if count else 0.0
