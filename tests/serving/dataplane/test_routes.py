"""An alias whose requests are divided: who meets the canary, and what if it is bad."""

import asyncio
import threading

import numpy as np
import pytest

from plaza_core.errors import (
    BadRequest,
    DeadlineExceeded,
    InvalidBundle,
    InvalidTensor,
    ModelFailed,
)
from plaza_core.inference import Call
from plaza_core.rollout import WHOLE, Arm, ArmCounts, Split
from plaza_core.table import VersionEntry
from plaza_core.testing import EchoRunnerFactory, FakeClock
from tests.serving.dataplane.books import books_for, broker_of, desk_over
from tests.serving.dataplane.world import make_key, make_manifest, make_model, make_table

CANARY = 2


class Versions(EchoRunnerFactory):
    """Runners by version. Versions differ in their deadline here, by which the factory knows which
    one it opens; `v2=act` makes version 2 behave as `act(run, inputs)`, or not open at all."""

    def __init__(self, **behaviour):
        super().__init__()
        self.behaviour = behaviour
        self.of = {}

    def open(self, directory, manifest):
        version = manifest.limits.deadline_ms - 10_000
        act = self.behaviour.get(f"v{version}")
        if isinstance(act, Exception):
            raise act
        runner = super().open(directory, manifest)
        self.of[version] = runner
        if act is not None:
            echo = runner.run
            runner.run = lambda inputs, outputs=None: act(echo, inputs)
        return runner


def manifest(version, **options):
    return make_manifest(deadline_ms=10_000 + version, **options)


def divided(part=WHOLE - 1, *, rollout="rol_1", manifests=None, **split):
    """Model `echo`, versions 1 and 2; 2 answers `part` of the requests for `champion`."""
    model = make_model(versions=(1, CANARY))
    entries = [
        VersionEntry(
            version=v.version,
            digest=v.digest,
            files=[],
            manifest=(manifests or {}).get(v.version) or manifest(v.version),
        )
        for v in model.versions
    ]
    split = split or {"weights": {1: WHOLE - part, CANARY: part}}
    made = Split(stable=1, rollout=rollout, **split)
    return model.model_copy(update={"versions": entries, "splits": {"champion": made}})


def crash(echo, inputs):
    raise ModelFailed("the canary crashed")


class Traffic:
    def __init__(self, k, model, **key):
        self.k, self.model = k, model
        self.entry, self.header = make_key(**key)

    async def start(self):
        await self.k.serve(make_table([self.model], [self.entry]))
        self.principal = self.k.plane.authenticate(self.header)
        return self

    def infer(self, value=1.0, version=None, **options):
        tensors = options.pop("tensors", None) or {"x": np.full((1, 2), value, np.float32)}
        model = options.pop("model", "echo")
        call = Call(self.k.plane.new_request_id(), model, version, tensors=tensors, **options)
        return self.k.plane.infer(self.principal, call)

    def seen(self, arm, rollout="rol_1"):
        return self.k.plane.heartbeat().rollouts[rollout].arms.get(arm, ArmCounts())


@pytest.fixture
def traffic(kit):
    async def start(model=None, key=None, **options):
        factory = Versions(**options.pop("versions", {}))
        return await Traffic(
            kit(factory=factory, **options), model or divided(), **(key or {})
        ).start()

    return start


async def test_the_canary_answers_its_part_and_each_answer_names_its_version(traffic):
    t = await traffic(divided(part=3000))
    outcomes = [await t.infer(n, sticky=f"caller {n}") for n in range(200)]
    versions = [outcome.version for outcome in outcomes]
    assert 30 < versions.count(CANARY) < 95
    assert t.seen(Arm.CANARY).requests == versions.count(CANARY)
    assert t.seen(Arm.STABLE).requests == versions.count(1)
    again = [(await t.infer(n, sticky=f"caller {n}")).version for n in range(200)]
    assert again == versions, "the same word meets the same version"
    records = list(t.k.usage.records.values())
    assert [r.version for r in records[:200]] == versions


