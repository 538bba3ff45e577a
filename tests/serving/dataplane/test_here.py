"""Runs of a few microseconds are done by the event loop itself; everything else never is."""

import asyncio
import threading
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.clock import SystemClock
from plaza_core.errors import LedgerUnavailable, ModelFailed
from plaza_core.inference import Call
from plaza_core.testing import MemoryUsage
from plaza_serving.dataplane import workers as parts
from plaza_serving.dataplane.bills import Bill
from plaza_serving.dataplane.fair import FairQueue
from plaza_serving.dataplane.lane import QUICK_ENOUGH, QUICK_US, SLOW_US, Lane
from plaza_serving.dataplane.work import Finished
from plaza_serving.dataplane.workers import Here, Workers
from tests.serving.dataplane.simulated import Joins, table, work
from tests.serving.dataplane.world import make_key, make_model, make_table


class Costs:
    """Runs at once, says what it cost, and remembers on which thread each batch was run."""

    def __init__(self, cost_us=3):
        self.cost_us = cost_us
        self.ran = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def worth_joining(self):
        return 32

    def __call__(self, works, early=None):
        self.ran.append((threading.current_thread(), len(works)))
        self.entered.set()
        assert self.gate.wait(5)
        return [Finished(w, None, None, Bill(rows=1, compute_us=self.cost_us)) for w in works]

    @property
    def here(self):
        """Sizes of the batches that were run on the test's own thread, which plays the loop."""
        return [n for thread, n in self.ran if thread is threading.current_thread()]

    @property
    def elsewhere(self):
        return [n for thread, n in self.ran if thread is not threading.current_thread()]


class Loop:
    """Workers, and a loop that the test turns by hand."""

    def __init__(self, threads=1, queue=None):
        self.soon = deque()
        self.finished = []
        self.done = threading.Condition()
        here = Here(self.soon.append, self._settle)
        self.workers = Workers(threads, self._settle, SystemClock(), queue=queue, here=here)

    def offer(self, lane, count=1, organisation="a", rows=1):
        for _ in range(count):
            one = work(organisation).work
            one.rows = rows
            self.workers.offer(lane, one)

    def turn(self):
        for _ in range(len(self.soon)):
            self.soon.popleft()()

    def until(self, count):
        with self.done:
            assert self.done.wait_for(lambda: len(self.finished) >= count, 5)

    def _settle(self, finished):
        with self.done:
            self.finished += finished
            self.done.notify_all()


@pytest.fixture
def loop():
    made = Loop()
    yield made
    made.workers.close()


def quick(run=None):
    lane = Lane(run or Costs(), even=True)
    for _ in range(QUICK_ENOUGH):
        lane.learn(3, 1)
    assert lane.quick
    return lane


def test_what_is_quick_is_run_on_the_loop_and_joined_with_what_came_meanwhile(loop):
    lane = quick()
    loop.offer(lane, 5)
    assert not lane.run.ran, "the loop reads first what else is there"
    loop.turn()
    loop.offer(lane, 2)
    loop.turn()
    assert not lane.run.ran, "a look brought somebody: it looks again"
    loop.turn()
    assert lane.run.here == [7]
    assert len(loop.finished) == 7
    assert not loop.soon


def test_enough_are_not_kept_waiting_for_more(loop):
    lane = quick()
    loop.offer(lane, parts._HERE_MOST - 1)
    loop.turn()
    loop.offer(lane, 1)
    loop.turn()
    assert lane.run.here == [parts._HERE_MOST]


def test_who_comes_alone_waits_for_one_look(loop):
    lane = quick()
    for answered in (1, 2, 3):
        loop.offer(lane)
        loop.turn()
        loop.turn()
        assert len(lane.run.here) == answered
    assert not loop.soon


def test_the_loop_is_held_for_a_few_requests_at_a_time(loop):
    lane = quick()
    loop.offer(lane, 2 * parts._HERE_MOST + 1)
    loop.turn()
    assert lane.run.here == [parts._HERE_MOST]
    loop.turn()
    loop.turn()
    assert lane.run.here == [parts._HERE_MOST, parts._HERE_MOST, 1]
    assert not loop.soon


@pytest.mark.parametrize("why", ["not even", "in another process", "not known long enough"])
def test_what_may_take_long_is_run_by_workers(loop, why):
    lane = quick()
    if why == "not even":
        lane.even = False
    elif why == "in another process":
        lane.outside = True
    else:
        lane = Lane(Costs(), even=True)
        lane.learn(3, 1)
    loop.offer(lane, 3)
    assert not loop.soon
    loop.until(3)
    assert not lane.run.here


