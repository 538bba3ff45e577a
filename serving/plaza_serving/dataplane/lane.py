"""Lanes and workers: requests wait in one lane per open version; threads take what waits.

    loop ──offer──▶ lane.waiting ──(wake-up)──▶ worker: take, run, settle ──(wake-up)──▶ loop

Batching is opportunistic: a free worker takes what waits, as much as is worth joining, and adds no
delay of its own. A lane with work left goes to the end of the line, so one busy model
cannot starve another. `scheduled` may be set twice by a race between loop and worker; the second
visit finds the lane empty, which is harmless.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Protocol

from plaza_core.clock import Clock
from plaza_core.errors import ModelFailed
from plaza_serving.dataplane.work import Finished, Work

log = logging.getLogger(__name__)

Settles = Callable[[list[Finished]], None]


class Runs(Protocol):
    """What a worker does with requests of one version; `BatchRunner` is the real one."""

    def __call__(self, works: Sequence[Work]) -> list[Finished]: ...

    def worth_joining(self) -> int:
        """How many requests to take at once now, at least 1."""


class Lane:
    """The waiting requests of one opened version."""

    __slots__ = ("run", "scheduled", "waiting")

    def __init__(self, run: Runs) -> None:
        self.run = run
        self.waiting: deque[Work] = deque()
        self.scheduled = False

    def take(self, now_ns: int) -> list[Work]:
        """As many as are worth joining and still wanted; late and abandoned ones are dropped.

        A dropped request was or will be answered by the loop's deadline sweep.
        """
        taken: list[Work] = []
        enough = self.run.worth_joining()
        while len(taken) < enough:
            try:
                work = self.waiting.popleft()
            except IndexError:
                break
            if now_ns < work.deadline_ns and work.start():
                taken.append(work)
        return taken


class Workers:
    """A fixed set of threads that serve lanes in turn."""

    def __init__(
        self,
        threads: int,
        settle: Settles,
        clock: Clock,
        *,
        delay_s: float = 0.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ready: SimpleQueue[Lane | Callable[[], object] | None] = SimpleQueue()
        self._settle = settle
        self._now = clock.monotonic_ns
        self._delay_s = delay_s
        self._pause = pause
        self._threads = [
            threading.Thread(target=self._serve, name=f"worker-{n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def offer(self, lane: Lane, work: Work) -> None:
        """Called on the loop. Wakes a worker only when the lane was idle."""
        lane.waiting.append(work)
        if not lane.scheduled:
            lane.scheduled = True
            self._ready.put(lane)

    def later(self, task: Callable[[], object]) -> None:
        """Run a small blocking task on a worker, between batches."""
        self._ready.put(task)

    def alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Let running batches finish and end the threads."""
        for _ in self._threads:
            self._ready.put(None)
        for thread in self._threads:
            thread.join(timeout=5)

    def _serve(self) -> None:
        while (lane := self._ready.get()) is not None:
            if not isinstance(lane, Lane):
                lane()
                continue
            if self._delay_s and len(lane.waiting) < lane.run.worth_joining():
                self._pause(self._delay_s)
            taken = lane.take(self._now())
            if lane.waiting:
                self._ready.put(lane)
            else:
                lane.scheduled = False
                if lane.waiting and not lane.scheduled:  # the loop appended meanwhile
                    lane.scheduled = True
                    self._ready.put(lane)
            if taken:
                self._finish(lane, taken)

    def _finish(self, lane: Lane, taken: list[Work]) -> None:
        try:
            finished = lane.run(taken)
        except Exception:
            # A worker thread must outlive any fault of a runner or family; the callers are told.
            log.exception("a batch failed outside the model")
            finished = [Finished(w, None, ModelFailed("the batch failed")) for w in taken]
        self._settle(finished)
