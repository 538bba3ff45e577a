"""Versions open once, leave by least recent use, and never under a request."""

import asyncio

import pytest

from plaza_core.errors import DoesNotFit, InvalidBundle
from plaza_core.testing import EchoRunner, EchoRunnerFactory, FakeClock
from tests.serving.dataplane.world import NoBundles, make_model, make_table
from tests.waiting import until


class SizedFactory(EchoRunnerFactory):
    """Every model takes 10 bytes; names listed in `broken` cannot be opened."""

    def __init__(self, broken=()):
        super().__init__()
        self.broken = set(broken)

    def open(self, directory, manifest):
        if manifest.name in self.broken:
            raise InvalidBundle("broken", input="model.onnx")
        runner = EchoRunner(manifest.signature_spec())
        runner.resident_bytes = 10
        self.opened.append(runner)
        return runner

    def weigh(self, directory, manifest):
        return 10


def key(model, version=1):
    return (model.id, version)


async def test_concurrent_demands_open_a_version_once(kit):
    k = kit(factory=SizedFactory())
    model = make_model()
    demands = (k.host.demand(key(model), model.versions[0]) for _ in range(5))
    hosted = await asyncio.gather(*demands)
    assert len(k.factory.opened) == 1
    assert len(set(map(id, hosted))) == 1


async def test_the_least_recently_used_idle_version_leaves(kit):
    k = kit(factory=SizedFactory(), budget=20, clock=FakeClock())
    models = [make_model(f"m{n}") for n in range(3)]
    for model in models[:2]:
        await k.host.demand(key(model), model.versions[0])
    k.host.get(key(models[0]))
    await k.host.demand(key(models[2]), models[2].versions[0])
    assert set(k.host.ready()) == {models[0].id, models[2].id}
    await until(lambda: [r.closed for r in k.factory.opened] == [False, True, False])


async def test_who_finds_no_room_waits_for_the_first_who_leaves(kit):
    k = kit(factory=SizedFactory(), budget=10)
    first, second = make_model("first"), make_model("second")
    hosted = await k.host.demand(key(first), first.versions[0])
    hosted.users += 1
    waiting = asyncio.create_task(k.host.demand(key(second), second.versions[0]))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    assert not k.factory.opened[0].closed
    hosted.leave()
    await waiting
    await until(lambda: k.factory.opened[0].closed)
    assert set(k.host.ready()) == {second.id}


async def test_what_can_never_fit_is_refused_at_once(kit):
    k = kit(factory=SizedFactory(), budget=9)
    model = make_model()
    with pytest.raises(DoesNotFit):
        await k.host.demand(key(model), model.versions[0])
    assert k.host.failed() == {f"{model.id}/1": "does_not_fit"}


async def test_a_version_that_left_the_table_keeps_its_room_until_its_last_user_left(kit):
    k = kit(factory=SizedFactory(), budget=10)
    first, second = make_model("first"), make_model("second")
    hosted = await k.host.demand(key(first), first.versions[0])
    hosted.users += 1
    k.host.keep_only(make_table([second]))
    assert k.host.get(key(first)) is None
    waiting = asyncio.create_task(k.host.demand(key(second), second.versions[0]))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    hosted.leave()
    await waiting


async def test_ahead_of_use_only_what_fits_is_opened(kit):
    k = kit(factory=SizedFactory(), budget=30)
    models = [make_model(f"m{n}") for n in range(50)]
    await k.host.prepare(make_table(models))
    assert len(k.factory.opened) <= 3
    for model in models:
        await k.host.demand(key(model), model.versions[0])
        assert len(k.host.ready()) <= 3
    await until(lambda: sum(not runner.closed for runner in k.factory.opened) <= 3)


async def test_a_successor_is_open_before_it_takes_over(kit):
    k = kit(factory=SizedFactory(), budget=20, clock=FakeClock())
    other, model = make_model("other"), make_model("model", versions=(1, 2))
    for one in (other, model):
        await k.host.demand(key(one), one.versions[0])
    promoted = model.model_copy(update={"aliases": {"champion": 2}})
    await k.host.prepare(make_table([other, promoted]))
    assert k.host.ready() == {model.id: [1, 2]}


async def test_one_former_version_stays_open_for_a_roll_back(kit):
    k = kit(factory=SizedFactory(), budget=1000)
    model = make_model("model", versions=(1, 2, 3, 4))
    await k.host.demand(key(model, 4), model.versions[3])  # by its number, not by an alias
    for version in (1, 2, 3):
        table = make_table([model.model_copy(update={"aliases": {"champion": version}})])
        await k.host.prepare(table)
        k.host.keep_only(table)
    assert k.host.ready() == {model.id: [2, 3, 4]}


async def test_a_table_is_not_held_back_for_ever_by_the_version_it_replaces(kit):
    clock = FakeClock()
    k = kit(factory=SizedFactory(), budget=10, clock=clock)
    model = make_model("model", versions=(1, 2))
    hosted = await k.host.demand(key(model), model.versions[0])
    hosted.users += 1
    promoted = model.model_copy(update={"aliases": {"champion": 2}})
    preparing = asyncio.create_task(k.host.prepare(make_table([promoted])))
    await asyncio.sleep(0.05)
    assert not preparing.done()
    clock.advance(11)
    await preparing
    hosted.leave()
    await k.host.demand(key(model, 2), model.versions[1])


async def test_a_failure_is_reported_and_tried_again_later(kit):
    clock = FakeClock()
    k = kit(factory=SizedFactory(broken=["echo"]), clock=clock)
    model = make_model()
    await k.host.prepare(make_table([model]))
    assert k.host.failed() == {f"{model.id}/1": "invalid_bundle"}
    with pytest.raises(InvalidBundle):
        await k.host.demand(key(model), model.versions[0])
    k.factory.broken.clear()
    clock.advance(6)
    await k.host.demand(key(model), model.versions[0])
    assert k.host.failed() == {}


async def test_a_bundle_is_held_while_its_version_is_open(kit):
    """Also over a failure to open, and until the last request that used it has left."""
    held = []

    class Counting(NoBundles):
        def fetch(self, entry):
            held.append(entry.digest)
            return super().fetch(entry)

        def release(self, entry):
            held.remove(entry.digest)

    k = kit(factory=SizedFactory(broken=["broken"]))
    k.host._bundles = Counting()
    models = [make_model("whole"), make_model("broken")]
    await k.host.prepare(make_table(models))
    assert len(held) == 1
    hosted = k.host.get((models[0].id, 1))
    hosted.users += 1
    k.host.keep_only(make_table([]))
    assert len(held) == 1
    hosted.leave()
    assert held == []
