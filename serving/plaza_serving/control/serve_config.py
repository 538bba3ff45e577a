"""What Ray Serve is told to run, from the settings. Plain data: Ray's declarative schema.

Few applications that rarely change: a change of membership makes a new HAProxy process. Models are
never named here; replicas pull them. `args` never changes (that would restart replicas), and
`user_config` is never used (a change of it takes replicas out of rotation).
"""

from __future__ import annotations

from typing import Any

from plaza_accel.contract.provider import AcceleratorProvider
from plaza_core.errors import PlazaError
from plaza_core.plugins import ACCELERATORS, load
from plaza_core.pools import Autoscaling, Pool
from plaza_core.settings import Settings

IMPORT_PATH = "plaza_serving.rayapp.app:build"
DEPLOYMENT = "replica"
"""Name of the one deployment that `build` makes; the overrides below are found by it."""
SCALING_POLICY = "plaza_serving.rayapp.scaling:QueueTime"

_QUIET = {"log_level": "WARNING", "enable_access_log": False}


def serve_config(settings: Settings) -> dict[str, Any]:
    """The body of `PUT /api/serve/applications/`."""
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": settings.listen, "port": settings.http_port},
        "logging_config": dict(_QUIET),
        "applications": [_application(pool, settings) for pool in settings.all_pools],
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
                **_size(pool),
                # Plaza's own queue is the bound; Serve's must never be the narrower one.
                "max_ongoing_requests": max(1000, 2 * settings.queue_limit),
                "max_queued_requests": max(1000, 2 * settings.queue_limit),
                "ray_actor_options": _actor(pool),
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


def _size(pool: Pool) -> dict[str, Any]:
    if pool.autoscaling is None:
        return {"num_replicas": pool.replicas}
    return {"autoscaling_config": _autoscaling(pool.autoscaling)}


def _autoscaling(bounds: Autoscaling) -> dict[str, Any]:
    return {
        "min_replicas": bounds.min_replicas,
        "max_replicas": bounds.max_replicas,
        # Requests that the bypass answers are not counted by Serve, so its own rule sees none.
        "policy": {
            "policy_function": SCALING_POLICY,
            "policy_kwargs": {"queue_ms": bounds.queue_ms},
        },
        "upscale_delay_s": 5.0,
        "downscale_delay_s": 120.0,
    }


def _actor(pool: Pool) -> dict[str, Any]:
    """What Ray must have free for a replica, and the interpreter that it starts it with.

    `num_gpus` is Ray's own word for the resource `GPU`; others go by their names.
    """
    options: dict[str, Any] = {"num_cpus": pool.cpus}
    resources = resources_of(pool)
    further = {name: amount for name, amount in resources.items() if name != "GPU"}
    if "GPU" in resources:
        options["num_gpus"] = resources["GPU"]
    if further:
        options["resources"] = further
    if pool.environment is not None:
        options["runtime_env"] = {"py_executable": str(pool.environment)}
    return options


def resources_of(pool: Pool) -> dict[str, float]:
    """As the settings say; where they say nothing, what the provider declares for its options.

    A provider that is not installed beside control (only in the pool's environment), or does not
    take the options, declares nothing here: the replica says what is wrong.
    """
    if pool.resources:
        return dict(pool.resources)
    try:
        found = load(ACCELERATORS, pool.provider)
        declared = found.with_options(pool.options) if pool.options else found
    except PlazaError:
        return {}
    resource = declared.resource if isinstance(declared, AcceleratorProvider) else None
    return {} if resource is None else {resource.name: resource.amount}
