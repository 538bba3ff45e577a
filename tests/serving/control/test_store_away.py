"""Without its blob store control registers nothing and says so; everything else goes on."""

from __future__ import annotations

import contextlib
import secrets

import pytest

from plaza_core.errors import Unavailable
from plaza_core.testing import FakeClock
from plaza_registry.blobs import LocalBlobs
from plaza_registry.blobs_s3 import S3Blobs
from plaza_serving.dataplane.bundles import BundleCache
from plaza_serving.dataplane.control_client import ControlClient
from tests.client.sockets import serving
from tests.registry.s3_server import s3_server
from tests.serving.control.conftest import NODE_TOKEN, bundle, open_world
from tests.serving.flipping import overwrite_in_s3, overwrite_on_disk


@pytest.fixture
def own_s3(tmp_path_factory):
    with s3_server(tmp_path_factory.mktemp("own-s3")) as server:
        yield server


@pytest.fixture
def world(tmp_path, own_s3):
    opened = open_world(tmp_path, blobs=S3Blobs(own_s3.place("hub/")))
    yield opened
    opened.parts.close_waits()
    opened.parts.tenancy.close()


async def test_a_registration_waits_for_the_store_and_loses_nothing(world, own_s3):
    key = (await world.organisation("acme", engineer={"role": "engineer"}))["engineer"]
    served = await world.register(key, bundle())
    assert served.status_code == 200
    own_s3.stop()
    async with world.client(key) as client:
        upload = (await client.post("/api/v1/uploads")).json()["upload"]
        for path, content in bundle().items():
            await client.put(f"/api/v1/uploads/{upload}/files/{path}", content=content)
        body = {"visibility": "organisation"}
        refused = await client.post(f"/api/v1/uploads/{upload}/commit", json=body)
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert refused.json()["error"] == "the blob store cannot be reached now"
        assert refused.headers["retry-after"] == "5"
        # Models are listed, and an alias moves, without the store.
        assert len((await client.get("/api/v1/models")).json()["items"]) == 1
        own_s3.start()
        done = await client.post(f"/api/v1/uploads/{upload}/commit", json=body)
    assert (done.status_code, done.json()["version"]) == (200, 2)


async def test_a_replica_is_told_and_keeps_what_it_has(world, own_s3, tmp_path):
    key = (await world.organisation("acme", engineer={"role": "engineer"}))["engineer"]
    await world.register(key, bundle())
    (entry,) = world.parts.tenancy.table().models[0].versions
    with serving(world.app) as address, contextlib.closing(Node(address)) as node:
        node.cache(tmp_path / "warm").fetch(entry)
        own_s3.stop()
        with pytest.raises(Unavailable):
            node.cache(tmp_path / "cold").fetch(entry)
        assert node.cache(tmp_path / "warm").fetch(entry).is_dir()
        own_s3.start()
        assert node.cache(tmp_path / "cold").fetch(entry).is_dir()


class Node:
    """A replica's way to control over a real socket."""

    def __init__(self, address):
        self.client = ControlClient(address, NODE_TOKEN)

    def cache(self, directory):
        return BundleCache(directory, self.client.open_blob, limit_bytes=1 << 30, clock=FakeClock())

    def close(self):
        self.client._sync.close()


@pytest.mark.parametrize("kind", ["disk", "s3"])
async def test_a_damaged_blob_ends_before_its_last_byte(tmp_path, kind, request):
    """Through control's route, too, nobody can take it for whole."""
    if kind == "disk":
        blobs, overwrite = LocalBlobs(tmp_path / "b"), overwrite_on_disk(tmp_path / "b")
    else:
        place = request.getfixturevalue("s3").place(f"{secrets.token_hex(4)}/")
        blobs, overwrite = S3Blobs(place), overwrite_in_s3(place)
    world = open_world(tmp_path, blobs=blobs)
    key = (await world.organisation("acme", engineer={"role": "engineer"}))["engineer"]
    content = bundle() | {"weights.bin": bytes(3 << 19)}
    await world.register(key, content)
    (entry,) = world.parts.tenancy.table().models[0].versions
    (weights,) = (file for file in entry.files if file.path == "weights.bin")
    overwrite(weights.sha256, bytes(3 << 18) + b"\1" + bytes((3 << 18) - 1))
    with serving(world.app) as address, contextlib.closing(Node(address)) as node:
        with pytest.raises(Unavailable):
            node.cache(tmp_path / "node").fetch(entry)
        assert not [p for p in (tmp_path / "node").iterdir() if p.is_dir()]
        overwrite(weights.sha256, content["weights.bin"])
        assert node.cache(tmp_path / "node").fetch(entry).is_dir()
    world.parts.close_waits()
    world.parts.tenancy.close()
