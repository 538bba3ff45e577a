"""The gate: counts are added once, bad versions are stopped, the numbers are kept."""

import math
from contextlib import nullcontext
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.errors import Unavailable
from plaza_core.principal import TenantScope
from plaza_core.rollout import (
    Arm,
    ArmCounts,
    GatePolicy,
    Observation,
    RolloutKind,
    RolloutState,
    cell,
)
from plaza_core.table import Heartbeat, HubTable
from plaza_core.testing import FakeClock
from plaza_core.testing_rollouts import MemoryRollouts
from plaza_serving.control.evidence import MOST_SEEN, Evidence
from plaza_serving.control.feed import TableFeed
from plaza_serving.control.fleet import Fleet
from plaza_serving.control.gate import UNOPENED_US, Gate, judge, signs
from tests.serving.dataplane.world import make_model

SCOPE = TenantScope(None, None, "key_engineer")


class Hub:
    """A fleet, a rollout of version 2 against 1, and the gate between them."""

    def __init__(self, kind=RolloutKind.CANARY, **policy):
        self.clock = FakeClock()
        feed = TableFeed(lambda: HubTable(version="t", models=[], keys=[]), lambda: "t")
        feed.refresh()
        self.fleet = Fleet(feed, self.clock)
        self.records = MemoryRollouts(
            [make_model(versions=(1, 2))], self.clock, Random(1).randbytes
        )
        self.id = self.records.start(
            SCOPE, "echo", "champion", 2, kind=kind, part=1000, policy=GatePolicy(**policy)
        ).id
        self.refreshed = 0
        self.sequence = {}

    @property
    def rollout(self):
        return self.records.rollouts[self.id]

    @property
    def split(self):
        (model,) = self.records.models.values()
        return model.splits.get("champion")

    def gate(self):
        """A gate as a control that has just started would have it."""
        return Gate(
            self.records,
            self.fleet,
            self.clock,
            refresh=self._refresh,
            turn=lambda name: nullcontext(True),
        )

    def _refresh(self):
        self.refreshed += 1

    def beat(self, observation, replica="r1", sequence=None, failed=None):
        at = self.sequence[replica] = sequence or self.sequence.get(replica, 0) + 1
        self.fleet.hear(
            Heartbeat(
                replica=replica,
                pool="main",
                table_version="t",
                ready={},
                failed=failed or {},
                rollouts={} if observation is None else {self.id: observation},
                sequence=at,
            )
        )


def canary(requests, failed=0, *, stable=None, times=(), stable_times=()):
    def arm(count, bad, took):
        cells = {}
        for us in took:
            cells[cell(us, 1)] = cells.get(cell(us, 1), 0) + 1
        return ArmCounts(requests=count, failed=bad, latency=cells)

    return Observation(
        arms={
            Arm.CANARY: arm(requests, failed, times),
            Arm.STABLE: arm(*(stable or (9 * requests, 0)), stable_times),
        }
    )


def compared(pairs, disagreements):
    return Observation(pairs=pairs, disagreements=disagreements)


async def test_a_canary_that_crashes_is_stopped_and_the_numbers_are_kept():
    hub = Hub()
    assert hub.split.weights == {1: 9000, 2: 1000}
    hub.beat(canary(20, 20))
    await hub.gate().step()
    assert hub.rollout.state is RolloutState.STOPPED
    assert hub.rollout.ended_by == "gate"
    assert hub.split is None, "the stable version answers all"
    assert hub.refreshed == 1
    verdict = hub.rollout.verdict
    assert verdict.because == "failures"
    (failures,) = [test for test in verdict.tests if test.name == "failures"]
    assert (failures.candidate, failures.stable) == ((20, 20), (0, 180))
    assert failures.evidence >= 1 / failures.level
    assert sum(test.level for test in verdict.tests) == pytest.approx(0.001)
    assert "failures: 20 of 20 against 0 of 180" in verdict.explained()
    assert [entry[:2] for entry in hub.records.audit] == [
        ("key_engineer", "rollout.start"),
        ("gate", "rollout.stopped"),
    ]


async def test_a_good_canary_goes_on_and_its_numbers_can_be_seen():
    hub = Hub()
    hub.beat(canary(200, 2, stable=(1800, 15)))
    await hub.gate().step()
    assert hub.rollout.state is RolloutState.RUNNING
    assert hub.rollout.verdict.tests[0].candidate == (2, 200)
    soon = await hub.gate().step()
    assert hub.refreshed == 0
    hub.records.end(SCOPE, hub.id, RolloutState.CANCELLED)
    assert await hub.gate().step() > soon, "while one runs every request counts"


async def test_a_failure_that_both_versions_share_is_nobody_s_fault():
    hub = Hub()
    for n in range(1, 30):
        hub.beat(canary(20 * n, 10 * n, stable=(180 * n, 90 * n)))
        await hub.gate().step()
    assert hub.rollout.state is RolloutState.RUNNING


