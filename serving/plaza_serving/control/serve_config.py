"""What Ray Serve is told to run, from the settings. Plain data: Ray's declarative schema.

Few applications that rarely change: a change of membership makes a new HAProxy process. Models are
never named here; replicas pull them. `args` never changes (that would restart replicas), and
`user_config` is never used (a change of it takes replicas out of rotation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from plaza_core.settings import Settings

IMPORT_PATH = "plaza_serving.rayapp.app:build"
DEPLOYMENT = "replica"
"""Name of the one deployment that `build` makes; the overrides below are found by it."""
MAIN_POOL = "main"

_QUIET = {"log_level": "WARNING", "enable_access_log": False}


@dataclass(frozen=True, slots=True)
class Pool:
    """Replicas of one hardware class, environment and trust domain: one Serve application."""

    name: str
    route_prefix: str
    replicas: int
    cpus: float


def pools(settings: Settings) -> tuple[Pool, ...]:
    """The pools of this installation."""
    return (Pool(MAIN_POOL, "/", settings.replicas, settings.replica_cpus),)


def serve_config(settings: Settings) -> dict[str, Any]:
    """The body of `PUT /api/serve/applications/`."""
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": settings.listen, "port": settings.http_port},
        "logging_config": dict(_QUIET),
        "applications": [_application(pool, settings) for pool in pools(settings)],
    }


def _application(pool: Pool, settings: Settings) -> dict[str, Any]:
    return {
        "name": pool.name,
        "route_prefix": pool.route_prefix,
        "import_path": IMPORT_PATH,
        "args": {"pool": pool.name},
        # Serve hands only the application's own logging config to replicas.
        "logging_config": dict(_QUIET),
        "deployments": [
            {
                "name": DEPLOYMENT,
                "num_replicas": pool.replicas,
                # Plaza's own queue is the bound; Serve's must never be the narrower one.
                "max_ongoing_requests": max(1000, 2 * settings.queue_limit),
                "max_queued_requests": max(1000, 2 * settings.queue_limit),
                "ray_actor_options": {"num_cpus": pool.cpus},
                # With the default of 0 an update stops old replicas before it starts new ones.
                "max_surge_percent": 100,
                # A killed replica is seen within one period. The timeout stays long: a replica
                # that is merely busy must not be restarted.
                "health_check_period_s": 1.0,
                "health_check_timeout_s": 10.0,
                "graceful_shutdown_wait_loop_s": 0.2,
                "graceful_shutdown_timeout_s": 5.0,
            }
        ],
    }
