"""How long the machine itself stood still: what no program on it can be blamed for.

On every core a thread wants to wake each 2 ms, before everybody else where it may (SCHED_FIFO needs
root). What it wakes too late by 5 ms or more was taken from all programs of that core: by the host
of a virtual machine, which its kernel does not always call stolen, or by the kernel itself. A
percentile of 10 ms that is measured meanwhile says more of the machine than of the server.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

_EACH_S = 0.002
_LATE_MS = 5.0


@dataclass(slots=True)
class Standstill:
    """Entered for as long as is to be watched. Milliseconds, over all cores."""

    total_ms: float = 0.0
    longest_ms: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Standstill:
        for core in os.sched_getaffinity(0):
            thread = threading.Thread(target=self._watch, args=(core,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _watch(self, core: int) -> None:
        os.sched_setaffinity(0, {core})  # of this thread alone
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        begin = time.monotonic()
        while not self._over.is_set():
            time.sleep(_EACH_S)
            end = time.monotonic()
            late_ms = (end - begin - _EACH_S) * 1000
            if late_ms >= _LATE_MS:
                self.total_ms += late_ms
                self.longest_ms = max(self.longest_ms, late_ms)
            begin = end