async def test_a_slow_canary_is_stopped():
    hub = Hub()
    hub.beat(canary(40, times=[10_000] * 40, stable_times=[4_000] * 360))
    await hub.gate().step()
    assert hub.rollout.verdict.because == "latency"
    assert hub.rollout.state is RolloutState.STOPPED


async def test_a_shadow_that_disagrees_is_stopped():
    hub = Hub(RolloutKind.SHADOW)
    hub.beat(compared(30, 10))
    await hub.gate().step()
    assert hub.rollout.verdict.because == "disagreements"
    assert hub.split is None


async def test_a_shadow_may_disagree_as_often_as_was_allowed():
    hub = Hub(RolloutKind.SHADOW, disagreements=0.2)
    hub.beat(compared(3000, 600))
    await hub.gate().step()
    assert hub.rollout.state is RolloutState.RUNNING


# ── each observation once ────────────────────────────────────────────────────────────────────────
def total(hub):
    return Evidence.model_validate(hub.rollout.evidence).total


async def test_the_same_and_older_news_change_nothing():
    hub = Hub(RolloutKind.SHADOW)
    for sequence, pairs in ((2, 10), (2, 10), (1, 5), (3, 12), (2, 10)):
        hub.beat(compared(pairs, 0), sequence=sequence)
        await hub.gate().step()
    assert total(hub).pairs == 12


async def test_a_replica_that_starts_again_counts_from_nothing_and_nothing_is_lost():
    hub = Hub(RolloutKind.SHADOW)
    hub.beat(compared(10, 1), "r1-first")
    await hub.gate().step()
    hub.beat(compared(4, 1), "r1-second")
    await hub.gate().step()
    assert (total(hub).pairs, total(hub).disagreements) == (14, 2)


async def test_a_control_that_starts_again_goes_on_with_the_evidence():
    """Its fleet is empty at first; what came while it was away is in the replicas' counts."""
    hub, other = Hub(RolloutKind.SHADOW), Hub(RolloutKind.SHADOW)
    for n in range(1, 6):
        observation = compared(10 * n, n // 2)
        for one in (hub, other):
            one.beat(observation, sequence=n)
        await other.gate().step()
        if n in {1, 4, 5}:
            await hub.gate().step()
        hub.fleet = Fleet(hub.fleet._feed, hub.clock)
    mine, theirs = (Evidence.model_validate(h.rollout.evidence) for h in (hub, other))
    assert mine.total == theirs.total
    assert mine.disagreements.value == pytest.approx(theirs.disagreements.value, rel=0.01)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5), st.booleans()), max_size=30),
    st.randoms(use_true_random=False),
)
def test_whatever_is_lost_repeated_or_late_in_the_end_everything_counts_once(steps, random):
    """Each step a replica compares a few more pairs and tells it; some words are lost, all may come
    again later in any order, and the evidence is written down and read between them."""
    counts, said, evidence = {}, [], Evidence()
    for number, (replica, pairs, lost) in enumerate(steps, 1):
        counts[replica] = counts.get(replica, 0) + pairs
        said.append((replica, number, counts[replica]))
        heard = [] if lost else [said[-1]]
        heard += random.sample(said, min(2, len(said)))
        for name, sequence, so_far in heard:
            evidence = evidence.take({name: (sequence, compared(so_far, 0))})
        evidence = Evidence.model_validate_json(evidence.model_dump_json())
    for replica, so_far in counts.items():
        evidence = evidence.take({replica: (1000, compared(so_far, 0))})
    assert evidence.total.pairs == sum(counts.values())


async def test_two_replicas_are_summed():
    hub = Hub(RolloutKind.SHADOW)
    hub.beat(compared(10, 1), "r1")
    hub.beat(compared(7, 0), "r2")
    await hub.gate().step()
    assert total(hub).pairs == 17


def test_replicas_that_left_long_ago_are_closed_not_counted_again():
    evidence = Evidence()
    for n in range(MOST_SEEN + 5):
        evidence = evidence.take({f"r{n}": (1, compared(1, 0))})
    assert evidence.total.pairs == MOST_SEEN + 5
    again = evidence.take({"r0": (9, compared(5, 5))})
    assert again.total.pairs == MOST_SEEN + 5


async def test_blocks_close_by_their_size_alone():
    hub = Hub()
    hub.beat(canary(3, 3))
    await hub.gate().step()
    assert hub.rollout.verdict.tests[0].evidence == 1
    hub.beat(canary(4, 4))
    await hub.gate().step()
    assert hub.rollout.verdict.tests[0].evidence > 1


