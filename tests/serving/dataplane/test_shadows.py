"""Shadows compute what was answered, in spare time, unpaid, unseen; and are dropped first."""

import asyncio
import threading

import numpy as np
import pytest

from plaza_core.errors import InvalidBundle, ModelFailed
from plaza_core.rollout import WHOLE, Arm, ArmCounts
from plaza_core.table import Visibility
from plaza_serving.dataplane.background import MOST_BYTES, MOST_WAITING, Background
from plaza_serving.dataplane.fair import FairQueue
from tests.serving.dataplane.simulated import lane, work
from tests.serving.dataplane.test_routes import Traffic, Versions, divided, manifest
from tests.serving.dataplane.world import make_key, make_table


def shadowed(**options):
    return divided(shadows={2: WHOLE}, **options)


@pytest.fixture
def traffic(kit):
    async def start(model=None, key=None, **versions):
        options = {"threads": versions.pop("threads", 1)}
        k = kit(factory=Versions(**versions), **options)
        return await Traffic(k, model or shadowed(), **(key or {})).start()

    return start


async def seen(t, pairs):
    """The observation once so many pairs were compared."""
    for _ in range(500):
        found = t.k.plane.heartbeat().rollouts["rol_1"]
        if found.pairs >= pairs:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"no {pairs} pairs in 5 s: {found}")


async def test_a_good_shadow_agrees_and_the_answer_is_the_stable_one(traffic):
    t = await traffic()
    outcome = await t.infer(3.0)
    assert outcome.version == 1
    found = await seen(t, 1)
    assert (found.pairs, found.disagreements, found.dropped) == (1, 0, 0)
    assert found.arms[Arm.SHADOW].requests == found.arms[Arm.STABLE].requests == 1


async def test_a_wrong_answer_is_a_disagreement(traffic):
    t = await traffic(v2=lambda echo, inputs: {"y": echo(inputs)["y"] + 0.1})
    await t.infer(3.0)
    assert (await seen(t, 1)).disagreements == 1


async def test_a_shadow_that_crashes_or_takes_no_such_input_disagrees(traffic):
    def crash(echo, inputs):
        raise ModelFailed("no")

    t = await traffic(v2=crash)
    await t.infer()
    found = await seen(t, 1)
    assert found.disagreements == found.arms[Arm.SHADOW].failed == 1
    t = await traffic(shadowed(manifests={2: manifest(2, batched=False)}))
    await t.infer()
    assert (await seen(t, 1)).disagreements == 1


async def test_the_owner_sees_the_cost_and_the_caller_pays_nothing_more(kit):
    k = kit(factory=Versions())
    t = await Traffic(k, shadowed()).start()
    outcome = await t.infer()
    await seen(t, 1)
    caller, shadow = sorted(k.usage.records.values(), key=lambda r: r.outcome == "shadow")
    assert (caller.outcome, caller.version, caller.charge) == ("ok", 1, outcome.charge)
    assert (shadow.outcome, shadow.version, shadow.charge) == ("shadow", 2, 0)
    assert shadow.overrun == shadow.compute_us + shadow.host_us > 0
    assert (shadow.organisation, shadow.project) == (t.model.organisation, t.model.project)
    assert (shadow.key, shadow.lease) == ("rol_1", None)
    assert shadow.request_id != caller.request_id


async def test_another_organisation_s_calls_are_on_the_owner_s_account(kit):
    k = kit(factory=Versions())
    t = Traffic(k, shadowed().model_copy(update={"visibility": Visibility.PUBLIC}))
    t.entry, t.header = make_key("rival")
    await t.start()
    await t.infer(model="acme.main.echo")
    await seen(t, 1)
    assert {r.outcome: r.organisation for r in k.usage.records.values()} == {
        "ok": "org_rival",
        "shadow": "org_acme",
    }
    assert all("rival" not in r.key for r in k.usage.records.values() if r.outcome == "shadow")


async def test_while_all_workers_are_busy_shadows_wait_and_what_does_not_fit_is_dropped(traffic):
    gate, running = threading.Event(), threading.Event()

    def slow(echo, inputs):
        if inputs["x"][0, 0] == 99:
            running.set()
            assert gate.wait(60)
        return echo(inputs)

    t = await traffic(v1=slow)
    backlog = t.k.plane._background
    backlog._spare = lambda: False  # a long burst of real work, as the queue would tell it
    for _ in range(MOST_WAITING + 5):
        await t.infer()
    await asyncio.sleep(0)
    assert t.k.plane.heartbeat().rollouts["rol_1"].dropped == 5
    busy = asyncio.create_task(t.infer(99))
    assert await asyncio.to_thread(running.wait, 30)
    backlog._spare = t.k.plane._queue.spare
    backlog.nudge()
    await asyncio.sleep(0.05)
    assert t.k.plane.heartbeat().rollouts["rol_1"].pairs == 0, "no worker is idle"
    gate.set()
    await busy
    found = await seen(t, MOST_WAITING)
    assert found.disagreements == 0


