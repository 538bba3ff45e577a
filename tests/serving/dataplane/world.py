"""A small hub table and a plane on in-memory twins: no Ray, no network, no sleeping."""

import asyncio
import os
from pathlib import Path

from plaza_core import keys
from plaza_core.clock import SystemClock
from plaza_core.ids import Digest, KeyId, ModelId, OrganisationId, ProjectId, ReplicaId
from plaza_core.manifest import manifest_from
from plaza_core.principal import Role
from plaza_core.table import HubTable, KeyEntry, ModelEntry, RateLimit, VersionEntry, Visibility
from plaza_core.testing import EchoRunnerFactory, MemoryUsage, TensorFamily
from plaza_serving.dataplane.batch import BatchRunner
from plaza_serving.dataplane.hosting import ModelHost
from plaza_serving.dataplane.lane import Lane
from plaza_serving.dataplane.opening import Opening
from plaza_serving.dataplane.plane import DataPlane, PlaneOptions

PEPPER = b"pepper of the tests"


def make_manifest(name="echo", *, family="tensor", batched=True, max_batch=8, deadline_ms=10_000):
    shape = ["batch", 2] if batched else [2]
    tensor = {"datatype": "FP32", "shape": shape}
    return manifest_from(
        {
            "schema": 1,
            "name": name,
            "family": family,
            "signature": {
                "inputs": [{"name": "x", **tensor}],
                "outputs": [{"name": "y", **tensor}],
            },
            "limits": {"max_batch": max_batch, "deadline_ms": deadline_ms},
        }
    )


def make_model(
    name="echo",
    *,
    organisation="acme",
    project="main",
    visibility=Visibility.PROJECT,
    versions=(1,),
    manifest=None,
):
    manifest = manifest or make_manifest(name)
    return ModelEntry(
        id=ModelId(f"mdl_{organisation}_{project}_{name}"),
        name=name,
        organisation=OrganisationId(f"org_{organisation}"),
        organisation_name=organisation,
        project=ProjectId(f"prj_{organisation}_{project}"),
        project_name=project,
        visibility=visibility,
        versions=[
            VersionEntry(version=v, digest=Digest(f"{v:064x}"), manifest=manifest, files=[])
            for v in versions
        ],
        aliases={"champion": versions[0]},
    )


def make_key(
    organisation="acme",
    project="main",
    *,
    role=Role.CONSUMER,
    per_second=1e6,
    burst=1_000_000,
    expires=None,
    metered=False,
    slots=(),
):
    """(entry for the table, text for the header)."""
    new = keys.issue(PEPPER, os.urandom)
    entry = KeyEntry(
        id=KeyId(new.id),
        mac=new.mac,
        organisation=OrganisationId(f"org_{organisation}"),
        organisation_name=organisation,
        project=ProjectId(f"prj_{organisation}_{project}") if project else None,
        project_name=project,
        role=role,
        operator=False,
        expires_unix_us=expires,
        limits=[(f"org_{organisation}", RateLimit(per_second=per_second, burst=burst))],
        metered=metered,
        slots=list(slots),
    )
    return entry, f"Bearer {new.text}"


def make_table(models=(), keys=(), version="1", prices=()):
    return HubTable(version=version, models=list(models), keys=list(keys), prices=list(prices))


class NoBundles:
    """Bundles that need no fetching: the echo factory reads nothing."""

    def fetch(self, entry):
        return Path()

    def release(self, entry):
        """Nothing is held."""


class PlaneKit:
    """A plane with every part in reach of the test."""

    def __init__(
        self,
        *,
        factory=None,
        clock=None,
        slots=64,
        threads=1,
        budget=1 << 30,
        sink=None,
        name="replica-1",
        cells=None,
        idle_s=0,
        at_once=False,
    ):
        self.clock = clock or SystemClock()
        self.usage = sink or MemoryUsage()
        self.factory = factory or EchoRunnerFactory()
        self.family = TensorFamily()
        self.host = ModelHost(
            bundles=NoBundles(),
            how=Opening(self.factory, lambda directory, manifest: self.family, cells),
            make_lane=self._lane,
            budget_bytes=budget,
            clock=self.clock,
            idle_ns=idle_s * 1_000_000_000,
        )
        self.plane = DataPlane(
            replica=ReplicaId(name),
            options=PlaneOptions(
                pool="main",
                slots=slots,
                default_deadline_ms=10_000,
                worker_threads=threads,
                batch_delay_us=0,
                at_once=at_once,
            ),
            host=self.host,
            sink=self.usage,
            pepper=PEPPER,
            clock=self.clock,
            random=os.urandom,
        )

    def _lane(self, runner, family, manifest):
        run = BatchRunner(
            runner, family, max_batch=manifest.limits.max_batch, weight=1, clock=self.clock
        )
        return Lane(run)

    async def serve(self, table):
        self.plane.admit_table(table)
        await self.plane.publish_table(table)

    async def outcomes(self):
        """Outcomes in the ledger once the worker has done everything asked of it so far."""
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.plane._workers.later(lambda: loop.call_soon_threadsafe(done.set))
        await asyncio.wait_for(done.wait(), 30)
        return [record.outcome for record in self.usage.records.values()]
