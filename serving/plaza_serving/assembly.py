"""Assembly: the only file that knows every room. Puts a replica together from its parts."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from plaza_accel.cells.keeper import CellKeeper, CellOptions, Point
from plaza_accel.contract.metering import DeviceClock
from plaza_accel.contract.provider import AcceleratorProvider, select
from plaza_accel.examination.certifier import Place, SandboxCertifier
from plaza_accel.examination.environment import environment_of
from plaza_accel.examination.looking import refusal_here
from plaza_accel.sessions import arena
from plaza_core import keys, plugins
from plaza_core.clock import Clock, SystemClock
from plaza_core.errors import InvalidBundle, NotFound, PoolNotFound
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
from plaza_serving.dataplane.calibration import calibrate
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
from plaza_serving.doors.rpc.server import GrpcListener, listen
from plaza_serving.doors.rpc.tunnel import Far
from plaza_serving.forwarding.carrier import HttpCarrier, ingress_of
from plaza_serving.forwarding.others import OtherPools
from plaza_serving.forwarding.seal import Seal
from plaza_serving.idempotency.keeper import Keeper

log = logging.getLogger(__name__)

_VISIBLE = ("CUDA_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")


@dataclass(slots=True)
class Replica:
    """A running replica: its plane, its doors, and what keeps them current."""

    pool: Pool
    plane: DataPlane
    door: HttpDoor
    grpc_door: GrpcDoor
    _broker: Broker
    _keeper: Keeper
    _control: ControlClient
    _marks: ControlMarks
    _spool: Spool | None
    _cells: Cells | None
    _tasks: Sequence[asyncio.Task[None]]
    _carrier: HttpCarrier | None = None
    _listener: GrpcListener | None = None

    async def listen(self, settings: Settings) -> None:
        """Answer gRPC, where the pool has a port for it. HTTP has Ray Serve's server."""
        if self.pool.grpc_port is not None:
            self._listener = await listen(self.grpc_door, settings, self.pool.grpc_port)

    def live(self) -> bool:
        return self.plane.live()

    def mean_wait_ms(self) -> float:
        return self.plane.mean_wait_ms()

    async def close(self) -> None:
        """Stop following, finish batches, return leases, ship usage.

        The spool file goes last: whoever finds it without its owner settles what is left.
        """
        if self._listener is not None:
            await self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._keeper.close()
        await self.plane.close()
        if self._carrier is not None:
            self._carrier.close()
        if self._cells is not None:
            await asyncio.to_thread(self._cells.close)
        returned = await self._broker.close()
        if self._spool is not None:
            await asyncio.to_thread(self._spool.close, leases_returned=returned)
        await self._marks.close()
        await self._control.close()


