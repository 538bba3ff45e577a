"""Workers: a fixed number of threads that take batches from the fair queue and finish them.

    loop ──offer──▶ FairQueue ──(wake-up)──▶ worker: take, run, settle ──(wake-up)──▶ loop

Batching is opportunistic: a free worker takes what waits, as much as is worth joining, and adds no
delay of its own. There is one turn in circulation while anything waits: who takes it and leaves
something behind passes it on, so a lone request costs one wake-up and no request is forgotten.

A run of a few µs is not worth two wake-ups: where nothing waits and nothing runs, the event loop
takes the turn itself, once it has read what is there and a further look at its sockets has brought
nobody. Such a look costs less than a run, a line in the spool and a wake-up of the ingress for each
(docs/decisions/0043-whole-answers.md). It takes `_HERE_MOST` requests at once, then reads again.
Only lanes that are `quick`, and only small requests; who comes with anything else has the turn
passed to a worker.

A thread that waits long for a cell does not count: `substitutes` has another take its place, and
when it comes back it settles its batch and ends. So there are always as many as were asked for.
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from plaza_core.clock import Clock
from plaza_core.errors import ModelFailed
from plaza_serving.dataplane.fair import FairQueue
from plaza_serving.dataplane.lane import Lane
from plaza_serving.dataplane.substitutes import Substitutes
from plaza_serving.dataplane.waits import Waits
from plaza_serving.dataplane.work import Finished, Work

log = logging.getLogger(__name__)

Settles = Callable[[list[Finished]], None]

_CLOSE_S = 5.0
_HERE_MOST = 16
"""Requests in one run on the event loop."""
_HERE_ROWS = 4
"""Rows of one of them."""
_NICER = 5
"""By so much threads that compute are nicer than the loop: what comes need not wait until a run
ends or the kernel takes its core away (3 ms) before it is answered, refused or passed on."""
_SUPERFLUOUS = object()
"""What a task of a thread gives back that must end, as another has taken its place."""


@dataclass(frozen=True, slots=True)
class Here:
    """How short runs are done on the event loop. `soon` calls once the loop has read what is there;
    `settle` is called on the loop."""

    soon: Callable[[Callable[[], object]], object]
    settle: Settles


class Workers:
    """With `here` quick lanes are run on the event loop; `offer` is always called there."""

    def __init__(
        self,
        threads: int,
        settle: Settles,
        clock: Clock,
        *,
        queue: FairQueue | None = None,
        delay_s: float = 0.0,
        here: Here | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.queue = queue or FairQueue(threads)
        self.waits = Waits()
        self._ready: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._settle = settle
        self._now = clock.monotonic_ns
        self._delay_s = delay_s
        self._pause = pause
        self._here = here
        self._mine = False
        """Whether the turn is the loop's, and all that waits is what the loop may run."""
        self._come = self._seen = 0
        """Who has come since the loop took its last turn, and how many of them it saw coming."""
        self._turn: Callable[[], object] = self._take_turn
        self.on_spare: Callable[[], object] | None = None
        """Told on a worker's thread when it has nothing more to do."""
        self._count = threads
        self._numbers = itertools.count()
        self._threads: set[threading.Thread] = set()
        """All that must be alive, also those that wait and were replaced."""
        self._substitutes = Substitutes(threads, self._start, self._hold, clock)
        for _ in range(threads):
            self._start()

    def offer(self, lane: Lane, work: Work) -> None:
        """Called on the loop. Wakes a worker only when nothing waited."""
        here = self._here
        if here is not None and lane.quick and work.rows <= _HERE_ROWS:
            self._come += 1
            free = self.queue.idle()
            if self.queue.offer(lane, work):
                if free:
                    self._mine = True
                    here.soon(self._gather)
                else:
                    self._ready.put(self._turn)
            return
        self._mine = False
        if self.queue.offer(lane, work):
            self._ready.put(self._turn)

    def later(self, task: Callable[[], object]) -> None:
        """Run a small blocking task on a worker, between batches."""
        self._ready.put(task)

    def alive(self) -> bool:
        return self._substitutes.alive() and all(t.is_alive() for t in list(self._threads))

    def close(self) -> None:
        """Let running batches finish and end the threads."""
        self._substitutes.close()
        for _ in range(self._count):  # who was replaced ends by itself
            self._ready.put(None)
        until = time.monotonic() + _CLOSE_S
        for thread in list(self._threads):
            thread.join(max(0.0, until - time.monotonic()))

    def _start(self) -> None:
        name = f"worker-{next(self._numbers)}"
        thread = threading.Thread(target=self._serve, name=name, daemon=True)
        thread.start()
        self._threads.add(thread)

    def _hold(self, organisations: frozenset[str], replaced: int) -> None:
        if self.queue.hold(organisations, replaced):
            self._ready.put(self._turn)

    def _serve(self) -> None:
        if sys.platform == "linux":  # where a niceness is a thread's
            os.nice(_NICER)
        while (task := self._next()) is not None:
            if task() is _SUPERFLUOUS:
                self._threads.discard(threading.current_thread())
                return

    def _next(self) -> Callable[[], object] | None:
        """What to do next; a turn of our own when a borrowing limit ends."""
        resume_ns = self.queue.resume_ns
        if resume_ns is None:
            return self._ready.get()
        try:
            return self._ready.get(timeout=max(0.0, (resume_ns - self._now()) / 1e9))
        except Empty:
            return self._turn

    def _take_turn(self) -> object:
        now = self._now()
        if self._delay_s and self.queue.alone(now):
            self._pause(self._delay_s)
            now = self._now()
        batch = self.queue.take(now)
        if batch is None:
            return None
        lane, works, more = batch
        self.waits.note(works, now)
        if more:
            self._ready.put(self._turn)
        away = None
        if lane.outside:
            away = self._substitutes.leave(works[0].principal.organisation, now)
        told: list[Finished] = []

        def early(finished: list[Finished]) -> None:
            told.extend(finished)
            self._settle(finished)

        finished = self._run(lane, works, early, told)
        if self.queue.settle(lane, [*told, *finished] if told else finished):
            self._ready.put(self._turn)
        replaced = away is not None and self._substitutes.back(away)
        self._settle(finished)
        if self.on_spare is not None and self.queue.spare():
            self.on_spare()
        return _SUPERFLUOUS if replaced else None

    def _gather(self) -> None:
        """Take the turn once a look at the sockets has brought nobody, or enough have come."""
        here, come = self._here, self._come
        if here is None or not self._mine or come == self._seen or come >= _HERE_MOST:
            self._take_turn_here()
            return
        self._seen = come
        here.soon(self._gather)

    def _take_turn_here(self) -> None:
        """The loop's turn. Passed to a worker with what the loop must not run, and with what only
        waits for a borrowing limit to end."""
        here, now = self._here, self._now()
        self._come = self._seen = 0
        batch = self.queue.take(now, _HERE_MOST) if here is not None and self._mine else None
        if here is None or batch is None:
            self._ready.put(self._turn)
            return
        lane, works, more = batch
        self.waits.note(works, now)
        finished = self._run(lane, works)
        more = self.queue.settle(lane, finished) or more
        here.settle(finished)
        if more:
            self._mine = self._mine and lane.quick
            here.soon(self._take_turn_here)
        elif self.on_spare is not None and self.queue.spare():
            self.on_spare()

    def _run(
        self,
        lane: Lane,
        works: Sequence[Work],
        early: Settles | None = None,
        told: Sequence[Finished] = (),
    ) -> list[Finished]:
        """What `early` has not told; it notes in `told` what it has."""
        try:
            return lane.run(works, early)
        except Exception:
            # A worker thread must outlive any fault of a runner or family; the callers are told.
            log.exception("a batch failed outside the model")
            known = {id(done.work) for done in told}
            rest = (work for work in works if id(work) not in known)
            return [Finished(w, None, ModelFailed("the batch failed")) for w in rest]
