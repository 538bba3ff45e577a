"""What nobody uses is closed after a while and opened again by the next use; what was promised to
stay open stays."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from plaza_core.inference import Call
from plaza_core.rollout import Split, VersionState
from plaza_core.testing import EchoRunnerFactory, FakeClock
from tests.serving.dataplane.test_cells import TwinCells
from tests.serving.dataplane.test_hosting import key
from tests.serving.dataplane.world import make_key, make_model, make_table
from tests.waiting import until

IDLE_S = 60


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def k(kit, clock):
    return kit(factory=EchoRunnerFactory(), clock=clock, idle_s=IDLE_S)


def beat(k):
    """What the replica says it has open, as each heartbeat asks."""
    return k.plane.heartbeat().ready


async def call(k, header, model="echo"):
    tensors = {"x": np.ones((1, 2), np.float32)}
    who = k.plane.authenticate(header)
    return await k.plane.infer(who, Call(k.plane.new_request_id(), model, None, tensors=tensors))


def staged(model, version):
    entries = [
        entry.model_copy(update={"state": VersionState.STAGED})
        if entry.version == version
        else entry
        for entry in model.versions
    ]
    return model.model_copy(update={"versions": entries})


async def test_an_unused_version_is_closed_and_only_use_brings_it_back(k, clock):
    model, (entry, header) = make_model(), make_key()
    await k.serve(make_table([model], [entry]))
    clock.advance(IDLE_S - 1)
    assert beat(k) == {model.id: [1]}
    clock.advance(2)
    assert beat(k) == {}
    await until(lambda: k.factory.opened[0].closed)
    await k.serve(make_table([model], [entry], version="2"))
    assert len(k.factory.opened) == 1
    assert (await call(k, header)).tensors["y"].tolist() == [[1, 1]]
    assert beat(k) == {model.id: [1]}


async def test_use_between_two_heartbeats_begins_the_time_anew(k, clock):
    model, (entry, header) = make_model(), make_key()
    await k.serve(make_table([model], [entry]))
    for _ in range(4):
        clock.advance(IDLE_S - 1)
        await call(k, header)
        assert beat(k) == {model.id: [1]}
    clock.advance(IDLE_S + 1)
    assert beat(k) == {}


async def test_a_version_with_somebody_inside_is_not_idle_and_its_time_begins_when_they_leave(
    k, clock
):
    model = make_model()
    hosted = await k.host.demand(key(model), model.versions[0])
    hosted.users += 1
    clock.advance(2 * IDLE_S)
    assert beat(k) == {model.id: [1]}
    hosted.leave()
    clock.advance(IDLE_S - 1)
    assert beat(k) == {model.id: [1]}
    clock.advance(2)
    assert beat(k) == {}


async def test_its_memory_is_free_again(kit, clock):
    k = kit(factory=EchoRunnerFactory(), clock=clock, idle_s=IDLE_S)
    await k.serve(make_table([make_model()]))
    free = k.host._memory.free
    clock.advance(IDLE_S + 1)
    beat(k)
    assert k.host._memory.free > free
    assert k.host._memory.held == 0


async def test_unless_it_is_asked_for_nothing_is_closed(kit, clock):
    k = kit(factory=EchoRunnerFactory(), clock=clock)
    model = make_model()
    await k.serve(make_table([model]))
    clock.advance(1_000_000)
    assert beat(k) == {model.id: [1]}


async def test_versions_of_a_rollout_and_staged_ones_stay_open(k, clock):
    rolling, other = make_model("rolling", versions=(1, 2)), make_model("other", versions=(1, 2))
    split = Split(stable=1, rollout="rol_1", weights={1: 9000, 2: 1000})
    rolling = rolling.model_copy(update={"splits": {"champion": split}})
    await k.serve(make_table([rolling, staged(other, 2)]))
    clock.advance(IDLE_S + 1)
    assert beat(k) == {rolling.id: [1, 2], other.id: [2]}


@pytest.mark.parametrize("begins", ["rollout", "stage"])
async def test_a_rollout_and_a_stage_open_what_was_closed(k, clock, begins):
    model = make_model(versions=(1, 2))
    await k.serve(make_table([model]))
    clock.advance(IDLE_S + 1)
    assert beat(k) == {}
    if begins == "rollout":
        split = Split(stable=1, rollout="rol_1", weights={1: 9000, 2: 1000})
        model = model.model_copy(update={"splits": {"champion": split}})
    else:
        model = staged(model, 1)
    await k.serve(make_table([model], version="2"))
    assert 1 in beat(k)[model.id]


async def test_an_alias_that_moves_to_a_closed_version_opens_it_first(k, clock):
    """A promotion is acknowledged when the version is open, also if it was called by its number
    before and then by nobody."""
    model = make_model(versions=(1, 2))
    await k.serve(make_table([model]))
    await k.host.demand(key(model, 2), model.versions[1])
    clock.advance(IDLE_S + 1)
    assert beat(k) == {}
    promoted = model.model_copy(update={"aliases": {"champion": 2}})
    await k.serve(make_table([promoted], version="2"))
    assert beat(k) == {model.id: [2]}


async def test_a_cell_goes_by_its_own_time(kit, clock):
    cells = TwinCells()
    k = kit(cells=cells, clock=clock, idle_s=IDLE_S)
    model = make_model()
    await k.serve(make_table([model]))
    clock.advance(2 * IDLE_S)
    assert beat(k) == {model.id: [1]}
    cells.opened[0][1].resting = True
    assert beat(k) == {}


async def test_many_that_come_back_at_once_open_it_once(k, clock):
    model, (entry, header) = make_model(), make_key()
    await k.serve(make_table([model], [entry]))
    clock.advance(IDLE_S + 1)
    beat(k)
    answers = await asyncio.gather(*(call(k, header) for _ in range(8)))
    assert len(answers) == 8
    assert len(k.factory.opened) == 2