async def open_replica(settings: Settings, *, pool: str) -> Replica | ClosedReplica:
    """A replica that serves the first table, once that table's models are open; or one that says
    why its pool cannot run here."""
    clock = SystemClock()
    state = settings.state_dir.resolve()
    name = ReplicaId(f"{pool}-{os.getpid()}-{secrets.token_hex(4)}")
    token = keys.node_secret(state / "secrets", "node.token", os.urandom)
    pepper = keys.node_secret(state / "secrets", "pepper", os.urandom)
    control = ControlClient(settings.control_address, token)
    its = next((one for one in settings.all_pools if one.name == pool), None)
    if its is None:
        raise PoolNotFound(f"no pool '{pool}' in this node's settings")
    look = partial(refusal_here, Place(its.provider, its.options))
    refusal = look()
    if refusal is not None:
        closed = ClosedReplica(
            name, pool, refusal, look=look, beat=control.beat, end=control.close, clock=clock
        )
        closed.start()
        return closed
    spool = Spool(state / "spool", name, control.ship) if settings.spool == "local" else None
    provider = select(its.provider, its.options)
    gate = certificate_gate(its, provider, settings, control, clock)
    cells = cells_of(its, settings, clock)
    budget_bytes = settings.model_memory_mb << 20
    if its.provider == "cpu":
        arena.share(budget_bytes)  # what the host admits models by, now also what they can take

    device = DeviceClock(provider.metering, shared=shared_device(provider, state))

    def make_lane(runner: Runner, family: Family, manifest: Manifest) -> Lane:
        metered, device_ns = device.meter(runner)
        target_ms = manifest.limits.latency_target_ms or settings.latency_target_ms
        target_us = target_ms * 1000 if target_ms else None
        remote = runner if isinstance(runner, RemoteRunner) else None
        batch = BatchRunner(
            metered,
            family,
            max_batch=manifest.limits.max_batch,
            weight=provider.weight,
            join_ns=join_ns(settings.batch_join_us, target_us),
            row_us=calibrate(metered, manifest.buckets, device_ns),
            buckets=manifest.buckets,
            clock=clock,
            cpu_ns=time.thread_time_ns if remote is None else remote.cpu_ns,
            device_ns=device_ns,
            bound=None if remote is None else remote.bound,
        )
        return Lane(batch, target_us=target_us, even=may_run_here(runner, manifest, provider))

    host = ModelHost(
        bundles=BundleCache(
            state / "cache" / "bundles",
            control.open_blob,
            limit_bytes=settings.bundle_cache_mb << 20,
            clock=clock,
        ),
        how=Opening(provider, partial(open_family, max_pixels=settings.max_image_pixels), cells),
        make_lane=make_lane,
        budget_bytes=budget_bytes,
        clock=clock,
        gate=gate,
        idle_ns=int(settings.model_idle_s * 1e9),
    )
    sink: UsageSink = control if spool is None else spool
    plane = DataPlane(
        replica=name,
        options=PlaneOptions(
            pool=pool,
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
        clock=clock,
        random=os.urandom,
    )
    broker = Broker(plane.budgets, control, replica=name, clock=clock)

    def admit(table: HubTable) -> None:
        plane.admit_table(table)
        broker.keep_only({key.id for key in table.keys if key.metered})

    follower = TableFollower(
        control,
        admit=admit,
        publish=plane.publish_table,
        keep_at=state / "cache" / f"table-{pool}.json",
        wait_s=settings.table_wait_s,
    )
    if spool is not None:
        spool.start()
    await follower.start()
    carrier, others = other_pools(its, settings, clock)
    heed = plane.heed if others is None else partial(_heed, plane, others)
    beats = Beats(control.beat, plane.heartbeat, heed, plane.slots.due, clock)
    await beats.once()  # so that shares and slots are known before the first request
    tasks = [
        asyncio.create_task(follower.run(), name="follow"),
        asyncio.create_task(broker.run(), name="leases"),
        asyncio.create_task(beats.forever(), name="beat"),
    ]
    for task in tasks:
        task.add_done_callback(_complain)
    keeper = Keeper(RemoteClaims(control.tell), os.urandom)
    marks = ControlMarks(settings.control_address)
    repository = FollowedRepository(lambda: plane.catalogue, host, marks, clock)
    door, grpc_door = doors_of(
        its, plane, settings, keeper=keeper, repository=repository, others=others, seal=Seal(token)
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


def open_family(directory: Path, manifest: Manifest, *, max_pixels: int) -> Family:
    """The family plug-in that the manifest names. Raises InvalidBundle when there is none."""
    try:
        factory = plugins.load(plugins.FAMILIES, manifest.family)
    except NotFound:
        raise _no_family(manifest) from None
    family: Family = factory(directory, manifest, **_limits(manifest, max_pixels))
    return family


def family_point(manifest: Manifest, *, max_pixels: int) -> Point:
    """Where a cell finds the same family. Raises InvalidBundle when there is none."""
    point = plugins.available(plugins.FAMILIES).get(manifest.family)
    if point is None:
        raise _no_family(manifest)
    return Point(point.value, _limits(manifest, max_pixels))


def _no_family(manifest: Manifest) -> InvalidBundle:
    return InvalidBundle(f"no family '{manifest.family}' here", input="family")


def _limits(manifest: Manifest, max_pixels: int) -> dict[str, int]:
    """Families of pictures, `vision.*`, are told how large a picture may be."""
    return {"max_pixels": max_pixels} if manifest.family.startswith("vision.") else {}


def _heed(plane: DataPlane, others: OtherPools, reply: HeartbeatReply, sent_ns: int) -> None:
    plane.heed(reply, sent_ns)
    others.heed(reply)


def _complain(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("background task %s ended", task.get_name(), exc_info=task.exception())
