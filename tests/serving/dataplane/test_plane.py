"""The whole path of one request, with every part real but the model."""

import asyncio
import threading

import numpy as np
import pytest

from plaza_core.errors import (
    ConcurrencyExceeded,
    DeadlineExceeded,
    Forbidden,
    InvalidInput,
    InvalidTensor,
    LedgerUnavailable,
    ModelFailed,
    ModelNotFound,
    Overloaded,
    RateLimited,
    Unauthenticated,
)
from plaza_core.inference import Call
from plaza_core.principal import Role
from plaza_core.table import HeartbeatReply
from plaza_core.testing import EchoRunner, EchoRunnerFactory, FakeClock
from tests.serving.dataplane.world import make_key, make_manifest, make_model, make_table
from tests.waiting import until


def call(plane, value=1.0, rows=1, **options):
    tensors = {"x": np.full((rows, 2), value, np.float32)}
    return Call(plane.new_request_id(), "echo", None, tensors=tensors, **options)


class GatedFactory(EchoRunnerFactory):
    """Runners that wait at a gate, so that a test decides when a batch ends."""

    def __init__(self):
        super().__init__()
        self.gate = threading.Event()
        self.entered = threading.Event()

    def open(self, directory, manifest):
        runner = super().open(directory, manifest)
        echo = runner.run

        def run(inputs, outputs=None):
            self.entered.set()
            assert self.gate.wait(30)
            return echo(inputs, outputs)

        runner.run = run
        return runner


async def test_an_answer_and_its_usage(kit):
    k = kit()
    entry, header = make_key()
    await k.serve(make_table([make_model()], [entry]))
    principal = k.plane.authenticate(header)
    request = call(k.plane, 3.0, rows=2)
    outcome = await k.plane.infer(principal, request)
    assert outcome.tensors["y"].tolist() == [[3.0, 3.0], [3.0, 3.0]]
    assert outcome.version == 1
    (record,) = k.usage.records.values()
    assert record.request_id == request.request_id
    assert (record.organisation, record.outcome, record.rows) == ("org_acme", "ok", 2)
    assert record.compute_us == outcome.compute_us > 0


async def test_requests_that_wait_together_run_together_and_share_the_compute(kit):
    k = kit(factory=GatedFactory())
    entry, header = make_key()
    await k.serve(make_table([make_model()], [entry]))
    principal = k.plane.authenticate(header)
    first = asyncio.create_task(k.plane.infer(principal, call(k.plane, 0.0)))
    await asyncio.to_thread(k.factory.entered.wait, 5)
    rest = [
        asyncio.create_task(k.plane.infer(principal, call(k.plane, v))) for v in (1.0, 2.0, 3.0)
    ]
    await asyncio.sleep(0)
    k.factory.gate.set()
    outcomes = await asyncio.gather(first, *rest)
    assert [o.tensors["y"][0, 0] for o in outcomes] == [0.0, 1.0, 2.0, 3.0]
    assert k.factory.opened[0].batches == [1, 3]
    assert outcomes[1].batch_rows == 3


async def test_a_request_larger_than_the_batch_runs_in_slices(kit):
    k = kit()
    entry, header = make_key()
    await k.serve(make_table([make_model(manifest=make_manifest(max_batch=4))], [entry]))
    tensors = {"x": np.arange(20, dtype=np.float32).reshape(10, 2)}
    request = Call(k.plane.new_request_id(), "echo", None, tensors=tensors)
    outcome = await k.plane.infer(k.plane.authenticate(header), request)
    np.testing.assert_array_equal(outcome.tensors["y"], tensors["x"])
    assert k.factory.opened[0].batches == [4, 4, 2]


async def test_a_model_without_a_batch_axis_runs_one_request_at_a_time(kit):
    k = kit()
    entry, header = make_key()
    await k.serve(make_table([make_model(manifest=make_manifest(batched=False))], [entry]))
    principal = k.plane.authenticate(header)
    requests = [
        Call(k.plane.new_request_id(), "echo", None, tensors={"x": np.full(2, v, np.float32)})
        for v in range(3)
    ]
    outcomes = await asyncio.gather(*(k.plane.infer(principal, r) for r in requests))
    assert [o.tensors["y"][0] for o in outcomes] == [0, 1, 2]
    assert [o.batch_rows for o in outcomes] == [1, 1, 1]


