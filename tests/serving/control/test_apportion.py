"""Dividing slots and rates: never more than there are, and to those whom they are of use."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from plaza_core.errors import ConcurrencyExceeded, RateLimited
from plaza_core.table import Heartbeat, RateLimit
from plaza_core.testing import FakeClock
from plaza_serving.control.apportion import SILENT_S, SPREAD, RateDivision, SlotDivision, divide
from plaza_serving.dataplane.rates import Rates
from plaza_serving.dataplane.slots import Slots

LONGEST_S = 15.0
NAMES = ("r1", "r2", "r3")


def beat(replica, *, sequence=0, wanted=0, held=0, asked=0):
    return Heartbeat(
        replica=replica,
        pool="main",
        table_version="1",
        ready={},
        failed={},
        arrivals={"node": asked} if asked else {},
        inside={"node": wanted},
        held={"node": held},
        sequence=sequence,
    )


# ── slots ────────────────────────────────────────────────────────────────────────────────────────
@given(
    st.integers(0, 50), st.dictionaries(st.sampled_from("abcde"), st.integers(0, 60), min_size=1)
)
def test_all_is_divided_and_nobody_goes_short_for_anothers_idle_slot(capacity, wants):
    parts = divide(capacity, wants)
    assert sum(parts.values()) == capacity
    short = [r for r in wants if parts[r] < wants[r]]
    for replica in short:
        for other in wants:
            assert parts[other] <= max(wants[other] if other in short else 0, parts[replica] + 1)


def settled(now=0.0):
    """A division that has run for long enough to know who holds what."""
    return SlotDivision(now - SILENT_S - LONGEST_S - 1)


def hear(division, report, limit=4, now=0.0):
    return division.hear(report, {"node": limit}, LONGEST_S, now)["node"]


def test_idle_slots_are_spread_so_that_a_first_request_finds_one():
    division = settled()
    hear(division, beat("r1"))
    hear(division, beat("r2"))
    assert hear(division, beat("r1", held=4)) == 2
    assert hear(division, beat("r2")) == 0, "r1 has not said yet that it gave two up"
    assert hear(division, beat("r1", held=2)) == 2
    assert hear(division, beat("r2")) == 2


def test_slots_go_where_they_are_wanted():
    division = settled()
    for _ in range(3):
        hear(division, beat("r2", held=2))
        hear(division, beat("r1", held=2, wanted=4))
    hear(division, beat("r2", held=1))
    assert hear(division, beat("r1", held=3, wanted=4)) >= 3


def test_a_silent_replica_keeps_its_slots_until_its_last_request_is_over():
    division = settled()
    hear(division, beat("r1", wanted=4))
    last = SILENT_S + LONGEST_S
    assert hear(division, beat("r2", wanted=4), now=last) == 0
    assert hear(division, beat("r2", wanted=4), now=last + 0.1) == 4


def test_a_dead_replica_frees_its_slots_at_once():
    division = settled()
    hear(division, beat("r1", wanted=4))
    assert hear(division, beat("r2", wanted=4)) == 0
    division.forget("r1")
    assert hear(division, beat("r2", wanted=4)) == 4


def test_a_restarted_control_first_only_renews():
    division = SlotDivision(0.0)
    assert hear(division, beat("r1", held=1, wanted=4), now=1.0) == 1
    assert hear(division, beat("r2", wanted=4), now=1.0) == 0
    later = SILENT_S + LONGEST_S + 1
    assert hear(division, beat("r1", held=1, wanted=4), now=later) == 2


def test_a_late_report_tells_nothing():
    division = settled()
    assert hear(division, beat("r1", sequence=2, wanted=4)) == 4
    assert division.hear(beat("r1", sequence=1), {"node": 4}, LONGEST_S, 0.0) == {}
    assert hear(division, beat("r2", wanted=4)) == 0


def test_a_limit_that_goes_and_comes_back_remembers_who_holds_what():
    division = settled()
    hear(division, beat("r1", wanted=4))
    assert division.hear(beat("r2"), {}, LONGEST_S, 1.0) == {}
    assert hear(division, beat("r2", wanted=4), now=2.0) == 0


class Partition(RuleBasedStateMachine):
    """I8: at each step no more are inside than the limit allows, with messages lost and late,
    replicas cut off or killed, and control restarted. Both sides are the real ones."""

    def __init__(self):
        super().__init__()
        self.clock = FakeClock()
        self.names = itertools.count()
        self.replicas = {}
        self.entered = 0

    @initialize(limit=st.integers(1, 6))
    def start(self, limit):
        self.limit = (("node", limit),)
        self.control = SlotDivision(self.now - SILENT_S - LONGEST_S - 1)
        for _ in range(3):
            self.born()

    @property
    def now(self):
        return self.clock.monotonic_ns() / 1e9

    def born(self):
        self.replicas[f"r{next(self.names)}"] = [Slots(self.clock), 0, [], None]

    def pick(self, which):
        return sorted(self.replicas)[which % len(self.replicas)]

    def report(self, name):
        slots, sequence, _, _ = self.replicas[name]
        self.replicas[name][1] = sequence + 1
        wanted, held = slots.wanted().get("node", 0), slots.held().get("node", 0)
        return beat(name, sequence=sequence + 1, wanted=wanted, held=held)

    def told(self, report):
        return self.control.hear(report, dict(self.limit), LONGEST_S, self.now)

    @rule(which=st.integers(0, 9), delay=st.floats(0, 4))
    def beats(self, which, delay):
        """The answer arrives after `delay`."""
        name = self.pick(which)
        sent = self.clock.monotonic_ns()
        answer = self.told(self.report(name))
        if delay > 3:
            self.passes(delay)
        if name in self.replicas:
            self.replicas[name][0].grant(answer, sent)

    @rule(which=st.integers(0, 9))
    def answer_is_lost(self, which):
        self.told(self.report(self.pick(which)))

    @rule(which=st.integers(0, 9))
    def report_is_held_up(self, which):
        """The replica gives up waiting; control gets the report at some later time."""
        name = self.pick(which)
        if self.replicas[name][3] is None:
            self.replicas[name][3] = self.report(name)

    @rule(which=st.integers(0, 9))
    def held_up_report_arrives(self, which):
        name = self.pick(which)
        if self.replicas[name][3] is not None:
            self.told(self.replicas[name][3])
            self.replicas[name][3] = None

    @rule(which=st.integers(0, 9), lasts=st.floats(0.1, LONGEST_S), count=st.integers(1, 6))
    def requests_come(self, which, lasts, count):
        slots, _, inside, _ = self.replicas[self.pick(which)]
        for _ in range(count):
            try:
                slots.check(self.limit)
            except ConcurrencyExceeded:
                return
            slots.enter(self.limit)
            inside.append(self.now + lasts)
            self.entered += 1

    @rule(which=st.integers(0, 9))
    def a_request_leaves(self, which):
        slots, _, inside, _ = self.replicas[self.pick(which)]
        if inside:
            inside.pop()
            slots.leave(self.limit)

    @rule(seconds=st.one_of(st.floats(0.05, 2), st.floats(5, 30)))
    def passes(self, seconds):
        self.clock.advance(seconds)
        for slots, _, inside, _ in self.replicas.values():
            for deadline in [d for d in inside if d <= self.now]:
                inside.remove(deadline)
                slots.leave(self.limit)

    @rule()
    def control_restarts(self):
        self.control = SlotDivision(self.now)

    @rule(which=st.integers(0, 9))
    def is_killed(self, which):
        name = self.pick(which)
        del self.replicas[name]
        self.control.forget(name)
        self.born()

    @invariant()
    def no_more_inside_than_allowed(self):
        if self.replicas:
            inside = sum(len(r[2]) for r in self.replicas.values())
            assert inside <= self.limit[0][1]


Partition.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
test_no_more_are_inside_than_the_limit_allows_even_in_a_partition = Partition.TestCase


def test_a_replica_that_needs_its_first_slot_has_it_within_two_beats():
    """One slot, held idle by another: given up at its beat, confirmed at once, granted."""
    clock, division = FakeClock(), settled()
    limit = (("node", 1),)
    one, two = Slots(clock), Slots(clock)

    def exchange(name, slots):
        slots.due.clear()
        report = beat(name, wanted=slots.wanted().get("node", 0), held=slots.held().get("node", 0))
        slots.grant(
            division.hear(report, dict(limit), LONGEST_S, clock.monotonic_ns() / 1e9),
            clock.monotonic_ns(),
        )

    exchange("r1", one)
    with pytest.raises(ConcurrencyExceeded):
        two.check(limit)
    exchange("r2", two)
    exchange("r1", one)
    assert one.due.is_set(), "it confirms without waiting for the second to be over"
    exchange("r1", one)
    with pytest.raises(ConcurrencyExceeded):
        two.check(limit)
    exchange("r2", two)
    two.check(limit)


# ── rates ────────────────────────────────────────────────────────────────────────────────────────
class Fleet:
    """`n` replicas with real rates, and control's division of one limit among them."""

    def __init__(self, n, limit):
        self.clock = FakeClock()
        self.division = RateDivision()
        self.limit = limit
        self.replicas = [Rates(self.clock) for _ in range(n)]
        self.granted = []
        self.shares = [1 / n] * n
        for replica in (*range(n), *range(n)):
            self.beat(replica)

    def beat(self, which):
        rates = self.replicas[which]
        asked = rates.arrivals().get("node", 0)
        now = self.clock.monotonic_ns() / 1e9
        shares = self.division.hear(beat(f"r{which}", asked=asked), {"node"}, now)
        rates.share_among(len(self.replicas), shares)
        self.shares[which] = shares.get("node", 1 / len(self.replicas))

    def ask(self, which, count=1):
        """How many of `count` requests were granted."""
        granted = 0
        for _ in range(count):
            try:
                self.replicas[which].take([("node", self.limit)])
            except RateLimited:
                continue
            granted += 1
            self.granted.append(self.clock.monotonic_ns() / 1e9)
        return granted