async def test_without_a_word_each_request_is_for_itself(traffic):
    t = await traffic(divided(part=5000))
    assert {(await t.infer()).version for _ in range(60)} == {1, CANARY}


async def test_a_version_asked_for_by_number_is_never_divided_or_counted(traffic):
    t = await traffic()
    assert (await t.infer(version="1")).version == 1
    assert (await t.infer(version="2")).version == CANARY
    assert t.seen(Arm.CANARY) == t.seen(Arm.STABLE) == ArmCounts()


async def test_the_canary_is_open_before_its_table_is_published(traffic):
    t = await traffic()
    assert set(t.k.factory.of) == {1, CANARY}


async def test_a_caller_does_not_suffer_by_a_canary_that_crashes(traffic):
    t = await traffic(versions={"v2": crash})
    outcome = await t.infer(3.0)
    assert outcome.version == 1
    assert outcome.tensors["y"][0, 0] == 3.0
    canary = t.seen(Arm.CANARY)
    assert (canary.requests, canary.failed) == (1, 1)
    assert t.seen(Arm.STABLE).requests == 0, "chance did not bring it there"


async def test_a_second_attempt_is_charged_once_and_the_platform_bears_the_first(traffic):
    t = await traffic(versions={"v2": crash})
    outcome = await t.infer()
    (record,) = t.k.usage.records.values()
    assert (record.outcome, record.version) == ("ok", 1)
    assert record.charge == outcome.charge == outcome.compute_us + outcome.host_us
    assert record.overrun > 0
    assert record.compute_us + record.host_us == record.charge + record.overrun


async def test_what_a_second_attempt_holds_of_a_budget_is_settled_once(kit):
    k = kit(factory=Versions(v2=crash))
    t = Traffic(k, divided(), metered=True)
    bank = books_for(k.clock, [t.entry], {t.entry.project: 1_000_000})
    broker = broker_of(k, desk_over(bank, k.clock))
    await t.start()
    task = asyncio.create_task(broker.run())
    await t.infer()
    await k.outcomes()
    assert k.plane.budgets.purses[t.entry.id].current.reserved == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    bank.ingest(k.usage.records.values())
    bank.check()
    assert await broker.close()
    assert bank.outstanding() == 0


async def test_an_input_that_the_stable_version_refuses_too_counts_against_nobody(traffic):
    def picky(echo, inputs):
        raise InvalidTensor("no such input", input="x")

    t = await traffic(versions={"v2": picky, "v1": picky})
    with pytest.raises(InvalidTensor):
        await t.infer()
    assert t.seen(Arm.CANARY) == ArmCounts()
    t = await traffic(versions={"v2": picky})
    assert (await t.infer()).version == 1
    assert t.seen(Arm.CANARY).failed == 1


async def test_a_poisonous_input_is_an_honest_error_from_both(traffic):
    t = await traffic(versions={"v2": crash, "v1": crash})
    with pytest.raises(ModelFailed):
        await t.infer()
    assert (t.seen(Arm.CANARY).failed, t.seen(Arm.STABLE).requests) == (1, 0)
    (record,) = t.k.usage.records.values()
    assert (record.outcome, record.charge) == ("model_failed", 0)


async def test_a_canary_with_another_signature_fails_and_its_callers_are_answered(traffic):
    other = manifest(CANARY, batched=False)
    t = await traffic(divided(manifests={CANARY: other}))
    assert (await t.infer()).version == 1
    assert t.seen(Arm.CANARY).failed == 1
    with pytest.raises(BadRequest):
        await t.infer(tensors={"x": np.zeros((1, 3), np.float32)})
    assert t.seen(Arm.CANARY).requests == 1, "the caller's own mistake"


