"""The children of one node, as records for the supervisor: a hub's two, or one that joins."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from plaza_core.errors import Unauthenticated
from plaza_core.keys import node_secret
from plaza_core.settings import Settings
from plaza_serving.supervisor import environment
from plaza_serving.supervisor.places import Places
from plaza_serving.supervisor.ports import Ports
from plaza_serving.supervisor.standin import StandIn
from plaza_serving.supervisor.supervise import Child
from plaza_serving.supervisor.watch import Probe

_LARGE_LOG_BYTES = 10_000_000
_CONNECT_WITHIN_S = 5.0
RAY_PROGRAMS = ("/gcs_server", "/raylet", "/dashboard/dashboard.py")
"""Without any of these a head is of no use and cannot mend itself: state, workers, REST."""
_RAY_NICER = 2
"""Replicas that compute on every core otherwise keep control from all of them for up to a second at
a time (decision 48)."""
Make = Callable[[Settings, Places, httpx.AsyncClient, StandIn], Sequence[Child]]
"""What runs on this node."""


def whole_hub(
    settings: Settings, places: Places, client: httpx.AsyncClient, stand_in: StandIn
) -> tuple[Child, Child]:
    """Control and Ray, as this installation runs them."""
    token = node_secret(places.secrets, "ray.token", os.urandom)
    control = Child(
        "control",
        environment.control_command(),
        environment.control_environment(settings, os.environ),
        _log(places, "control"),
        ok(client, f"{settings.control_address}/readyz"),
    )
    ray = Child(
        "ray",
        environment.ray_command(settings, places),
        environment.ray_environment(settings, places, os.environ),
        _log(places, "ray"),
        # Also makes the dashboard connect to Serve, before control's first PUT waits for it.
        ok(client, f"http://127.0.0.1:{settings.dashboard_port}/api/serve/applications/", token),
        vital=RAY_PROGRAMS,
        front="/haproxy",
        nicer=_RAY_NICER,
        start_within_s=120.0,
        deaf_after_s=60.0,
        cover=stand_in.covering,
    )
    return control, ray


def joining(head: str) -> Make:
    """Only Ray, as a further node of the cluster whose GCS is at `head` ("address:port")."""

    def make(
        settings: Settings,
        places: Places,
        client: httpx.AsyncClient,  # noqa: ARG001 a Make has it; nothing here speaks HTTP
        stand_in: StandIn,
    ) -> Sequence[Child]:
        if not places.ray_token.exists():
            # A token made here would be another one than the head's.
            raise Unauthenticated("copy the head's `secrets` directory to this node first")
        raylet = Child(
            "ray",
            environment.ray_node_command(settings, places, head),
            environment.ray_environment(settings, places, os.environ, joins=True),
            _log(places, "ray"),
            _connects(settings.node_ip, Ports.of(settings).raylet),
            vital=("/raylet",),
            front="/haproxy",
            nicer=_RAY_NICER,
            start_within_s=120.0,
            cover=stand_in.covering,
        )
        return (raylet,)

    return make


def _connects(host: str, port: int) -> Probe:
    async def probe() -> bool:
        try:
            async with asyncio.timeout(_CONNECT_WITHIN_S):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    return probe


def _log(places: Places, name: str) -> Path:
    path = places.logs / f"{name}.log"
    if path.exists() and path.stat().st_size > _LARGE_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path


def ok(client: httpx.AsyncClient, url: str, token: str | None = None) -> Probe:
    headers = {"authorization": f"Bearer {token}"} if token else {}

    async def probe() -> bool:
        try:
            return (await client.get(url, headers=headers)).status_code == 200
        except httpx.HTTPError:
            return False

    return probe
