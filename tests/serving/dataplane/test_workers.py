"""Threads take turns: nothing that waits is forgotten, and a limit that ends is noticed."""

import threading

from plaza_core.clock import SystemClock
from plaza_core.errors import ModelFailed
from plaza_serving.dataplane.bills import Bill
from plaza_serving.dataplane.fair import FairQueue
from plaza_serving.dataplane.lane import Lane
from plaza_serving.dataplane.work import Finished
from plaza_serving.dataplane.workers import Workers
from tests.serving.dataplane.simulated import table, work


class Costs:
    """Runs at once and says what it cost."""

    def __init__(self, cost_us):
        self.cost_us = cost_us

    def worth_joining(self):
        return 2

    def __call__(self, works, early=None):
        return [Finished(w, None, None, Bill(rows=1, compute_us=self.cost_us)) for w in works]


class Counted:
    """Settles, and says when so many are done."""

    def __init__(self, wanted):
        self.finished = []
        self.all = threading.Event()
        self._wanted = wanted
        self._lock = threading.Lock()

    def __call__(self, finished):
        with self._lock:
            self.finished += finished
            if len(self.finished) >= self._wanted:
                self.all.set()


def test_everything_offered_from_one_side_is_finished_by_many_threads():
    done = Counted(2000)
    workers = Workers(4, done, SystemClock())
    lanes = [Lane(Costs(1)) for _ in range(3)]
    for n in range(2000):
        workers.offer(lanes[n % 3], work(f"o{n % 5}").work)
    assert done.all.wait(30)
    workers.close()
    assert len({id(f.work) for f in done.finished}) == 2000


def test_a_worker_wakes_by_itself_when_a_borrowing_limit_ends():
    queue = FairQueue(1)
    queue.configure(table({"a": 1, "b": 9}, borrow={"a": 0}))
    done = Counted(3)
    workers = Workers(1, done, SystemClock(), queue=queue)
    lane = Lane(Costs(20_000))  # of a tenth of one thread: 200 ms each
    lane.learn(20_000, 1)
    for _ in range(3):
        workers.offer(lane, work("a").work)
    assert done.all.wait(30)
    workers.close()


def test_a_runner_that_raises_ends_no_thread_and_its_callers_are_told():
    class Broken(Costs):
        def __call__(self, works, early=None):
            raise RuntimeError("no model would do that")

    done = Counted(2)
    workers = Workers(1, done, SystemClock())
    workers.offer(Lane(Broken(1)), work("a").work)
    workers.offer(Lane(Costs(1)), work("a").work)
    assert done.all.wait(30)
    assert workers.alive()
    workers.close()
    assert {type(f.error) for f in done.finished} == {ModelFailed, type(None)}


def test_who_was_told_early_is_told_nothing_else_when_the_rest_of_the_batch_breaks():
    class Half(Costs):
        def __call__(self, works, early=None):
            early(super().__call__(works[:1]))
            raise RuntimeError("the second half")

    done, lane = Counted(2), Lane(Half(1))
    workers = Workers(1, done, SystemClock())
    gate = threading.Event()
    workers.later(gate.wait)  # both wait together
    workers.offer(lane, work("a").work)
    workers.offer(lane, work("a").work)
    gate.set()
    assert done.all.wait(30)
    workers.close()
    assert [type(f.error) for f in done.finished] == [type(None), ModelFailed]
    assert len({id(f.work) for f in done.finished}) == 2


def test_a_worker_that_may_wait_for_company_does_so_only_while_a_batch_is_not_full():
    paused, done, entered, gate = [], Counted(3), threading.Event(), threading.Event()

    class Gated(Costs):
        def __call__(self, works, early=None):
            entered.set()
            assert gate.wait(30)
            return super().__call__(works)

    workers = Workers(1, done, SystemClock(), delay_s=0.5, pause=paused.append)
    lane = Lane(Gated(1))
    workers.offer(lane, work("a").work)
    assert entered.wait(30)
    assert paused == [0.5], "a lone request"
    workers.offer(lane, work("a").work)
    workers.offer(lane, work("b").work)
    gate.set()
    assert done.all.wait(30)
    workers.close()
    assert paused == [0.5], "two make a batch here"