async def test_one_poisonous_request_does_not_spoil_its_batch(kit):
    class Poisoned(EchoRunner):
        def run(self, inputs, outputs=None):
            if (inputs["x"] < 0).any():
                raise ModelFailed("the model failed")
            return super().run(inputs, outputs)

    class Factory(GatedFactory):
        def open(self, directory, manifest):
            gated = super().open(directory, manifest)
            poisoned = Poisoned(manifest.signature_spec())
            wait, check = gated.run, poisoned.run
            gated.run = lambda inputs, outputs=None: wait(check(inputs) and inputs)
            return gated

    k = kit(factory=Factory())
    entry, header = make_key()
    await k.serve(make_table([make_model()], [entry]))
    principal = k.plane.authenticate(header)
    tasks = [asyncio.create_task(k.plane.infer(principal, call(k.plane, 0.0)))]
    await asyncio.to_thread(k.factory.entered.wait, 5)
    tasks += [
        asyncio.create_task(k.plane.infer(principal, call(k.plane, v))) for v in (1.0, -1.0, 2.0)
    ]
    await asyncio.sleep(0)
    k.factory.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(r).__name__ for r in results] == ["Outcome", "Outcome", "ModelFailed", "Outcome"]
    assert sorted(await k.outcomes()) == ["model_failed", "ok", "ok", "ok"]
    failed = [r for r in k.usage.records.values() if r.outcome != "ok"]
    assert failed[0].charge == 0
    assert failed[0].overrun > 0, "the platform bears what the failure took"


async def test_a_deadline_answers_while_the_model_still_runs_and_bills_what_it_took(kit):
    clock = FakeClock()
    k = kit(factory=GatedFactory(), clock=clock)
    entry, header = make_key()
    await k.serve(make_table([make_model(manifest=make_manifest(deadline_ms=100))], [entry]))
    task = asyncio.create_task(k.plane.infer(k.plane.authenticate(header), call(k.plane)))
    await asyncio.to_thread(k.factory.entered.wait, 5)
    clock.advance(0.2)
    with pytest.raises(DeadlineExceeded):
        await task
    k.factory.gate.set()
    assert await k.outcomes() == ["deadline_exceeded"]
    (record,) = k.usage.records.values()
    assert record.charge == record.compute_us + record.host_us > 0


async def test_a_late_request_never_enters_a_batch(kit):
    clock = FakeClock()
    k = kit(factory=GatedFactory(), clock=clock)
    entry, header = make_key()
    await k.serve(make_table([make_model()], [entry]))
    principal = k.plane.authenticate(header)
    first = asyncio.create_task(k.plane.infer(principal, call(k.plane)))
    await asyncio.to_thread(k.factory.entered.wait, 5)
    soon = clock.monotonic_ns() + 50_000_000
    late = asyncio.create_task(k.plane.infer(principal, call(k.plane, deadline_ns=soon)))
    await asyncio.sleep(0)
    clock.advance(0.1)
    with pytest.raises(DeadlineExceeded):
        await late
    k.factory.gate.set()
    await first
    await k.outcomes()
    assert k.factory.opened[0].batches == [1]


async def test_a_client_that_leaves_frees_its_slot(kit):
    k = kit(factory=GatedFactory(), slots=1)
    entry, header = make_key()
    await k.serve(make_table([make_model()], [entry]))
    principal = k.plane.authenticate(header)
    task = asyncio.create_task(k.plane.infer(principal, call(k.plane)))
    await asyncio.to_thread(k.factory.entered.wait, 5)
    with pytest.raises(Overloaded) as full:
        await k.plane.infer(principal, call(k.plane))
    assert full.value.retry_after
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    k.factory.gate.set()
    await k.plane.infer(principal, call(k.plane))
    assert sorted(await k.outcomes()) == ["cancelled", "ok"]


async def test_no_answer_leaves_without_its_usage_written(kit):
    k = kit()
    entry, header = make_key()
    await k.serve(make_table([make_model()], [entry]))
    k.usage.broken = True
    with pytest.raises(LedgerUnavailable):
        await k.plane.infer(k.plane.authenticate(header), call(k.plane))
    assert not k.usage.records


async def test_refusals_before_admission_cost_nothing(kit):
    k = kit()
    entry, header = make_key(per_second=1, burst=1)
    auditor, auditor_header = make_key(role=Role.AUDITOR)
    await k.serve(make_table([make_model()], [entry, auditor]))
    principal = k.plane.authenticate(header)
    with pytest.raises(InvalidTensor, match="dimension 1 must be 2") as bad:
        request = Call(
            k.plane.new_request_id(), "echo", None, tensors={"x": np.zeros((1, 3), "f4")}
        )
        await k.plane.infer(principal, request)
    assert bad.value.input == "x"
    with pytest.raises(InvalidInput, match="family"):
        task = Call(k.plane.new_request_id(), "echo", None, task={}, family="vision.detect")
        await k.plane.infer(principal, task)
    with pytest.raises(ModelNotFound):
        missing = Call(k.plane.new_request_id(), "nothing", None, tensors={})
        await k.plane.infer(principal, missing)
    with pytest.raises(Forbidden):
        await k.plane.infer(k.plane.authenticate(auditor_header), call(k.plane))
    await k.plane.infer(principal, call(k.plane))
    with pytest.raises(RateLimited):
        await k.plane.infer(principal, call(k.plane))
    assert await k.outcomes() == ["ok"]


