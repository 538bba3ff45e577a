"""A run that another process takes long for occupies no worker: somebody takes its place."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from plaza_core.clock import SystemClock
from plaza_core.errors import CellDied, DeadlineExceeded
from plaza_core.testing import FakeClock
from plaza_serving.dataplane.fair import FairQueue
from plaza_serving.dataplane.lane import Lane
from plaza_serving.dataplane.substitutes import PATIENCE_NS, Substitutes
from plaza_serving.dataplane.workers import Workers
from tests.serving.dataplane.simulated import lane as simulated_lane
from tests.serving.dataplane.simulated import table, work
from tests.serving.dataplane.test_cells import TwinCells, as_assembled, call
from tests.serving.dataplane.test_workers import Costs, Counted
from tests.serving.dataplane.world import make_key, make_manifest, make_model, make_table


def until(holds, seconds=5.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)


class Endless(Costs):
    """Runs until it is let go, as a cell does that never answers."""

    def __init__(self, cost_us=1):
        super().__init__(cost_us)
        self.go = threading.Event()
        self.inside = self.most = 0
        self._lock = threading.Lock()

    def worth_joining(self):
        return 1

    def __call__(self, works, early=None):
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        assert self.go.wait(60)
        with self._lock:
            self.inside -= 1
        return super().__call__(works)


def outside(run):
    lane = Lane(run)
    lane.outside = True
    return lane


class Pool:
    """Real workers. `long[name]` are endless runs, which are let go at the end."""

    def __init__(self, threads=2):
        self.finished = Counted(1 << 60)
        self.workers = Workers(threads, self.finished, SystemClock())
        self.long = {}
        self.quick = Lane(Costs(1))

    def endless(self, name, number):
        lane = outside(self.long.setdefault(name, Endless()))
        for _ in range(number):
            self.workers.offer(lane, work(name).work)

    def serves(self, name, number=50):
        """Whether quick requests of this organisation are all answered now."""
        before = len(self.finished.finished)
        for _ in range(number):
            self.workers.offer(self.quick, work(name).work)
        until(lambda: len(self.finished.finished) >= before + number)

    @property
    def inside(self):
        return sum(run.inside for run in self.long.values())

    @property
    def threads(self):
        return len(self.workers._threads)

    def let_go(self):
        for run in self.long.values():
            run.go.set()


@pytest.fixture
def pool():
    made = Pool()
    yield made
    made.let_go()
    made.workers.close()
    assert not any(thread.is_alive() for thread in made.workers._threads)


def test_two_endless_runs_of_one_organisation_leave_the_workers_to_the_others(pool):
    pool.endless("a", 2)
    until(lambda: pool.inside == 2)
    pool.serves("b")
    assert pool.inside == 2
    until(lambda: pool.threads == 4)
    assert pool.workers.alive()
    pool.let_go()
    until(lambda: pool.threads == 2)
    pool.serves("a")
    assert len({id(f.work) for f in pool.finished.finished}) == 102
    assert pool.workers.alive()


def test_one_organisation_takes_half_of_the_substitutes_and_never_the_workers(pool):
    pool.endless("a", 60)
    until(lambda: pool.inside >= 7)
    pool.serves("b")
    assert 7 <= pool.long["a"].most <= 8
    until(lambda: pool.threads == pool.inside + 2)
    pool.let_go()
    until(lambda: len(pool.finished.finished) == 110)
    until(lambda: pool.threads == 2)


def test_however_many_organisations_do_it_the_next_one_is_served(pool):
    for name in "abcde":
        pool.endless(name, 20)
    until(lambda: all(run.inside for run in pool.long.values()))
    pool.serves("z")
    assert pool.inside <= 16
    pool.let_go()
    until(lambda: len(pool.finished.finished) == 150)
    until(lambda: pool.threads == 2)


def test_runs_in_the_replica_itself_are_never_replaced():
    """They compute: another thread beside them would only divide the processors further."""
    done = Counted(2)
    workers, run = Workers(1, done, SystemClock()), Endless()
    workers.offer(Lane(run), work("a").work)
    until(lambda: run.inside == 1)
    workers.offer(Lane(Costs(1)), work("b").work)
    assert not done.all.wait(3 * PATIENCE_NS / 1e9)
    run.go.set()
    assert done.all.wait(30)
    workers.close()


def test_closing_lets_replaced_runs_finish_and_ends_every_thread():
    pool = Pool()
    pool.endless("a", 3)
    until(lambda: pool.threads == 5)
    threads = list(pool.workers._threads)
    closing = threading.Thread(target=pool.workers.close)
    closing.start()
    pool.let_go()
    closing.join(30)
    assert not closing.is_alive()
    assert not any(thread.is_alive() for thread in threads)
    assert len(pool.finished.finished) == 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_after_it_was_replaced_is_missed():
    def settle(finished):
        raise OSError("the disk is gone")

    workers, run = Workers(1, settle, SystemClock()), Endless()
    workers.offer(outside(run), work("a").work)
    until(lambda: len(workers._threads) == 2)
    assert workers.alive()
    run.go.set()
    until(lambda: not workers.alive())
    workers.close()


# ── who takes whose place ────────────────────────────────────────────────────────────────────────
class Told:
    """Substitutes on a clock of the test; `started` threads, and the last that was held."""

    def __init__(self, threads=2):
        self.clock = FakeClock()
        self.started = 0
        self.held, self.replaced = frozenset(), 0
        self.broken = False
        self.substitutes = Substitutes(threads, self._start, self._hold, self.clock)

    def _start(self):
        if self.broken:
            raise RuntimeError("can't start new thread")
        self.started += 1

    def _hold(self, names, replaced):
        self.held, self.replaced = names, replaced

    def leave(self, *names):
        return [self.substitutes.leave(n, self.clock.monotonic_ns()) for n in names]

    def later(self, seconds=PATIENCE_NS / 1e9):
        self.clock.advance(seconds)
        self.substitutes.look()


@pytest.fixture
def told():
    made = Told()
    yield made
    made.substitutes.close()


def test_who_comes_back_before_the_patience_ends_keeps_the_place(told):
    (away,) = told.leave("a")
    told.later(0.09)
    assert not told.substitutes.back(away)
    told.later(10)
    assert told.started == 0


def test_each_long_absence_is_replaced_once(told):
    (away,) = told.leave("a")
    told.later()
    told.later()
    assert (told.started, told.replaced) == (1, 1)
    assert told.substitutes.back(away)
    assert told.replaced == 0


def test_half_for_one_as_many_as_are_left_for_each_of_several(told):
    told.leave(*"a" * 20)
    told.later()
    assert (told.started, told.held) == (8, {"a"})
    told.leave(*"b" * 20)
    told.later()
    assert told.started == 12
    told.leave(*"c" * 20)
    told.later()
    assert (told.started, told.held) == (14, {"a", "b", "c"})


def test_who_waited_for_a_substitute_gets_the_next_that_is_free(told):
    away = told.leave(*"a" * 9)
    told.later()
    assert told.started == 8
    assert told.substitutes.back(away[0])
    told.later(0)
    assert told.started == 9
    assert [told.substitutes.back(each) for each in away[1:]] == [True] * 8
    assert (told.held, told.replaced) == (frozenset(), 0)


def test_where_no_thread_can_be_started_the_worker_is_waited_for(told):
    told.broken = True
    (away,) = told.leave("a")
    told.later()
    assert not told.substitutes.back(away)
    assert told.replaced == 0


# ── the queue ────────────────────────────────────────────────────────────────────────────────────
def test_who_is_held_waits_and_earns_no_credit_by_it():
    queue, one = FairQueue(1), simulated_lane()
    queue.configure(table({"a": 1, "b": 1}))
    for name in "ab":
        for _ in range(200):
            queue.offer(one, work(name).work)
    assert not queue.hold(frozenset("a"), 1)
    owners = [queue.take(0)[1][0].principal.organisation for _ in range(100)]
    assert set(owners) == {"b"}
    queue.hold(frozenset(), 0)
    after = [queue.take(0)[1][0].principal.organisation for _ in range(20)]
    assert after.count("a") == 10


def test_when_all_that_waits_is_held_letting_go_wakes_a_worker():
    queue, one = FairQueue(1), simulated_lane()
    queue.configure(table({"a": 1}))
    queue.hold(frozenset("a"), 1)
    assert queue.offer(one, work("a").work)
    assert queue.take(0) is None
    assert queue.resume_ns is None
    assert queue.hold(frozenset(), 0)
    assert queue.take(0) is not None
    assert not queue.hold(frozenset("a"), 1)


def test_a_replaced_worker_leaves_room_for_background_work():
    queue, one = FairQueue(1), simulated_lane()
    queue.offer(one, work("a").work)
    queue.take(0)
    assert not queue.spare()
    queue.hold(frozenset(), 1)
    assert queue.spare()


# ── the whole way of a request ───────────────────────────────────────────────────────────────────
async def test_endless_runs_are_told_at_their_deadline_and_charged_what_they_used(kit):
    """Their neighbour, in a cell as well, is answered meanwhile; each request has one line."""
    cells = TwinCells()
    k = as_assembled(kit(cells=cells, threads=2))
    endless, own = make_manifest("endless", deadline_ms=400), make_manifest("own")
    models = [
        make_model("endless", organisation="bad", manifest=endless),
        make_model("own", manifest=own),
    ]
    bad, good = make_key("bad"), make_key()
    await k.serve(make_table(models, [bad[0], good[0]]))
    runner = next(r for o, r in cells.opened if o == "org_bad")
    go = threading.Event()

    def run(inputs, outputs=None):
        assert go.wait(60)
        runner.used_ns += 5_000_000
        raise CellDied("it did not stop", retry_after=1)

    runner.run = run
    asked = [asyncio.create_task(call(k, bad[1], "endless")) for _ in range(2)]
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        for _ in range(20):
            await call(k, good[1], "own")
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(each) for each in told} == {DeadlineExceeded}
    go.set()
    await k.plane.close()
    lines = [r for r in k.usage.records.values() if r.organisation == "org_bad"]
    assert [r.outcome for r in lines] == ["deadline_exceeded"] * 2
    assert [r.charge for r in lines] == [0, 0]
    assert sum(r.overrun for r in lines) >= 5000
    assert len(k.usage.records) == 22
