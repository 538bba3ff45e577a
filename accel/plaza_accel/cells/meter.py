"""What a call costs of a cell's processor time. The cell says; the kernel has the last word.

A cell says how long its thread computed. Its word counts between two bounds that it cannot move:
not more than the call took by the clock, nor than the whole process used meanwhile; not less than
what the process used and no other call can have caused, but for `PASSAGE_NS` a call, which is what
passing messages costs and is the platform's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

PASSAGE_NS: Final = 200_000


def process_clock(pid: int) -> Callable[[], int]:
    """Processor time of a whole process, all its threads, in ns. Raises OSError once it is gone.

    The number of the clock is `CPUCLOCK_SCHED` of the process: linux/posix-timers.h.
    """
    clock = (~pid << 3) | 2
    return lambda: time.clock_gettime_ns(clock)


class Meter:
    """Of one process. Thread-safe."""

    def __init__(self, process_ns: Callable[[], int]) -> None:
        self._process_ns = process_ns
        self._lock = threading.Lock()
        self._inside: dict[int, tuple[int, int]] = {}
        """Call -> when it began, and what the process had used by then."""
        self._calls = 0
        self._base_ns = 0
        """What the process had used when nothing was inside for the last time."""
        self._explained_ns = 0
        """What ended calls since then were held to account for, passages included."""
        self._calls_seen = -1
        self._used_seen = 0

    def begin(self, now_ns: int) -> int:
        with self._lock:
            used = self._used()
            if not self._inside:
                self._base_ns, self._explained_ns = used, 0
            self._calls += 1
            self._inside[self._calls] = (now_ns, used)
            return self._calls

    def end(self, call: int, said_ns: int, now_ns: int) -> int:
        """Nanoseconds that the call is held to have computed."""
        with self._lock:
            began_ns, used_then = self._inside.pop(call)
            used = self._used()
            most = max(0, min(now_ns - began_ns, used - used_then))
            others_ns = sum(now_ns - began for began, _ in self._inside.values())
            unexplained = used - self._base_ns - self._explained_ns - others_ns
            cost = min(max(said_ns, unexplained - PASSAGE_NS, 0), most)
            self._explained_ns += cost + PASSAGE_NS
            return cost

    def idle_ns(self) -> int:
        """What the process used since this was last asked; 0 when calls came meanwhile."""
        with self._lock:
            quiet = not self._inside and self._calls == self._calls_seen
            used, before = self._used(), self._used_seen
            self._calls_seen, self._used_seen = self._calls, used
            return used - before if quiet else 0

    def _used(self) -> int:
        try:
            return self._process_ns()
        except OSError:  # it died: nothing more was used
            return self._base_ns + self._explained_ns