async def test_a_revoked_key_stops_with_the_next_table_and_models_follow_after_loading(kit):
    k = kit()
    entry, header = make_key()
    await k.serve(make_table([make_model()], [entry]))
    principal = k.plane.authenticate(header)
    k.plane.admit_table(make_table([make_model(), make_model("second")], [], version="2"))
    with pytest.raises(Unauthenticated):
        k.plane.authenticate(header)
    with pytest.raises(Unauthenticated):
        await k.plane.infer(principal, call(k.plane))
    assert k.plane.heartbeat().table_version == "1"


async def test_a_swap_of_versions_under_traffic_loses_nothing(kit):
    k = kit(factory=GatedFactory())
    entry, header = make_key()
    old, new = make_model(versions=(1, 2)), make_model(versions=(2,))
    await k.serve(make_table([old], [entry]))
    principal = k.plane.authenticate(header)
    held = asyncio.create_task(k.plane.infer(principal, call(k.plane)))
    await asyncio.to_thread(k.factory.entered.wait, 5)
    await k.serve(make_table([new], [entry], version="2"))
    assert not k.factory.opened[0].closed
    after = asyncio.create_task(k.plane.infer(principal, call(k.plane)))
    await asyncio.sleep(0)
    k.factory.gate.set()
    assert (await held).version == 1
    assert (await after).version == 2
    await until(lambda: k.factory.opened[0].closed)  # by a thread of its own, soon after


async def test_a_key_cannot_have_more_inside_than_the_slots_of_its_organisation(kit):
    k = kit(factory=GatedFactory())
    entry, header = make_key(slots=[("org_acme", 1)])
    await k.serve(make_table([make_model()], [entry]))
    principal = k.plane.authenticate(header)
    k.plane.heed(HeartbeatReply(live_replicas=1, slots={"org_acme": 1}), k.clock.monotonic_ns())
    first = asyncio.create_task(k.plane.infer(principal, call(k.plane)))
    await asyncio.to_thread(k.factory.entered.wait, 5)
    with pytest.raises(ConcurrencyExceeded):
        await k.plane.infer(principal, call(k.plane))
    beat = k.plane.heartbeat()
    assert (beat.inside, beat.held) == ({"org_acme": 1}, {"org_acme": 1})
    k.factory.gate.set()
    await first
    await k.plane.infer(principal, call(k.plane))
    assert await k.outcomes() == ["ok", "ok"]


async def test_a_first_request_waits_for_the_answer_to_an_immediate_heartbeat(kit):
    k = kit()
    entry, header = make_key(slots=[("org_acme", 1)])
    await k.serve(make_table([make_model()], [entry]))
    task = asyncio.create_task(k.plane.infer(k.plane.authenticate(header), call(k.plane)))
    await asyncio.wait_for(k.plane.slots.due.wait(), 10)
    sent = k.clock.monotonic_ns()
    assert k.plane.heartbeat().inside == {"org_acme": 1}
    k.plane.heed(HeartbeatReply(live_replicas=1, slots={"org_acme": 1}), sent)
    assert (await task).version == 1


async def test_a_heartbeat_counts_who_asked_since_the_last_one(kit):
    k = kit()
    entry, header = make_key(per_second=1, burst=1)
    await k.serve(make_table([make_model()], [entry]))
    principal = k.plane.authenticate(header)
    await k.plane.infer(principal, call(k.plane))
    with pytest.raises(RateLimited):
        await k.plane.infer(principal, call(k.plane))
    first, second = k.plane.heartbeat(), k.plane.heartbeat()
    assert (first.arrivals, second.arrivals) == ({"org_acme": 2}, {})
    assert second.sequence > first.sequence


@pytest.mark.parametrize("asked_ms", [None, 8_000])
async def test_what_another_replica_took_counts_against_every_deadline(kit, asked_ms):
    factory = GatedFactory()
    k = kit(factory=factory, clock=FakeClock())
    entry, header = make_key()
    await k.serve(make_table([make_model(manifest=make_manifest(deadline_ms=5_000))], [entry]))
    asked = None if asked_ms is None else k.clock.monotonic_ns() + asked_ms * 1_000_000
    request = call(k.plane, age_ns=4 * 10**9, deadline_ns=asked)
    waiting = asyncio.create_task(k.plane.infer(k.plane.authenticate(header), request))
    while not k.plane._inside:
        await asyncio.sleep(0)
    (work,) = k.plane._inside
    assert work.deadline_ns - k.clock.monotonic_ns() == 10**9, "one of the model's five seconds"
    factory.gate.set()
    await waiting
