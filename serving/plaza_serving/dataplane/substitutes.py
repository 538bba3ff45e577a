"""Substitutes: threads in the place of workers that wait long for another process.

    worker ──leave──▶ waits for a cell ──back──▶ worker, or one too many if it was replaced
                          └─ longer than the patience: the watcher starts a substitute

A worker that waits for a cell computes nothing, for as long as the model's owner allows; meanwhile
a substitute serves the others. There are at most `most`, and each caller's organisation may have as
many as are left for others: the first half of all, the next half of the rest. Before it comes to
that it is held: the queue gives out nothing of it until one of its runs returns, else its next runs
would take the workers that remain. Where no substitute is left, the worker is waited for.

Leaving and coming back cost one entry in a dictionary. Whoever takes the entry out decides, the
worker or the watcher, and taking out is atomic; there is no timer and no lock for short calls.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from plaza_core.clock import Clock

log = logging.getLogger(__name__)

PATIENCE_NS: Final = 100_000_000
LOOK_S: Final = 0.05
LEAST_MOST: Final = 16
_PER_THREAD: Final = 4
"""More substitutes where there are many workers: all these may be away before anybody looks."""

Hold = Callable[[frozenset[str], int], object]
"""Told whose requests must wait, and how many replaced workers are away."""


@dataclass(slots=True, eq=False)
class Away:
    """A worker that waits for another process, with a run of this organisation."""

    organisation: str
    since_ns: int
    replaced: bool = False


class Substitutes:
    """`leave` and `back` are called by workers, `look` by a thread of its own."""

    def __init__(self, threads: int, start: Callable[[], object], hold: Hold, clock: Clock) -> None:
        self.most = max(LEAST_MOST, _PER_THREAD * threads)
        self._threads = threads
        self._start = start
        self._hold = hold
        self._now = clock.monotonic_ns
        self._away: dict[Away, None] = {}
        self._lock = threading.Lock()
        self._replaced: Counter[str] = Counter()
        self._total = 0
        self._watching = False
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="substitutes", daemon=True)
        self._watcher.start()

    def leave(self, organisation: str, now_ns: int) -> Away:
        """The calling worker begins to wait."""
        away = Away(organisation, now_ns)
        self._away[away] = None
        if not self._watching:
            self._wake.set()
        return away

    def back(self, away: Away) -> bool:
        """The worker has returned. True when its place is taken, so that it must end."""
        if self._away.pop(away, self) is None:
            return False
        with self._lock:
            if away.replaced:
                self._count(away, -1)
            return away.replaced

    def look(self) -> None:
        """Replace who has been away for too long, the longest first."""
        now = self._now()
        with self._lock:
            for away in list(self._away):
                if now - away.since_ns < PATIENCE_NS or self._closed.is_set():
                    return
                left = self.most - self._total
                if self._replaced[away.organisation] < left:
                    self._replace(away)

    def alive(self) -> bool:
        return self._watcher.is_alive()

    def close(self) -> None:
        """Nobody is replaced any more."""
        with self._lock:
            self._closed.set()
        self._wake.set()
        self._watcher.join()

    # ── under the lock ───────────────────────────────────────────────────────────────────────────
    def _replace(self, away: Away) -> None:
        if self._away.pop(away, self) is not None:
            return  # it is back
        self._count(away, 1)  # before the substitute asks the queue
        away.replaced = True
        try:
            self._start()
        except RuntimeError:
            log.exception("no thread can be started in the place of one that waits")
            away.replaced = False
            self._count(away, -1)

    def _count(self, away: Away, change: int) -> None:
        self._total += change
        self._replaced[away.organisation] += change
        if not self._replaced[away.organisation]:
            del self._replaced[away.organisation]
        self._hold(frozenset(o for o, n in self._replaced.items() if self._full(n)), self._total)

    def _full(self, replaced: int) -> bool:
        """Whether it could be above its part, did all workers now leave with runs of its."""
        return replaced + self._threads > self.most - self._total - self._threads

    # ── the watcher ──────────────────────────────────────────────────────────────────────────────
    def _watch(self) -> None:
        """Look now and then while anybody is away, sleep otherwise."""
        while not self._closed.is_set():
            self._watching = False
            if not self._away:  # who leaves from here on sees that nobody watches
                self._wake.wait()
            self._wake.clear()
            self._watching = True
            self._closed.wait(LOOK_S)
            self.look()