# ── the pairs of runs ────────────────────────────────────────────────────────────────────────────
def cells(*times, rows=1):
    found = {}
    for us in times:
        found[cell(us, rows)] = found.get(cell(us, rows), 0) + 1
    return found


def test_only_runs_of_the_same_size_are_compared():
    assert signs(cells(10_000), cells(1_000, rows=8), GatePolicy(), Random(1)) == (0, 0)
    assert signs(cells(10_000, rows=9), cells(1_000, rows=8), GatePolicy(), Random(1)) == (1, 0)


@pytest.mark.parametrize(("us", "plus"), [(12_400, 0), (17_000, 1)])
def test_what_the_policy_allows_is_not_slower(us, plus):
    assert signs(cells(us), cells(10_000), GatePolicy(), Random(1))[0] == plus


def test_a_few_microseconds_more_are_nobody_s_business():
    assert signs(cells(90), cells(10), GatePolicy(), Random(1)) == (0, 1)
    assert signs(cells(90), cells(10), GatePolicy(slower_us=0), Random(1)) == (1, 0)


def test_each_run_is_in_one_pair_at_most():
    plus, minus = signs(cells(*[10_000] * 30), cells(*[1000] * 7), GatePolicy(), Random(1))
    assert (plus, minus) == (7, 0)


def test_two_equal_versions_are_as_often_first():
    random, plus, minus = Random(4), 0, 0
    policy = GatePolicy(slower=1.0, slower_us=0)
    for _ in range(300):
        ours, theirs = (
            cells(*(round(1000 * math.exp(random.gauss(0, 1))) for _ in range(20)))
            for _ in range(2)
        )
        more, less = signs(ours, theirs, policy, random)
        plus, minus = plus + more, minus + less
    assert plus <= minus + 5 * math.sqrt(plus + minus)


# ── a candidate that nobody can open ─────────────────────────────────────────────────────────────
async def test_a_candidate_that_no_replica_can_open_is_given_up_after_a_second_try():
    hub = Hub()
    version = {f"{hub.rollout.model}/2": "invalid_bundle"}
    hub.beat(None, "r1", failed=version)
    hub.beat(None, "r2", failed=version)
    await hub.gate().step()
    assert hub.rollout.state is RolloutState.RUNNING, "it is tried again"
    hub.clock.advance(UNOPENED_US / 1e6)
    hub.beat(None, "r1", failed=version)
    hub.beat(None, "r2", failed=version)
    await hub.gate().step()
    assert hub.rollout.verdict.because == "unopened"
    assert hub.rollout.state is RolloutState.STOPPED


async def test_one_replica_that_can_open_it_is_enough():
    hub = Hub()
    version = {f"{hub.rollout.model}/2": "invalid_bundle"}
    for _ in range(3):
        hub.beat(None, "r1", failed=version)
        hub.beat(None, "r2")
        await hub.gate().step()
        hub.clock.advance(6)
    assert hub.rollout.state is RolloutState.RUNNING


# ── the job ──────────────────────────────────────────────────────────────────────────────────────
async def test_a_rollout_that_a_person_ended_is_left_alone():
    hub = Hub()
    hub.beat(canary(20, 20))
    gate = hub.gate()
    hub.records.end(SCOPE, hub.id, RolloutState.CANCELLED)
    await gate.step()
    assert hub.rollout.state is RolloutState.CANCELLED
    assert hub.rollout.verdict is None


async def test_one_that_cannot_be_kept_does_not_stop_the_others():
    hub = Hub()
    broken = hub.id
    (model,) = hub.records.models.values()
    hub.records.models[model.id] = model.model_copy(
        update={"aliases": {**model.aliases, "second": 1}}
    )
    good = hub.records.start(
        SCOPE, "echo", "second", 2, kind=RolloutKind.CANARY, part=1000, policy=GatePolicy()
    ).id
    keep = hub.records.keep

    def keep_most(rollout, *more):
        if rollout == broken:
            raise Unavailable("not now")
        keep(rollout, *more)

    hub.records.keep = keep_most
    for one in (broken, good):
        hub.id = one
        hub.beat(canary(20, 20), replica=one)
    await hub.gate().step()
    assert hub.records.rollouts[broken].state is RolloutState.RUNNING
    assert hub.records.rollouts[good].state is RolloutState.STOPPED


async def test_while_another_control_judges_this_one_does_not():
    hub = Hub()
    hub.beat(canary(20, 20))
    gate = hub.gate()
    gate._turn = lambda name: nullcontext(False)
    await gate.step()
    assert hub.rollout.state is RolloutState.RUNNING


def test_judging_is_pure():
    hub = Hub()
    evidence = Evidence().take({"r": (1, canary(20, 3, times=[5000] * 20, stable_times=[900] * 9))})
    assert judge(hub.rollout, evidence) == judge(hub.rollout, evidence)
