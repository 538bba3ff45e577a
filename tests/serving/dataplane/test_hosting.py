"""Versions open once, leave by least recent use, and never under a request."""

import asyncio

import pytest

from plaza_core.errors import InvalidBundle
from plaza_core.testing import EchoRunner, EchoRunnerFactory, FakeClock
from tests.serving.dataplane.world import NoBundles, make_model, make_table


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
    clock = FakeClock()
    k = kit(factory=SizedFactory(), budget=20, clock=clock)
    models = [make_model(f"m{n}") for n in range(3)]
    for model in models[:2]:
        clock.advance(1)
        await k.host.demand(key(model), model.versions[0])
    clock.advance(1)
    k.host.get(key(models[0]))
    await k.host.demand(key(models[2]), models[2].versions[0])
    assert set(k.host.ready()) == {models[0].id, models[2].id}
    assert [r.closed for r in k.factory.opened] == [False, True, False]


async def test_a_version_in_use_is_never_evicted(kit):
    k = kit(factory=SizedFactory(), budget=10)
    first, second = make_model("first"), make_model("second")
    hosted = await k.host.demand(key(first), first.versions[0])
    hosted.users += 1
    await k.host.demand(key(second), second.versions[0])
    assert not k.factory.opened[0].closed


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
