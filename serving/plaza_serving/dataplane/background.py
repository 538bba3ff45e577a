"""Background work: computed only while nobody waits and a worker is idle, and dropped first.

    offer ─▶ backlog per owner, bounded ─▶ one thread of its own, when the queue has spare capacity
                 └─ full: dropped, and the owner is told

It is the lowest class there is: a request that may run is always taken first, by a worker of its
own, because background work holds none. What it can cost a request is a part of the machine while
one background run that began before it ends. Its thread has the workers' priority on purpose: one
of lower priority could be kept from the processor while it holds the interpreter, and with it all.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)

Task = Callable[[], object]

MOST_WAITING = 16
"""Tasks of one owner; each holds a request's input and answer in memory."""
MOST_BYTES = 32 << 20
"""What the tasks of one owner may hold together."""


class Background:
    """`offer` and `keep_only` run on the loop, tasks on a thread that the first one starts."""

    def __init__(self, spare: Callable[[], bool]) -> None:
        self._spare = spare
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[tuple[int, Task, Task]]] = {}
        self._wake = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def offer(self, owner: str, size: int, task: Task, dropped: Task) -> None:
        """Run `task` some time; or call `dropped`, at once or later, if it never will be."""
        with self._lock:
            backlog = self._waiting.setdefault(owner, deque())
            held = sum(waiting[0] for waiting in backlog)
            fits = len(backlog) < MOST_WAITING and (not backlog or held + size <= MOST_BYTES)
            fits = fits and size <= MOST_BYTES and not self._closed
            if fits:
                backlog.append((size, task, dropped))
        if not fits:
            dropped()
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="background", daemon=True)
            self._thread.start()
        self._wake.set()

    def nudge(self) -> None:
        """A worker has become idle. Any thread."""
        if self._waiting:
            self._wake.set()

    def keep_only(self, owners: set[str]) -> None:
        with self._lock:
            gone = [self._waiting.pop(owner) for owner in set(self._waiting) - owners]
        for backlog in gone:
            for _, _, dropped in backlog:
                dropped()

    def close(self) -> None:
        """Drop what waits; what runs may end."""
        self._closed = True
        self.keep_only(set())
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _serve(self) -> None:
        while not self._closed:
            self._wake.wait()
            self._wake.clear()
            while self._spare() and (task := self._next()) is not None:
                try:
                    task()
                except Exception:
                    # One task's fault must not end the thread for all others.
                    log.exception("background work failed")

    def _next(self) -> Task | None:
        """The oldest task of the owner who waited longest for a turn."""
        with self._lock:
            while self._waiting:
                owner = next(iter(self._waiting))
                backlog = self._waiting.pop(owner)
                if backlog:
                    task = backlog.popleft()[1]
                    if backlog:
                        self._waiting[owner] = backlog
                    return task
        return None