async def test_a_canary_that_cannot_be_opened_is_told_counted_and_answered_for(traffic):
    t = await traffic(versions={"v2": InvalidBundle("broken")})
    assert (await t.infer()).version == 1
    beat = t.k.plane.heartbeat()
    assert beat.failed == {f"{t.model.id}/2": "invalid_bundle"}
    assert beat.rollouts["rol_1"].arms[Arm.CANARY].failed == 1


async def test_a_canary_that_can_be_opened_later_is(traffic):
    clock = FakeClock()
    t = await traffic(versions={"v2": InvalidBundle("not yet")}, clock=clock)
    assert (await t.infer()).version == 1
    t.k.factory.behaviour.clear()
    clock.advance(6)
    assert (await t.infer()).version == 1, "it opens in the background"
    for _ in range(500):
        if CANARY in t.k.factory.of:
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.01)
    assert (await t.infer()).version == CANARY


async def test_a_deadline_that_passes_while_the_canary_runs_is_its_failure(traffic):
    clock, answered = FakeClock(), threading.Event()

    def slow(echo, inputs):
        clock.advance(60)
        assert answered.wait(30)
        return echo(inputs)

    t = await traffic(versions={"v2": slow}, clock=clock)
    with pytest.raises(DeadlineExceeded):
        await t.infer(deadline_ns=clock.monotonic_ns() + 10**7)
    answered.set()
    assert await t.k.outcomes() == ["deadline_exceeded"]
    assert (t.seen(Arm.CANARY).requests, t.seen(Arm.CANARY).failed) == (1, 1)


async def test_no_second_attempt_begins_after_the_deadline(traffic):
    clock = FakeClock()

    def crash_late(echo, inputs):
        clock.advance(60)
        raise ModelFailed("at last")

    t = await traffic(versions={"v2": crash_late}, clock=clock)
    with pytest.raises((DeadlineExceeded, ModelFailed)):
        await t.infer(deadline_ns=clock.monotonic_ns() + 10**9)
    await t.k.outcomes()
    assert t.k.factory.of[1].batches == []


async def test_a_client_that_leaves_between_two_attempts_leaves_nothing_open(traffic):
    task = None

    def crash_and_hang_up(echo, inputs):
        t.k.plane._loop.call_soon_threadsafe(task.cancel)
        raise ModelFailed("gone")

    t = await traffic(versions={"v2": crash_and_hang_up})
    task = asyncio.create_task(t.infer())
    with pytest.raises(asyncio.CancelledError):
        await task
    await t.k.outcomes()
    (record,) = t.k.usage.records.values()
    assert record.outcome in {"cancelled", "model_failed"}
    assert record.charge == 0
    assert record.overrun > 0, "the canary's attempt is not forgotten"
    assert t.k.factory.of[1].batches == []


async def test_joined_requests_are_one_run(traffic):
    t = await traffic()
    await asyncio.gather(*(t.infer(n) for n in range(40)))
    canary = t.seen(Arm.CANARY)
    assert canary.requests == 40
    assert sum(canary.latency.values()) == len(t.k.factory.of[CANARY].batches)


async def test_a_rollout_that_left_the_table_is_forgotten_and_another_starts_at_nothing(traffic):
    t = await traffic()
    await t.infer()
    t.model = divided(rollout="rol_2")
    await t.k.serve(make_table([t.model], [t.entry], version="2"))
    assert set(t.k.plane.heartbeat().rollouts) == {"rol_2"}
    assert t.seen(Arm.CANARY, "rol_2") == ArmCounts()


async def test_news_of_a_candidate_makes_a_heartbeat_due(traffic):
    t = await traffic()
    t.k.plane.heartbeat()
    t.k.plane.slots.due.clear()
    for n in range(16):
        assert not t.k.plane.slots.due.is_set(), n
        await t.infer()
    await asyncio.sleep(0)
    assert t.k.plane.slots.due.is_set()


async def test_weights_without_a_rollout_divide_and_nobody_counts(traffic):
    t = await traffic(divided(rollout=None))
    assert (await t.infer()).version == CANARY
    assert t.k.plane.heartbeat().rollouts == {}
