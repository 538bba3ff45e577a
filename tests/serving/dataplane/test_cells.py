"""Whose a model is decides where it runs, and a version whose process ended is opened again."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from plaza_core.errors import CellDied
from plaza_core.inference import Call
from plaza_core.names import OPERATING_ORGANISATION
from plaza_core.table import Visibility
from plaza_core.testing import EchoRunner, TensorFamily
from plaza_serving.dataplane.batch import BatchRunner
from plaza_serving.dataplane.lane import Lane
from plaza_serving.dataplane.opening import home_of
from tests.serving.dataplane.test_batch import work
from tests.serving.dataplane.test_hosting import key
from tests.serving.dataplane.world import make_key, make_model, make_table
from tests.waiting import until


class InCell(EchoRunner):
    """A RemoteRunner that ends and idles when the test says so."""

    provider = "cpu"

    def __init__(self, signature):
        super().__init__(signature)
        self.ended = self.resting = False
        self.bounds = []
        self.used_ns = 0

    def idle(self, now_ns):
        return self.resting

    def bound(self, until_ns):
        self.bounds.append(until_ns)

    def cpu_ns(self):
        return self.used_ns

    def run(self, inputs, outputs=None):
        self.used_ns += 7_000_000
        if self.ended:
            raise CellDied("ended", retry_after=1)
        return super().run(inputs, outputs)


class TwinCells:
    """The port `Cells` in memory; `opened` is (organisation, runner)."""

    def __init__(self):
        self.opened = []

    def weigh(self, directory, entry):
        return 100

    def open(self, directory, entry, organisation):
        runner = InCell(entry.manifest.signature_spec())
        self.opened.append((organisation, runner))
        return runner, TensorFamily()

    def close(self):
        """Nothing runs."""


@pytest.fixture
def cells():
    return TwinCells()


async def call(k, header, model="echo"):
    tensors = {"x": np.ones((1, 2), np.float32)}
    who = k.plane.authenticate(header)
    return await k.plane.infer(who, Call(k.plane.new_request_id(), model, None, tensors=tensors))


@pytest.mark.parametrize("visibility", Visibility)
def test_only_what_is_public_or_the_operators_runs_in_the_replica(visibility):
    theirs = make_model(visibility=visibility)
    trusted = visibility is Visibility.PUBLIC
    assert home_of(theirs) == (None if trusted else "org_acme")
    assert home_of(make_model(organisation=OPERATING_ORGANISATION, visibility=visibility)) is None


async def test_each_version_opens_where_it_belongs(kit, cells):
    k = kit(cells=cells)
    own, public = make_model("own"), make_model("public", visibility=Visibility.PUBLIC)
    hubs = make_model("hubs", organisation=OPERATING_ORGANISATION)
    entry, header = make_key()
    await k.serve(make_table([own, public, hubs], [entry]))
    assert [owner for owner, _ in cells.opened] == ["org_acme"]
    assert len(k.factory.opened) == 2
    await call(k, header, "own")
    assert cells.opened[0][1].batches == [1]


async def test_without_cells_all_run_in_the_replica(kit):
    k = kit()
    await k.serve(make_table([make_model()]))
    assert len(k.factory.opened) == 1


async def test_a_model_that_is_no_longer_public_moves_into_a_cell(kit, cells):
    k = kit(cells=cells)
    model, (entry, header) = make_model(visibility=Visibility.PUBLIC), make_key()
    await k.serve(make_table([model], [entry]))
    await call(k, header)
    withdrawn = model.model_copy(update={"visibility": Visibility.PROJECT})
    await k.serve(make_table([withdrawn], [entry], version="2"))
    await call(k, header)
    assert k.factory.opened[0].batches == [1]
    assert cells.opened[0][1].batches == [1]
    await until(lambda: k.factory.opened[0].closed)


async def test_a_dead_cell_costs_its_caller_one_try(kit, cells):
    k = kit(cells=cells)
    entry, header = make_key()
    await k.serve(make_table([make_model()], [entry]))
    died = cells.opened[0][1]

    def run(inputs, outputs=None):
        died.ended = True
        raise CellDied("ended", retry_after=1)

    died.run = run
    with pytest.raises(CellDied):
        await call(k, header)
    (record,) = k.usage.records.values()
    assert (record.outcome, record.charge) == ("cell_died", 0)
    assert (await call(k, header)).tensors["y"].tolist() == [[1, 1]]
    assert len(cells.opened) == 2
    await until(lambda: died.closed)


async def test_a_cell_that_ended_unnoticed_gives_its_memory_back(kit, cells):
    k = kit(cells=cells, budget=100)
    model = make_model()
    await k.serve(make_table([model]))
    cells.opened[0][1].ended = True
    assert k.plane.heartbeat().ready == {}
    other = make_model("other", organisation="beta")
    k.host._how.learn(make_table([model, other]))
    async with asyncio.timeout(10):
        await k.host.demand(key(other), other.versions[0])


async def test_an_idle_cell_is_given_back_and_only_use_brings_it_back(kit, cells):
    k = kit(cells=cells)
    model, (entry, header) = make_model(), make_key()
    await k.serve(make_table([model], [entry]))
    cells.opened[0][1].resting = True
    assert k.plane.heartbeat().ready == {}
    await until(lambda: cells.opened[0][1].closed)
    await k.serve(make_table([model], [entry], version="2"))
    assert len(cells.opened) == 1
    await call(k, header)
    assert len(cells.opened) == 2
    assert k.plane.heartbeat().ready == {model.id: [1]}


async def test_a_cell_in_use_is_not_idle(kit, cells):
    k = kit(cells=cells)
    model = make_model()
    await k.serve(make_table([model]))
    cells.opened[0][1].resting = True
    hosted = k.host.get(key(model))
    hosted.users += 1
    assert k.plane.heartbeat().ready == {model.id: [1]}
    hosted.leave()
    assert k.plane.heartbeat().ready == {}


def as_assembled(k):
    """Lanes as assembly makes them for versions in cells."""

    def lane(runner, family, manifest):
        run = BatchRunner(
            runner,
            family,
            max_batch=manifest.limits.max_batch,
            weight=1,
            clock=k.clock,
            cpu_ns=runner.cpu_ns,
            bound=runner.bound,
        )
        return Lane(run)

    k.host._make_lane = lane
    return k


async def test_a_batch_is_bound_by_the_latest_of_its_deadlines(kit, cells):
    k = as_assembled(kit(cells=cells))
    await k.serve(make_table([make_model()]))
    runner = cells.opened[0][1]
    works = [work() for _ in range(3)]
    for each, deadline_ns in zip(works, (5, 9, 7), strict=True):
        each.deadline_ns = deadline_ns
    finished = k.host.get(key(make_model())).lane.run(works)
    assert len(finished) == 3
    assert runner.bounds == [9]


async def test_what_is_metered_is_the_cells_time_not_the_workers_wait(kit, cells):
    k = as_assembled(kit(cells=cells))
    entry, header = make_key()
    await k.serve(make_table([make_model()], [entry]))
    assert (await call(k, header)).compute_us == 7000
