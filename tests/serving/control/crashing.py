"""Uploads through control's routes, whose process is killed at chosen steps."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import httpx

from plaza_registry.blobs import LocalBlobs
from tests.dying import died, spread, steps_of
from tests.serving.control.conftest import bundle, open_world

FAR = 2**60
BUNDLE = bundle() | {"weights.bin": bytes(range(256)) * 200}
CHUNK = 4_000


def template(directory: Path) -> str:
    """A state directory with an organisation and an engineer's key; returns the key."""

    async def make(world) -> str:
        return (await world.organisation("acme", engineer={"role": "engineer"}))["engineer"]

    world = open_world(directory)
    key = asyncio.run(make(world))
    close(world)
    return key


def close(world) -> None:
    world.parts.close_waits()
    world.parts.tenancy.close()


def register(key, open_here):
    """The whole story of one registration, a step before each chunk of each file."""

    async def story(steps):
        world = open_here()

        async def chunks(content):
            for chunk in steps.of(content, CHUNK):
                yield chunk

        async with world.client(key) as client:
            begun = await client.post("/api/v1/uploads")
            here = f"/api/v1/uploads/{begun.json()['upload']}"
            for path, content in BUNDLE.items():
                put = await client.put(f"{here}/files/{path}", content=chunks(content))
                assert put.status_code == httpx.codes.OK, put.text
            body = {"visibility": "organisation"}
            done = await client.post(f"{here}/commit", json=body)
            assert done.status_code == httpx.codes.OK, done.text
        close(world)

    return lambda steps: asyncio.run(story(steps))


def crash_everywhere(place: Path, key: str, wanted: int, make_store=None) -> dict[str, int]:
    """Kill a registration at `wanted` steps, each on a copy of `place`; count what was seen."""

    def here(number):
        directory = place.with_name(f"{place.name}-{number}")
        shutil.copytree(place, directory)
        store = make_store() if make_store else lambda: LocalBlobs(directory / "blobs")
        return directory, lambda: open_world(directory, blobs=store())

    register(key, here("warm")[1])(_NoSteps())  # imports are no steps of an upload
    total = steps_of(register(key, here("dry")[1]))
    seen = {"points": 0, "refused": 0, "complete": 0, "cleared": 0}
    for point in spread(total, wanted):
        directory, open_here = here(point)
        assert died(register(key, open_here), point), f"step {point} of {total}"
        world = open_here()
        seen["points"] += 1
        seen["complete" if _versions(world) else "refused"] += 1
        assert asyncio.run(_again(world, key)) == 1, f"step {point}: not one version"
        assert _versions(world) == 1
        world.clock.advance(time.time() - world.clock.unix_us() / 1e6 + 7200)
        cleared = world.parts.uploads.expire() + world.parts.blobs.remove_abandoned(FAR)
        seen["cleared"] += cleared > 0
        staging = directory / "uploads"
        assert [p for p in staging.rglob("*") if p.name not in {"open", "claimed"}] == []
        assert world.parts.blobs.remove_abandoned(FAR) == 0
        close(world)
        shutil.rmtree(directory)
    return seen


def _versions(world) -> int:
    """How many versions there are; each of them is whole."""
    models = world.parts.tenancy.table().models
    for file in (file for model in models for v in model.versions for file in v.files):
        with world.parts.blobs.open(file.sha256) as content:
            assert len(content.read()) == file.size
    return sum(len(model.versions) for model in models)


async def _again(world, key: str) -> int:
    answer = await world.register(key, BUNDLE)
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.json()["version"]


class _NoSteps:
    def of(self, content, size):
        return (content[at : at + size] for at in range(0, len(content), size))