def test_a_large_request_is_for_a_worker_also_when_small_ones_wait_for_the_loop(loop):
    lane = quick()
    loop.offer(lane)
    loop.offer(lane, rows=parts._HERE_ROWS + 1)
    loop.turn()
    loop.until(2)
    assert not lane.run.here


def test_who_comes_with_another_model_has_the_turn_passed_to_a_worker(loop):
    lane, other = quick(), Lane(Costs())
    loop.offer(lane)
    loop.offer(other, organisation="b")
    loop.turn()
    loop.until(2)
    assert not lane.run.here
    assert not other.run.here


def test_nothing_is_run_on_the_loop_while_a_worker_runs(loop):
    lane, slow = quick(), Lane(Costs())
    slow.run.gate.clear()
    loop.offer(slow, organisation="b")
    assert slow.run.entered.wait(5)
    loop.offer(lane)
    assert not loop.soon
    slow.run.gate.set()
    loop.until(2)
    assert not lane.run.here


def test_a_borrowing_limit_holds_for_what_the_loop_runs_and_its_end_is_noticed():
    queue = FairQueue(1)
    queue.configure(table({"a": 1, "b": 9}, borrow={"a": 0}))
    loop = Loop(queue=queue)
    lane = quick(Costs(cost_us=8_000))  # of a tenth of one thread: 80 ms each
    loop.offer(lane)
    loop.turn()
    loop.turn()
    loop.until(1)
    for _ in range(QUICK_ENOUGH):
        lane.learn(3, 1)
    loop.offer(lane, 2)
    loop.turn()
    loop.turn()
    loop.until(3)
    loop.workers.close()


@given(st.lists(st.sampled_from([3.0, QUICK_US, QUICK_US + 1, SLOW_US]), max_size=600))
def test_of_what_the_loop_runs_at_most_about_one_in_a_hundred_is_slow(costs):
    lane = Lane(Joins(), even=True)
    ran = slow = 0
    for cost in costs:
        ran += lane.quick
        slow += lane.quick and cost > QUICK_US
        lane.learn(cost, 1)
    assert slow <= 1 + ran / 100 + 1


def test_a_run_that_fails_or_is_very_slow_sends_a_lane_back_to_the_workers():
    lane = quick()
    lane.learn(SLOW_US, 1)
    assert not lane.quick
    for _ in range(2 * QUICK_ENOUGH):
        lane.learn(3, 1)
    lane.learn(SLOW_US, 1)
    assert lane.quick, "it has been quick for long: the machine may have done it"
    lane.learn(SLOW_US, 1)
    assert not lane.quick
    lane = quick()
    queue = FairQueue(1)
    one = work("a").work
    queue.offer(lane, one)
    queue.take(0)
    queue.settle(lane, [Finished(one, None, ModelFailed("it failed"))])
    assert not lane.quick


# ── in a plane ───────────────────────────────────────────────────────────────────────────────────
class Watched(MemoryUsage):
    """Says on which threads usage was written; refuses while `full`."""

    def __init__(self):
        super().__init__()
        self.threads = []
        self.full = False

    def append(self, records):
        if self.full:
            raise LedgerUnavailable("full")
        self.threads.append(threading.current_thread())
        super().append(records)


async def ask(plane, principal, value):
    tensors = {"x": np.full((1, 2), value, np.float32)}
    request = Call(plane.new_request_id(), "echo", None, tensors=tensors)
    return request.request_id, await plane.infer(principal, request)


async def test_answers_usage_and_refusals_are_the_same_on_the_loop(kit):
    sink = Watched()
    k = kit(sink=sink, at_once=True)
    entry, header = make_key()
    await k.serve(make_table([make_model()], [entry]))
    principal = k.plane.authenticate(header)
    lane = k.host.get((make_model().id, 1)).lane
    lane.even = True
    while not lane.quick:
        await ask(k.plane, principal, 1.0)
        lane.learn(3, 1)  # a busy machine must not keep it from being quick
    sink.threads.clear()
    answers = await asyncio.gather(*(ask(k.plane, principal, float(v)) for v in range(5)))
    assert set(sink.threads) == {threading.current_thread()}
    for value, (request_id, outcome) in enumerate(answers):
        assert outcome.tensors["y"].tolist() == [[value, value]]
        record = sink.records[entry.organisation, request_id]
        assert (record.outcome, record.charge) == ("ok", outcome.charge)
    sink.full = True
    with pytest.raises(LedgerUnavailable):
        await ask(k.plane, principal, 1.0)
