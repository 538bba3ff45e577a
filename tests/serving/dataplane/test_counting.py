"""What a replica says it served: per organisation and version, and only to whom it was served."""

import asyncio

import numpy as np
import pytest

from plaza_core.errors import DeadlineExceeded, InvalidTensor, ModelFailed, ModelNotFound
from plaza_core.inference import Call
from tests.serving.dataplane.world import PlaneKit, make_key, make_model, make_table


@pytest.fixture
async def kit():
    kit = PlaneKit()
    yield kit
    await kit.plane.close()


@pytest.fixture
async def callers(kit):
    """Principals of two organisations that may both use the public model `echo`."""
    made = [make_key("acme"), make_key("globex")]
    await kit.serve(make_table([make_model(versions=(1, 2))], [entry for entry, _ in made]))
    return [kit.plane.authenticate(text) for _, text in made]


async def ask(kit, caller, rows=1, *, version=None, **more):
    call = Call(
        kit.plane.new_request_id(),
        "echo",
        version,
        {"x": np.zeros((rows, 2), np.float32)},
        **more,
    )
    outcome = await kit.plane.infer(caller, call)
    await kit.outcomes()
    return outcome


async def test_rows_runs_and_times_of_a_version(kit, callers):
    caller, _ = callers
    before = kit.clock.unix_us() // 1000
    await ask(kit, caller)
    await ask(kit, caller, rows=3)
    (one, two) = kit.plane.statistics(caller, "echo", None)
    assert (one.version, one.rows, one.runs) == (1, 4, 2)
    assert before <= one.last_ms <= kit.clock.unix_us() // 1000
    assert (one.succeeded.count, one.queued.count, one.run.count) == (2, 2, 2)
    assert one.succeeded.ns >= one.queued.ns
    assert [(batch.size, batch.run.count) for batch in one.batches] == [(1, 1), (3, 1)]
    assert (two.version, two.rows, two.last_ms, two.batches) == (2, 0, 0, ())


async def test_more_rows_than_are_joined_count_as_the_runs_they_were(kit, callers):
    caller, _ = callers
    await ask(kit, caller, rows=70)
    (one,) = kit.plane.statistics(caller, "echo", "champion")
    assert (one.rows, one.runs) == (70, 3)
    assert [(batch.size, batch.run.count) for batch in one.batches] == [(6, 1), (32, 2)]


async def test_nobody_is_told_what_others_had(kit, callers):
    mine, other = callers
    await ask(kit, mine)
    assert [one.rows for one in kit.plane.statistics(mine, None, None)] == [1]
    assert kit.plane.statistics(other, None, None) == []
    assert [one.rows for one in kit.plane.statistics(other, "echo", None)] == [0, 0]


async def test_failures_are_counted_and_refusals_are_not(kit, callers, monkeypatch):
    caller, _ = callers
    with pytest.raises(InvalidTensor):
        await kit.plane.infer(caller, Call(kit.plane.new_request_id(), "echo", None, {}))
    with pytest.raises(DeadlineExceeded):
        await ask(kit, caller, deadline_ns=kit.clock.monotonic_ns() + 1)
    await kit.outcomes()
    runner = kit.host.get(next(iter(kit.plane._host._hosted))).runner

    def fail(tensors):
        raise ModelFailed("broken")

    monkeypatch.setattr(runner, "run", fail, raising=False)
    with pytest.raises(ModelFailed):
        await ask(kit, caller)
    (one, _) = kit.plane.statistics(caller, "echo", None)
    assert (one.failed.count, one.succeeded.count, one.runs) == (2, 0, 0)
    assert one.failed.ns > 0


async def test_unknown_names_and_what_left_the_table(kit, callers):
    caller, _ = callers
    for name, version in (("absent", None), ("echo", "7")):
        with pytest.raises(ModelNotFound):
            kit.plane.statistics(caller, name, version)
    await ask(kit, caller)
    assert kit.plane._counting.used(caller.organisation)
    await kit.serve(make_table([], [], version="2"))
    assert not kit.plane._counting.used(caller.organisation)


async def test_of_one_key_the_urgent_request_is_taken_first(kit, callers, monkeypatch):
    caller, _ = callers
    order = []
    offered = kit.plane._queue.offer
    monkeypatch.setattr(kit.plane._queue, "offer", lambda lane, work: offered(lane, work) and False)
    waiting = []
    for priority in (9, 5, 1, 5):

        async def one(priority=priority):
            await ask(kit, caller, priority=priority)
            order.append(priority)

        waiting.append(asyncio.create_task(one()))
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    (lane,) = {work.lane for work in ()} or {hosted.lane for hosted in kit.host._hosted.values()}
    monkeypatch.setattr(lane.run, "worth_joining", lambda: 1)
    kit.plane._workers._ready.put(kit.plane._workers._turn)
    await asyncio.gather(*waiting)
    assert order == [1, 5, 5, 9]
