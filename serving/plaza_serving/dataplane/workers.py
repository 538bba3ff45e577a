"""Workers: a fixed set of threads that take batches from the fair queue and finish them.

    loop ──offer──▶ FairQueue ──(wake-up)──▶ worker: take, run, settle ──(wake-up)──▶ loop

Batching is opportunistic: a free worker takes what waits, as much as is worth joining, and adds no
delay of its own. There is one turn in circulation while anything waits: who takes it and leaves
something behind passes it on, so a lone request costs one wake-up and no request is forgotten.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from plaza_core.clock import Clock
from plaza_core.errors import ModelFailed
from plaza_serving.dataplane.fair import FairQueue
from plaza_serving.dataplane.lane import Lane
from plaza_serving.dataplane.waits import Waits
from plaza_serving.dataplane.work import Finished, Work

log = logging.getLogger(__name__)

Settles = Callable[[list[Finished]], None]


class Workers:
    def __init__(
        self,
        threads: int,
        settle: Settles,
        clock: Clock,
        *,
        queue: FairQueue | None = None,
        delay_s: float = 0.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.queue = queue or FairQueue(threads)
        self.waits = Waits()
        self._ready: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._settle = settle
        self._now = clock.monotonic_ns
        self._delay_s = delay_s
        self._pause = pause
        self._turn: Callable[[], object] = self._take_turn
        self.on_spare: Callable[[], object] | None = None
        """Told on a worker's thread when it has nothing more to do."""
        self._threads = [
            threading.Thread(target=self._serve, name=f"worker-{n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def offer(self, lane: Lane, work: Work) -> None:
        """Called on the loop. Wakes a worker only when nothing waited."""
        if self.queue.offer(lane, work):
            self._ready.put(self._turn)

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
        while (task := self._next()) is not None:
            task()

    def _next(self) -> Callable[[], object] | None:
        """What to do next; a turn of our own when a borrowing limit ends."""
        resume_ns = self.queue.resume_ns
        if resume_ns is None:
            return self._ready.get()
        try:
            return self._ready.get(timeout=max(0.0, (resume_ns - self._now()) / 1e9))
        except Empty:
            return self._turn

    def _take_turn(self) -> None:
        now = self._now()
        if self._delay_s and self.queue.alone(now):
            self._pause(self._delay_s)
            now = self._now()
        batch = self.queue.take(now)
        if batch is None:
            return
        lane, works, more = batch
        self.waits.note(works, now)
        if more:
            self._ready.put(self._turn)
        finished = self._run(lane, works)
        if self.queue.settle(lane, finished):
            self._ready.put(self._turn)
        self._settle(finished)
        if self.on_spare is not None and self.queue.spare():
            self.on_spare()

    def _run(self, lane: Lane, works: Sequence[Work]) -> list[Finished]:
        try:
            return lane.run(works)
        except Exception:
            # A worker thread must outlive any fault of a runner or family; the callers are told.
            log.exception("a batch failed outside the model")
            return [Finished(w, None, ModelFailed("the batch failed")) for w in works]
