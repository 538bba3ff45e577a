"""A whole admin API over a real database in a temporary directory, spoken to without sockets."""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import httpx
import onnx
import pytest
import yaml
from sqlalchemy import text

from plaza_core.keys import NewKey
from plaza_core.settings import Settings
from plaza_core.table import Heartbeat, RateLimit
from plaza_core.testing import FakeClock, MemoryTracker, TrustingExaminer
from plaza_core.testing_certificates import TrustingCertifier
from plaza_registry.blobs import LocalBlobs
from plaza_registry.bundle import BundleLimits
from plaza_registry.mirror import Mirror
from plaza_registry.register import Registrar
from plaza_registry.uploads import Uploads
from plaza_serving.control.app import build_app
from plaza_serving.control.drift_watch import DriftWatch
from plaza_serving.control.feed import TableFeed
from plaza_serving.control.fleet import Fleet
from plaza_serving.control.leases import LeaseDesk
from plaza_serving.control.parts import Parts
from plaza_serving.control.pool_reasons import PoolReasons
from plaza_serving.control.reconciler import RayState
from plaza_serving.searching.service import Searching
from plaza_tenancy import Tenancy, dialect
from tests.serving.searching.embedders import NgramEmbedder
from tests.tenancy.world import migrated_file

NODE_TOKEN = "node-token-of-this-test"
BASE = "http://control.test"


@dataclass
class World:
    """`operator` is the bootstrap admin's key; clients are made per key."""

    parts: Parts
    app: object
    operator: str
    clock: FakeClock
    tracker: MemoryTracker

    def client(self, key: str | None = None, **headers) -> httpx.AsyncClient:
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
        return httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers)

    def node(self) -> httpx.AsyncClient:
        return self.client(NODE_TOKEN)

    async def ask(self, key, method, path, **more):
        async with self.client(key) as client:
            return await client.request(method, path, **more)

    def tamper(self, statement):
        """What somebody does who has the database."""
        with dialect.writing(self.parts.tenancy._store._engine).begin() as connection:
            assert connection.execute(text(statement)).rowcount > 0

    async def organisation(self, name, **keys):
        """Make an organisation; `keys` maps a variable to a body for its key. Returns texts."""
        async with self.client(self.operator) as operator:
            made = await operator.post("/api/v1/organisations", json={"name": name})
            assert made.status_code == 201, made.text
            texts = {}
            for label, body in keys.items():
                key = await operator.post(f"/api/v1/organisations/{name}/keys", json=body)
                assert key.status_code == 201, key.text
                texts[label] = key.json()["key"]
        return texts

    async def register(self, key, bundle, name=None, **query):
        """Upload a bundle {path: bytes} file by file and commit it; returns the last answer."""
        async with self.client(key) as client:
            begun = await client.post("/api/v1/uploads", params=query)
            assert begun.status_code == 201, begun.text
            upload = begun.json()["upload"]
            for path, content in bundle.items():
                url = f"/api/v1/uploads/{upload}/files/{path}"
                put = await client.put(url, content=content, params=query)
                assert put.status_code == 200, put.text
            body = {"name": name, "visibility": "organisation"}
            return await client.post(f"/api/v1/uploads/{upload}/commit", json=body, params=query)

    async def beat(self, replica, *, table=None, ready=None, failed=None):
        async with self.node() as node:
            answer = await node.post(
                "/internal/v1/heartbeats",
                json=Heartbeat(
                    replica=replica,
                    pool="main",
                    table_version=table or self.parts.feed.current.version,
                    ready=ready or {},
                    failed=failed or {},
                ).model_dump(),
            )
        assert answer.status_code == 200, answer.text
        return answer.json()


def open_world(
    directory: Path, examiner=None, bank=None, blobs=None, certifier=None, pools=(), embedder=None
) -> World:
    clock, tracker = FakeClock(), MemoryTracker()
    settings = Settings(state_dir=directory, max_bundle_mb=2, pools=pools)
    if examiner is None:  # else what that says of bundles is what counts
        certifier = certifier or TrustingCertifier(clock)
    database = settings.state_dir / "plaza.db"
    if not database.exists():
        shutil.copy(migrated_file(), database)
    tenancy = Tenancy(
        settings.database,
        pepper=b"pepper of this test",
        clock=clock,
        random=os.urandom,
        default_rate=RateLimit(per_second=100, burst=200),
        vault=bytes(range(32)),
    )
    made = tenancy.bootstrap()
    assert made is None or isinstance(made, NewKey), "None where there is an operator already"
    limits = BundleLimits(total_bytes=2 << 20)
    blobs = blobs or LocalBlobs(directory / "blobs")
    feed = TableFeed(tenancy.table, tenancy.table_version)
    feed.refresh()
    fleet = Fleet(feed, clock)
    parts = Parts(
        settings=settings,
        clock=clock,
        random=os.urandom,
        tenancy=tenancy,
        registrar=Registrar(
            blobs,
            tenancy.records,
            examiner or TrustingExaminer(),
            Mirror(tenancy.proposals, tracker),
            limits=limits,
            certifier=certifier,
        ),
        uploads=Uploads(directory / "uploads", clock, limits=limits),
        blobs=blobs,
        feed=feed,
        fleet=fleet,
        leases=LeaseDesk(bank or tenancy.leases, clock, fleet.live),
        ray_state=lambda: RayState(reachable=True, since_unix_us=1),
        node_token=NODE_TOKEN,
        drift=DriftWatch(tenancy.leases.drift, clock),
        pool_reasons=PoolReasons(clock),
        searching=Searching(tenancy.indexes, embedder or NgramEmbedder(), memory_bytes=16 << 20),
    )
    return World(parts, build_app(parts), made.text if made else "", clock, tracker)


@pytest.fixture
def world(tmp_path):
    opened = open_world(tmp_path)
    yield opened
    opened.parts.close_waits()
    opened.parts.tenancy.close()


_counter = itertools.count()


def bundle(name="doubler", card="# Doubler"):
    """A tiny bundle, different each time: y = x + constant, any number of rows."""
    import onnx.helper as make

    constant = make.make_tensor("c", onnx.TensorProto.FLOAT, [1], [float(next(_counter))])
    graph = make.make_graph(
        [make.make_node("Add", ["x", "c"], ["y"])],
        "g",
        [make.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 1])],
        [make.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 1])],
        [constant],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    tensor = {"datatype": "FP32", "shape": ["batch", 1]}
    manifest = {
        "schema": 1,
        "name": name,
        "signature": {"inputs": [{"name": "x", **tensor}], "outputs": [{"name": "y", **tensor}]},
    }
    return {
        "plaza.yaml": yaml.safe_dump(manifest).encode(),
        "model.onnx": model.SerializeToString(),
        "CARD.md": card.encode(),
    }


@pytest.fixture
def make_bundle():
    return bundle