async def test_a_request_does_not_wait_for_a_shadow_that_runs(traffic):
    gate, running = threading.Event(), threading.Event()

    def slow(echo, inputs):
        running.set()
        assert gate.wait(60)
        return echo(inputs)

    t = await traffic(v2=slow)
    await t.infer()
    assert await asyncio.to_thread(running.wait, 30)
    for value in range(5):
        outcome = await asyncio.wait_for(t.infer(value), 30)
        assert outcome.version == 1
    gate.set()
    assert (await seen(t, 6)).disagreements == 0


async def test_a_shadow_that_cannot_be_opened_drops_what_it_should_have_seen(traffic):
    t = await traffic(v2=InvalidBundle("broken"))
    assert (await t.infer()).version == 1
    await asyncio.sleep(0)
    found = t.k.plane.heartbeat()
    assert found.rollouts["rol_1"].dropped == 1
    assert found.failed == {f"{t.model.id}/2": "invalid_bundle"}


async def test_failures_of_the_stable_version_are_not_compared(traffic):
    def crash(echo, inputs):
        raise ModelFailed("no")

    t = await traffic(v1=crash)
    with pytest.raises(ModelFailed):
        await t.infer()
    await asyncio.sleep(0.05)
    found = t.k.plane.heartbeat().rollouts["rol_1"]
    assert (found.pairs, found.arms[Arm.STABLE].failed) == (0, 1)
    assert found.arms.get(Arm.SHADOW, ArmCounts()).requests == 0


async def test_what_waits_for_a_rollout_that_ended_is_dropped_and_its_model_can_close(traffic):
    t = await traffic()
    t.k.plane._background._spare = lambda: False
    await t.infer()
    await asyncio.sleep(0)
    ended = t.model.model_copy(update={"splits": {}, "versions": t.model.versions[:1]})
    await t.k.serve(make_table([ended], [t.entry], version="2"))
    assert t.k.factory.of[2].closed


def test_capacity_is_spare_only_while_nothing_waits_and_a_worker_is_idle():
    queue, one = FairQueue(2), lane()
    assert queue.spare()
    queue.offer(one, work("a").work)
    assert not queue.spare(), "somebody waits"
    assert queue.take(0)
    assert queue.spare(), "one of two workers"
    queue.offer(one, work("a").work)
    assert queue.take(0)
    assert not queue.spare(), "all are busy"
    queue.settle(one, [])
    assert queue.spare()


# ── the backlog by itself ────────────────────────────────────────────────────────────────────────
class Idle:
    def __init__(self):
        self.is_spare = False
        self.background = Background(lambda: self.is_spare)
        self.ran, self.dropped = [], []
        self.done = threading.Event()

    def offer(self, owner, name, size=1):
        self.background.offer(
            owner, size, lambda: self.ran.append(name), lambda: self.dropped.append(name)
        )

    def release(self):
        self.is_spare = True
        self.background.offer("last", 1, self.done.set, self.done.set)
        assert self.done.wait(30)
        self.background.close()


def test_owners_take_turns_and_one_that_is_over_its_bounds_harms_no_other():
    idle = Idle()
    for n in range(MOST_WAITING + 3):
        idle.offer("a", f"a{n}")
    idle.offer("b", "b0")
    idle.offer("c", "c0", MOST_BYTES)
    idle.offer("c", "c1", 1)
    idle.offer("d", "d0", MOST_BYTES + 1)
    assert idle.dropped == ["a16", "a17", "a18", "c1", "d0"]
    assert idle.ran == []
    idle.release()
    assert idle.ran[:4] == ["a0", "b0", "c0", "a1"]
    assert len(idle.ran) + len(idle.dropped) == MOST_WAITING + 3 + 1 + 2 + 1


def test_a_task_that_raises_ends_nothing():
    idle = Idle()
    idle.background.offer("a", 1, lambda: np.zeros(1)[2], lambda: None)
    idle.offer("a", "after")
    idle.release()
    assert idle.ran == ["after"]


def test_what_waits_at_the_end_is_dropped():
    idle = Idle()
    idle.offer("a", "a0")
    idle.background.close()
    idle.offer("a", "late")
    assert (idle.ran, idle.dropped) == ([], ["a0", "late"])
