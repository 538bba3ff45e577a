"""Assembly: the only file that knows every room. Puts a replica together from its parts."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from plaza_accel.cells.keeper import CellKeeper, CellOptions
from plaza_accel.contract.metering import DeviceClock
from plaza_accel.contract.provider import AcceleratorProvider, select
from plaza_accel.examination.certifier import Place, SandboxCertifier
from plaza_accel.examination.environment import environment_of
from plaza_accel.examination.interpreter import refusal_here
from plaza_accel.sessions import arena
from plaza_core import keys
from plaza_core.clock import Clock, SystemClock
from plaza_core.errors import PoolNotFound
from plaza_core.ids import ReplicaId
from plaza_core.manifest import Manifest
from plaza_core.pools import MAIN_POOL, Pool
from plaza_core.ports import UsageSink
from plaza_core.running import Cells, Family, RemoteRunner, Runner
from plaza_core.settings import Settings
from plaza_core.table import HeartbeatReply, HubTable
from plaza_models import tasks as task_values
from plaza_serving.closed import ClosedReplica
from plaza_serving.dataplane.batch import BatchRunner, join_ns
from plaza_serving.dataplane.broker import Broker
from plaza_serving.dataplane.bundles import BundleCache
from plaza_serving.dataplane.calibration import (
    BORNE_EVEN_US,
    BORNE_US,
    SteadyPrice,
    calibrate,
)
from plaza_serving.dataplane.certified import CertificateGate
from plaza_serving.dataplane.claims import RemoteClaims
from plaza_serving.dataplane.control_client import ControlClient
from plaza_serving.dataplane.following import Beats, TableFollower
from plaza_serving.dataplane.hosting import ModelHost
from plaza_serving.dataplane.lane import Lane
from plaza_serving.dataplane.marks import ControlMarks
from plaza_serving.dataplane.opening import NoCells, Opening
from plaza_serving.dataplane.plane import DataPlane, PlaneOptions
from plaza_serving.dataplane.repository import FollowedRepository
from plaza_serving.dataplane.spool import Spool
from plaza_serving.doors.http import HttpDoor
from plaza_serving.doors.rpc.door import GrpcDoor
from plaza_serving.doors.rpc.tunnel import Far
from plaza_serving.families import family_point, open_family
from plaza_serving.forwarding.carrier import HttpCarrier, ingress_of
from plaza_serving.forwarding.others import OtherPools
from plaza_serving.forwarding.seal import Seal
from plaza_serving.idempotency.keeper import Keeper
from plaza_serving.replica import Replica

log = logging.getLogger(__name__)

_VISIBLE = ("CUDA_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")


@dataclass(frozen=True, slots=True)
class Site:
    """Which replica this is, and what its parts stand on."""

    settings: Settings
    pool: Pool
    replica: ReplicaId
    control: ControlClient
    clock: Clock

    @property
    def state(self) -> Path:
        return self.settings.state_dir.resolve()


def site_of(settings: Settings, pool: str) -> Site:
    """Raises PoolNotFound."""
    its = next((one for one in settings.all_pools if one.name == pool), None)
    if its is None:
        raise PoolNotFound(f"no pool '{pool}' in this node's settings")
    name = ReplicaId(f"{pool}-{os.getpid()}-{secrets.token_hex(4)}")
    control = ControlClient(settings.control_address, secret_of(settings, "node.token"))
    return Site(settings, its, name, control, SystemClock())


def secret_of(settings: Settings, name: str) -> str:
    return keys.node_secret(settings.state_dir.resolve() / "secrets", name, os.urandom)


def lanes_of(
    here: Site, provider: AcceleratorProvider
) -> Callable[[Runner, Family, Manifest], Lane]:
    """What makes the lane of a version once it is open."""
    settings, clock = here.settings, here.clock
    device = DeviceClock(provider.metering, shared=shared_device(provider, here.state))

    def make_lane(runner: Runner, family: Family, manifest: Manifest) -> Lane:
        metered, device_ns = device.meter(runner)
        own_ms = manifest.limits.latency_target_ms
        target_ms = own_ms or settings.latency_target_ms
        target_us = target_ms * 1000 if target_ms else None
        remote = runner if isinstance(runner, RemoteRunner) else None
        batch = BatchRunner(
            metered,
            family,
            max_batch=manifest.limits.max_batch,
            weight=provider.weight,
            join_ns=join_ns(0 if own_ms else settings.batch_join_us, target_us),
            steady=SteadyPrice(
                calibrate(metered, manifest.buckets, device_ns),
                BORNE_EVEN_US if getattr(runner, "even", False) else BORNE_US,
            ),
            buckets=manifest.buckets,
            clock=clock,
            cpu_ns=time.thread_time_ns if remote is None else remote.cpu_ns,
            device_ns=device_ns,
            bound=None if remote is None else remote.bound,
        )
        return Lane(batch, target_us=target_us, even=may_run_here(runner, manifest, provider))

    return make_lane


def host_of(
    here: Site, provider: AcceleratorProvider, gate: CertificateGate, cells: Cells | None
) -> ModelHost:
    """Where versions are fetched to, opened and kept, within the memory that models may take."""
    settings = here.settings
    budget_bytes = settings.model_memory_mb << 20
    if here.pool.provider == "cpu":
        arena.share(budget_bytes)  # what the host admits models by, now also what they can take
    return ModelHost(
        bundles=BundleCache(
            here.state / "cache" / "bundles",
            here.control.open_blob,
            limit_bytes=settings.bundle_cache_mb << 20,
            clock=here.clock,
        ),
        how=Opening(provider, partial(open_family, max_pixels=settings.max_image_pixels), cells),
        make_lane=lanes_of(here, provider),
        budget_bytes=budget_bytes,
        clock=here.clock,
        gate=gate,
        idle_ns=int(settings.model_idle_s * 1e9),
    )


def plane_of(
    here: Site,
    host: ModelHost,
    provider: AcceleratorProvider,
    gate: CertificateGate,
    spool: Spool | None,
) -> DataPlane:
    """The path of requests, over the host; their usage goes to the spool, or else to control."""
    settings, pepper = here.settings, secret_of(here.settings, "pepper")
    sink: UsageSink = here.control if spool is None else spool
    return DataPlane(
        replica=here.replica,
        options=PlaneOptions(
            pool=here.pool.name,
            slots=settings.queue_limit,
            default_deadline_ms=settings.default_deadline_ms,
            worker_threads=settings.worker_threads,
            batch_delay_us=settings.batch_delay_us,
            weight=provider.weight,
            at_once=spool is not None,
            environment=gate.environment,
        ),
        host=host,
        sink=sink,
        pepper=pepper.encode(),
        clock=here.clock,
        random=os.urandom,
    )


def follower_of(here: Site, plane: DataPlane, broker: Broker) -> TableFollower:
    """What brings the hub table to the plane; the broker gives back what keys of old ones held."""

    def admit(table: HubTable) -> None:
        plane.admit_table(table)
        broker.keep_only({key.id for key in table.keys if key.metered})

    return TableFollower(
        here.control,
        admit=admit,
        publish=plane.publish_table,
        keep_at=here.state / "cache" / f"table-{here.pool.name}.json",
        wait_s=here.settings.table_wait_s,
    )


async def open_replica(settings: Settings, *, pool: str) -> Replica | ClosedReplica:
    """A replica that serves the first table, once that table's models are open; or one that says
    why its pool cannot run here."""
    here = site_of(settings, pool)
    its, control, clock = here.pool, here.control, here.clock
    place = Place(its.provider, its.options)
    look = partial(refusal_here, place)
    refusal = look()
    if refusal is not None:
        closed = ClosedReplica(
            here.replica,
            pool,
            refusal,
            look=look,
            beat=control.beat,
            end=control.close,
            clock=clock,
        )
        closed.start()
        return closed
    in_files = settings.spool == "local"
    spool = Spool(here.state / "spool", here.replica, control.ship) if in_files else None
    provider = select(place.provider, place.options)
    gate = certificate_gate(its, provider, settings, control, clock)
    cells = cells_of(its, settings, clock)
    host = host_of(here, provider, gate, cells)
    plane = plane_of(here, host, provider, gate, spool)
    broker = Broker(plane.budgets, control, replica=here.replica, clock=clock)
    follower = follower_of(here, plane, broker)
    if spool is not None:
        spool.start()
    await follower.start()
    carrier, others = other_pools(its, settings, clock)
    heed = plane.heed if others is None else partial(_heed, plane, others)
    beats = Beats(control.beat, plane.heartbeat, heed, plane.slots.due, clock)
    await beats.once()  # so that shares and slots are known before the first request
    tasks = _background(follow=follower.run(), leases=broker.run(), beat=beats.forever())
    keeper = Keeper(RemoteClaims(control.tell), os.urandom)
    marks = ControlMarks(settings.control_address)
    repository = FollowedRepository(lambda: plane.catalogue, host, marks, clock)
    seal = Seal(secret_of(settings, "node.token"))
    door, grpc_door = doors_of(
        its, plane, settings, keeper=keeper, repository=repository, others=others, seal=seal
    )
    return Replica(
        its, plane, door, grpc_door, broker, keeper, control, marks, spool, cells, tasks, carrier
    )


def may_run_here(runner: Runner, manifest: Manifest, provider: AcceleratorProvider) -> bool:
    """Whether the event loop may run it if that takes µs: nothing of a run waits for a device, its
    family does nothing, and what it costs depends on its rows alone."""
    plain = provider.metering.of_thread and manifest.family == "tensor"
    return plain and bool(getattr(runner, "even", False))


def doors_of(
    pool: Pool,
    plane: DataPlane,
    settings: Settings,
    *,
    keeper: Keeper,
    repository: FollowedRepository,
    others: OtherPools | None,
    seal: Seal,
) -> tuple[HttpDoor, GrpcDoor]:
    """The doors of a replica, which forward what lives in one of `others`."""
    far = None if others is None else Far(others, seal, plane.clock)
    grpc_door = GrpcDoor(plane, settings, repository=repository, far=far)
    door = HttpDoor(
        plane,
        settings,
        prefix=pool.door_prefix,
        keeper=keeper,
        repository=repository,
        others=others,
        seal=seal,
        tunnel=grpc_door.near(),
    )
    return door, grpc_door


def other_pools(
    pool: Pool, settings: Settings, clock: Clock
) -> tuple[HttpCarrier | None, OtherPools | None]:
    """Where a replica of the main pool forwards to; the others forward nothing."""
    if pool.name != MAIN_POOL or not settings.pools:
        return None, None
    prefixes = {one.name: one.door_prefix for one in settings.pools}
    carrier = HttpCarrier(*ingress_of(settings), prefixes, clock)
    load_s = settings.default_deadline_ms / 1000
    return carrier, OtherPools(prefixes, carrier, clock, most=settings.forward_limit, load_s=load_s)


def cells_of(pool: Pool, settings: Settings, clock: Clock) -> Cells | None:
    """Where versions run that nobody has vouched for; None: in the replica, by the settings."""
    if not settings.cells:
        return None
    if pool.provider != "cpu":
        return NoCells(pool.provider)
    options = CellOptions(
        channels=settings.worker_threads,
        headroom_bytes=settings.cell_memory_mb << 20,
        idle_ns=int(settings.cell_idle_s * 1e9),
        vocabulary=task_values.__name__,
    )
    return CellKeeper(options, partial(family_point, max_pixels=settings.max_image_pixels), clock)


def certificate_gate(
    pool: Pool,
    provider: AcceleratorProvider,
    settings: Settings,
    control: ControlClient,
    clock: Clock,
) -> CertificateGate:
    """What lets a replica of `pool` open only what is certified for where it runs."""
    certifier = SandboxCertifier(
        [Place(pool.provider, pool.options)],
        clock,
        timeout_s=settings.examine_timeout_s,
        memory_mb=settings.examine_memory_mb,
        least_cpu_s=settings.examine_least_s,
    )
    return CertificateGate(
        pool.name,
        environment_of(provider),
        partial(certifier.certify, provider=pool.provider),
        control.keep,
        others=[one for one in settings.all_pools if one.name != pool.name],
    )


def shared_device(provider: AcceleratorProvider, state: Path) -> Path | None:
    """What replicas lock in turn that have a part of one device each; None: the device is its own.

    Ray tells a replica its devices by the variables below. Where it tells none, all replicas of a
    node that take a part of this resource are held to be on one device.
    """
    resource = provider.resource
    if resource is None or resource.amount >= 1:
        return None
    seen = [f"{name}={os.environ[name]}" for name in _VISIBLE if name in os.environ]
    which = hashlib.sha256(" ".join([resource.name, *seen]).encode()).hexdigest()[:16]
    return state / "run" / f"device-{which}.lock"


def _heed(plane: DataPlane, others: OtherPools, reply: HeartbeatReply, sent_ns: int) -> None:
    plane.heed(reply, sent_ns)
    others.heed(reply)


def _background(**works: Coroutine[Any, Any, None]) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(work, name=name) for name, work in works.items()]
    for task in tasks:
        task.add_done_callback(_complain)
    return tasks


def _complain(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("background task %s ended", task.get_name(), exc_info=task.exception())
