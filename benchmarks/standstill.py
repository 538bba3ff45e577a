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
from collections.abc import Iterator
from dataclasses import dataclass

_EACH_S = 0.002
_LATE_MS = 5.0


@dataclass(slots=True)
class Standstill:
    """Milliseconds, over all cores."""

    total_ms: float = 0.0
    longest_ms: float = 0.0


@contextlib.contextmanager
def watched() -> Iterator[Standstill]:
    """For as long as it is entered."""
    still, over = Standstill(), threading.Event()
    threads = [
        threading.Thread(target=_watch, args=(core, still, over), daemon=True)
        for core in os.sched_getaffinity(0)
    ]
    for thread in threads:
        thread.start()
    try:
        yield still
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _watch(core: int, still: Standstill, over: threading.Event) -> None:
    os.sched_setaffinity(0, {core})  # of this thread alone
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    begin = time.monotonic()
    while not over.wait(_EACH_S):
        end = time.monotonic()
        late_ms = (end - begin - _EACH_S) * 1000
        if late_ms >= _LATE_MS:
            still.total_ms += late_ms
            still.longest_ms = max(still.longest_ms, late_ms)
        begin = end