steps = st.lists(
    st.tuples(
        st.floats(0, 0.7),  # seconds since the step before
        st.integers(0, 3),  # replica
        st.integers(0, 30),  # requests at once
        st.booleans(),  # a beat as well
    ),
    max_size=60,
)


@pytest.mark.parametrize("n", [1, 2, 4])
@given(plan=steps, per_second=st.floats(0.5, 40), burst=st.integers(1, 40))
def test_all_replicas_together_exceed_a_limit_by_one_request_each_at_most(
    n, plan, per_second, burst
):
    """I9 for the fleet: b + r·T + (n − 1) in any window, however the traffic moves."""
    fleet = Fleet(n, RateLimit(per_second=per_second, burst=burst))
    for gap, which, count, beats in plan:
        fleet.clock.advance(gap)
        fleet.ask(which % n, count)
        if beats:
            fleet.beat(which % n)
        assert sum(fleet.shares) <= 1 + 1e-9
    for i, start in enumerate(fleet.granted):
        for j in range(i, len(fleet.granted)):
            window = fleet.granted[j] - start
            assert j - i + 1 <= burst + per_second * window + (n - 1) + 1e-6


def run(fleet, seconds, demand):
    """Steady demand per second by replica; what each was granted per second."""
    got = [0] * len(fleet.replicas)
    for tick in range(seconds * 20):
        fleet.clock.advance(0.05)
        for which, per_second in enumerate(demand):
            due = int((tick + 1) * per_second / 20) - int(tick * per_second / 20)
            got[which] += fleet.ask(which, due)
        if tick % 20 < len(fleet.replicas):
            fleet.beat(tick % 20)
    return [count / seconds for count in got]


