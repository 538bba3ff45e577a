"""What a replica says it served: per organisation and version, and only to whom it was served."""

import numpy as np
import pytest

from plaza_core.errors import DeadlineExceeded, InvalidTensor, ModelFailed, ModelNotFound
from plaza_core.inference import Call
from plaza_core.table import Visibility
from tests.serving.dataplane.world import PlaneKit, make_key, make_model, make_table

NAME = "acme.main.echo"


@pytest.fixture
async def kit():
    kit = PlaneKit()
    yield kit
    await kit.plane.close()


@pytest.fixture
async def callers(kit):
    """Principals of two organisations that may both use the public model `echo`."""
    made = [make_key("acme"), make_key("globex")]
    model = make_model(versions=(1, 2), visibility=Visibility.PUBLIC)
    await kit.serve(make_table([model], [entry for entry, _ in made]))
    return [kit.plane.authenticate(text) for _, text in made]


async def ask(kit, caller, rows=1, *, version=None, **more):
    call = Call(
        kit.plane.new_request_id(),
        NAME,
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
    (one, two) = kit.plane.statistics(caller, NAME, None)
    assert (one.version, one.rows, one.runs) == (1, 4, 2)
    assert before <= one.last_ms <= kit.clock.unix_us() // 1000
    assert (one.succeeded.count, one.queued.count, one.run.count) == (2, 2, 2)
    assert one.succeeded.ns >= one.queued.ns
    assert [(batch.size, batch.run.count) for batch in one.batches] == [(1, 1), (3, 1)]
    assert (two.version, two.rows, two.last_ms, two.batches) == (2, 0, 0, ())


async def test_more_rows_than_are_joined_count_as_the_runs_they_were(kit, callers):
    caller, _ = callers
    await ask(kit, caller, rows=70)
    (one,) = kit.plane.statistics(caller, NAME, "champion")
    assert (one.rows, one.runs) == (70, 9)
    assert [(batch.size, batch.run.count) for batch in one.batches] == [(6, 1), (8, 8)]


async def test_nobody_is_told_what_others_had(kit, callers):
    mine, other = callers
    await ask(kit, mine)
    assert [one.rows for one in kit.plane.statistics(mine, None, None)] == [1]
    assert kit.plane.statistics(other, None, None) == []
    assert [one.rows for one in kit.plane.statistics(other, NAME, None)] == [0, 0]


async def test_failures_are_counted_and_refusals_are_not(kit, callers, monkeypatch):
    caller, _ = callers
    with pytest.raises(InvalidTensor):
        await kit.plane.infer(caller, Call(kit.plane.new_request_id(), NAME, None, {}))
    with pytest.raises(DeadlineExceeded):
        await ask(kit, caller, deadline_ns=kit.clock.monotonic_ns() + 1)
    await kit.outcomes()
    runner = kit.host.get((kit.plane.catalogue.table.models[0].id, 1)).runner

    def fail(tensors):
        raise ModelFailed("broken")

    monkeypatch.setattr(runner, "run", fail)
    with pytest.raises(ModelFailed):
        await ask(kit, caller)
    (one, _) = kit.plane.statistics(caller, NAME, None)
    assert (one.failed.count, one.succeeded.count, one.runs) == (2, 0, 0)
    assert one.failed.ns > 0


async def test_unknown_names_and_what_left_the_table(kit, callers):
    caller, _ = callers
    for name, version in (("absent", None), (NAME, "7")):
        with pytest.raises(ModelNotFound):
            kit.plane.statistics(caller, name, version)
    await ask(kit, caller)
    assert kit.plane._counting.used(caller.organisation)
    await kit.serve(make_table([], [], version="2"))
    assert not kit.plane._counting.used(caller.organisation)
