"""The control process: composition of the real parts, start, and graceful stop.

    lock ─▶ migrate, bootstrap ─▶ first table ─▶ listen ─▶ jobs … SIGTERM ─▶ waits end ─▶ exit

Start imports nothing heavy: MLflow comes with the first item of the outbox, ONNX Runtime only in
the sandboxed child.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from asyncio import to_thread
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

import uvicorn

from plaza_accel.examination.certifier import SandboxCertifier
from plaza_accel.examination.examine import SandboxExaminer
from plaza_accel.sandbox.confinement import sandbox_support
from plaza_core.clock import Clock, SystemClock
from plaza_core.errors import Conflict
from plaza_core.keys import NewKey, node_secret
from plaza_core.ports import BlobStore
from plaza_core.settings import Settings
from plaza_core.table import RateLimit
from plaza_registry.bundle import BundleLimits
from plaza_registry.importing import Importer
from plaza_registry.mirror import Mirror
from plaza_registry.mlflow_tracker import MlflowTracker
from plaza_registry.register import Registrar
from plaza_registry.stores import ABANDONED_AFTER_S, open_blobs
from plaza_registry.uploads import Uploads
from plaza_serving.control import logs
from plaza_serving.control.adoption import Adoption
from plaza_serving.control.app import Job, build_app
from plaza_serving.control.drift_watch import DriftWatch
from plaza_serving.control.feed import TableFeed
from plaza_serving.control.fleet import Fleet
from plaza_serving.control.gate import Gate
from plaza_serving.control.granted import GrantMark
from plaza_serving.control.jobs import Drain, every, forever, in_turn, later
from plaza_serving.control.leases import LeaseDesk
from plaza_serving.control.logins import logins_of
from plaza_serving.control.parts import Parts
from plaza_serving.control.pool_reasons import PoolReasons, place_of
from plaza_serving.control.reconciler import Reconciler, ray_client
from plaza_serving.control.serve_config import serve_config
from plaza_serving.forwarding.carrier import ingress_of
from plaza_serving.searching.embedding import EndpointEmbedder
from plaza_serving.searching.service import Searching
from plaza_serving.webhooks.courier import Courier
from plaza_serving.webhooks.sending import Sender
from plaza_tenancy import Tenancy

logger = logging.getLogger(__name__)

ADMIN_KEY_FILE = "admin.key"
_STOP_WITHIN_S = 1.8


def main() -> int:
    """Run until SIGTERM or SIGINT. Returns the exit status."""
    settings = Settings()
    logs.configure(settings.log_level)
    with only_one(settings.state_dir):
        parts, jobs = compose(settings)
        config = uvicorn.Config(
            build_app(parts, jobs),
            host=settings.listen,
            port=settings.control_port,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=1,
        )
        threading.Thread(target=_prove_sandbox, daemon=True).start()
        server = ControlServer(config, parts.close_waits)
        server.run()
        parts.tenancy.close()
    return 0 if server.started else 1


def _prove_sandbox() -> None:
    """Say at the start, not at the first upload, that models cannot be examined here. Every
    examination proves its own confinement again."""
    support = sandbox_support()
    if not support["usable"]:
        logger.error("uploads will be refused as sandbox_unavailable: %s", support)


class ControlServer(uvicorn.Server):
    """Stops at the first signal: long polls end, requests get a second, then the process leaves.

    A worker thread may be minutes deep in an examination. Nothing it does needs an orderly end (the
    database commits or not, the upload may be committed again), so it is not waited for.
    """

    def __init__(self, config: uvicorn.Config, close_waits: Callable[[], None]) -> None:
        super().__init__(config)
        self._close_waits = close_waits

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            return
        self.should_exit = True
        self._close_waits()
        last = threading.Timer(_STOP_WITHIN_S, os._exit, (0,))
        last.daemon = True
        last.start()


def compose(settings: Settings) -> tuple[Parts, Sequence[Job]]:
    """The real parts over `settings.state_dir`, opened and brought up to date; and the jobs."""
    state, clock = settings.state_dir.resolve(), SystemClock()
    secrets = state / "secrets"
    tenancy = tenancy_of(settings, secrets, clock)
    keep_admin_key(state, tenancy.bootstrap())
    limits = BundleLimits(total_bytes=settings.max_bundle_mb << 20)
    blobs = open_blobs(settings)
    feed = TableFeed(tenancy.table, tenancy.table_version)
    feed.refresh()
    client = ray_client(settings.dashboard_port, node_secret(secrets, "ray.token", os.urandom))
    reconciler = Reconciler(client, serve_config(settings), clock)
    fleet = Fleet(feed, clock, GrantMark(state / "slots.granted", clock))
    parts = Parts(
        settings=settings,
        clock=clock,
        random=os.urandom,
        tenancy=tenancy,
        registrar=registrar_of(settings, tenancy, blobs, limits, clock),
        uploads=Uploads(state / "uploads", clock, limits=limits),
        blobs=blobs,
        feed=feed,
        fleet=fleet,
        leases=LeaseDesk(tenancy.leases, clock, fleet.live),
        ray_state=lambda: reconciler.state,
        node_token=node_secret(secrets, "node.token", os.urandom),
        drift=DriftWatch(tenancy.leases.drift, clock),
        pool_reasons=PoolReasons(clock),
        searching=Searching(
            tenancy.indexes,
            EndpointEmbedder(_endpoint(settings)),
            memory_bytes=settings.search_memory_mb << 20,
        ),
        importer=Importer(
            settings.mlflow, state / "imports", root=settings.mlflow_artifact_root, limits=limits
        ),
        logins=logins_of(
            settings,
            tenancy,
            key=node_secret(secrets, "login", os.urandom).encode(),
            clock=clock,
            random=os.urandom,
        ),
    )
    return parts, jobs_of(parts, reconciler, state / "spool")


def tenancy_of(settings: Settings, secrets: Path, clock: Clock) -> Tenancy:
    """The database, brought up to date."""
    return Tenancy(
        settings.database,
        pepper=node_secret(secrets, "pepper", os.urandom).encode(),
        clock=clock,
        random=os.urandom,
        default_rate=RateLimit(per_second=settings.rate_per_second, burst=settings.rate_burst),
        owner_url=settings.database_owner_url,
        vault=bytes.fromhex(node_secret(secrets, "vault", os.urandom)),
        pool_bytes=settings.model_memory_mb << 20,
    )


def registrar_of(
    settings: Settings, tenancy: Tenancy, blobs: BlobStore, limits: BundleLimits, clock: Clock
) -> Registrar:
    """What makes a bundle a version: examined and certified in sandboxes, and told to MLflow."""
    return Registrar(
        blobs,
        tenancy.records,
        SandboxExaminer(
            timeout_s=settings.examine_timeout_s,
            memory_mb=settings.examine_memory_mb,
            least_cpu_s=settings.examine_least_s,
        ),
        Mirror(tenancy.proposals, MlflowTracker(settings.mlflow), turn=tenancy.turn),
        limits=limits,
        certifier=SandboxCertifier(
            [place_of(pool) for pool in settings.all_pools],
            clock,
            timeout_s=settings.examine_timeout_s,
            memory_mb=settings.examine_memory_mb,
            least_cpu_s=settings.examine_least_s,
        ),
    )


def _endpoint(settings: Settings) -> str:
    """Where this node's models are called. Not `settings.url`: that is where somebody's CLI
    calls, perhaps another hub, and callers' keys go there."""
    host, port = ingress_of(settings)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def jobs_of(parts: Parts, reconciler: Reconciler, spool: Path) -> Sequence[Job]:
    """What runs beside the API. The table is watched too: keys expire, other writers exist.

    Each control process follows the table, adopts the spools of its own node, and tells its own Ray
    what to run. What only one of several on a database may do takes turns (`in_turn`).
    """
    alerts, mirror = parts.tenancy.alerts, parts.registrar.mirror
    deliveries, tenancy = parts.tenancy.deliveries, parts.tenancy
    courier = Courier(
        deliveries, Sender(partial(to_thread, parts.tenancy.hosts.patterns), parts.clock)
    )

    def turn(name: str) -> Callable[[], AbstractContextManager[bool]]:
        return partial(tenancy.turn, name)

    def clear_blobs() -> None:
        parts.blobs.remove_abandoned(parts.clock.unix_us() - ABANDONED_AFTER_S * 1_000_000)
        tenancy.collector.sweep(parts.blobs)

    gate = Gate(
        tenancy.rollouts, parts.fleet, parts.clock, refresh=parts.feed.refresh, turn=tenancy.turn
    )

    async def reconcile() -> None:
        async with reconciler:
            await forever("reconcile", reconciler.step)

    return (
        reconcile,
        lambda: forever("table", every(1.0, parts.feed.refresh)),
        lambda: forever("adopt", Adoption(parts, spool).step),
        lambda: forever("outbox", Drain(mirror.drain, 2.0).step),
        lambda: forever("proposals", later(parts.settings.mlflow_poll_s, mirror.poll)),
        lambda: forever("outbox history", every(3600.0, tenancy.proposals.expire)),
        lambda: forever("uploads", every(60.0, parts.uploads.expire)),
        lambda: forever("blobs", every(3600.0, in_turn(turn("blobs"), clear_blobs))),
        lambda: forever("alerts", every(5.0, lambda: alerts.raise_due(alerts.accounts()))),
        lambda: forever("webhooks", courier.step),
        lambda: forever("webhook history", every(3600.0, deliveries.expire)),
        lambda: forever("drift", parts.drift.step),
        lambda: forever("leases", every(3600.0, in_turn(turn("leases"), tenancy.leases.expire))),
        lambda: forever("idempotency", every(60.0, parts.tenancy.idempotency.expire)),
        lambda: forever("gate", gate.step, sleep=parts.feed.nap()),
    )


def keep_admin_key(state: Path, made: NewKey | None) -> None:
    """Write a key that bootstrap made where only the owner of the machine reads it."""
    if made is None:
        return
    fresh = state / f".{ADMIN_KEY_FILE}.{os.getpid()}"
    fresh.touch(mode=0o600)
    fresh.write_text(made.text + "\n")
    fresh.replace(state / ADMIN_KEY_FILE)
    logger.info("a key for the operating organisation was made", extra={"key": made.id})


@contextmanager
def only_one(state: Path) -> Iterator[None]:
    """Hold the state directory: its secrets, staging area and spools (and its database, where that
    is SQLite) have one process at a time. Others may share a PostgreSQL with it."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state / "control.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("another control process works in this state directory") from None
        yield