def test_the_share_of_a_rate_follows_the_traffic():
    fleet = Fleet(2, RateLimit(per_second=100, burst=10))
    run(fleet, 10, [95, 0])
    assert sum(run(fleet, 10, [85, 0])) >= 84, "a fixed half would have granted 50"
    run(fleet, 10, [0, 85])
    assert sum(run(fleet, 10, [0, 85])) >= 84
    assert fleet.shares == [pytest.approx(SPREAD / 2, abs=0.01), pytest.approx(0.9, abs=0.01)]


def test_a_replica_without_traffic_grants_a_first_request():
    fleet = Fleet(4, RateLimit(per_second=10, burst=4))
    run(fleet, 10, [20, 0, 0, 0])
    assert fleet.ask(1) == 1


def test_an_idle_limit_is_divided_equally_again():
    fleet = Fleet(2, RateLimit(per_second=100, burst=10))
    run(fleet, 10, [80, 0])
    run(fleet, 40, [0, 0])
    assert fleet.shares == [pytest.approx(0.5), pytest.approx(0.5)]
    assert not fleet.division._nodes


def test_the_part_of_a_replica_that_is_gone_goes_to_the_others():
    fleet = Fleet(2, RateLimit(per_second=100, burst=10))
    run(fleet, 10, [50, 50])
    fleet.clock.advance(SILENT_S)
    fleet.beat(0)
    fleet.ask(0)
    fleet.clock.advance(1)
    fleet.beat(0)
    assert fleet.shares[0] == pytest.approx(1)


def test_a_replica_in_place_of_one_that_fell_silent_keeps_the_least_part():
    """Nobody can tell for certain that the other is dead, and it had everything."""
    division = RateDivision()
    for second in range(3):
        division.hear(beat("r1", asked=50), {"node"}, second)
    for second in range(3, 8):
        assert division.hear(beat("r2", asked=50), {"node"}, second)["node"] >= SPREAD / 2
    later = division.hear(beat("r2", asked=50), {"node"}, 3 + SILENT_S)
    assert later["node"] == pytest.approx(1)
