"""One node put together: preflight, the children, the stand-in, and when the hub is ready."""

from __future__ import annotations

import asyncio
import shutil

import httpx

from plaza_core.clock import Clock, SystemClock
from plaza_core.errors import Conflict
from plaza_core.settings import Settings
from plaza_serving.supervisor import ingress
from plaza_serving.supervisor.children import Make, ok, whole_hub
from plaza_serving.supervisor.claims import require_free
from plaza_serving.supervisor.family import Families, leftovers, reap
from plaza_serving.supervisor.places import Places
from plaza_serving.supervisor.ports import fixed_ports
from plaza_serving.supervisor.process import adopt_orphans
from plaza_serving.supervisor.standin import StandIn
from plaza_serving.supervisor.supervise import Announce, Event, Supervisor
from plaza_serving.supervisor.watch import answers

_PROBE_TIMEOUT_S = 10.0


def prepare(settings: Settings, places: Places, announce: Announce) -> None:
    """Everything before the first process. Raises Conflict when a port is taken."""
    places.prepare()
    old = leftovers(places.run / "processes.json")
    if old:
        announce(Event("stores", "leftover", f"ending {len(old)} processes of a killed supervisor"))
        if not reap(lambda: leftovers(places.run / "processes.json"), grace_s=1.0):
            raise Conflict("processes of an earlier start cannot be ended")
    sessions = sorted(places.temp.glob("session_2*"))
    for session in sessions[:-1]:  # the last one is kept to look into after a crash
        shutil.rmtree(session, ignore_errors=True)
    private = (settings.haproxy_stats_port, settings.haproxy_metrics_port)
    ingress.install(places.haproxy, ingress.haproxy_binary(), private)
    require_free(fixed_ports(settings))


async def run(
    settings: Settings,
    stop: asyncio.Event,
    announce: Announce,
    *,
    make: Make = whole_hub,
    clock: Clock | None = None,
) -> None:
    """Prepare, start everything, keep it running until `stop`; then nothing is left behind."""
    clock = clock or SystemClock()
    places = Places.of(settings)
    adopt_orphans()
    async with httpx.AsyncClient(timeout=_PROBE_TIMEOUT_S, trust_env=False) as client:
        started_ns = clock.monotonic_ns()
        await asyncio.to_thread(prepare, settings, places, announce)
        took = (clock.monotonic_ns() - started_ns) / 1e9
        announce(Event("stores", "ready", seconds=took))
        families = Families(places.run / "processes.json")
        stand_in = StandIn(settings.listen, settings.http_port)
        made = make(settings, places, client, stand_in)
        supervisor = Supervisor(made, families, clock, announce)
        guard = asyncio.create_task(stand_in.run())
        pool = asyncio.create_task(_watch_pool(settings, client, clock, announce))
        try:
            await supervisor.run(stop)
        finally:
            guard.cancel()
            pool.cancel()
            await asyncio.gather(guard, pool, return_exceptions=True)


async def _watch_pool(
    settings: Settings, client: httpx.AsyncClient, clock: Clock, announce: Announce
) -> None:
    """Announces the first answer of the data plane through the ingress."""
    started_ns = clock.monotonic_ns()
    host = "127.0.0.1" if settings.listen == "0.0.0.0" else settings.listen  # noqa: S104 compared
    await answers(ok(client, f"http://{host}:{settings.http_port}/v2/health/ready"))
    announce(Event("pool", "ready", seconds=(clock.monotonic_ns() - started_ns) / 1e9))
