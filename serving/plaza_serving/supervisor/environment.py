"""The environment and the command lines of the supervisor's children. Each flag has its reason.

Ray reads its configuration from the environment of every process, so that what is set for
`ray start` reaches GCS, raylet, Serve's controller, HAProxy's manager and the replicas. Flags of
the operator's shell would do the same by accident: no inherited `RAY_*` survives.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path

from plaza_core.settings import Settings
from plaza_serving.supervisor.places import Places
from plaza_serving.supervisor.ports import Ports

_FOREIGN = ("RAY_", "SERVE_", "PLAZA_", "DASHBOARD_METRIC_PORT")
_NOT_FOR_REPLICAS = (
    "api_key",
    "database_url",
    "database_owner_url",
    "mlflow_uri",
    "oidc_client_secret",
    "s3_keys_file",
)
"""Settings with other people's passwords in them; replicas talk to control only."""
_ALLOCATION = {
    # Of glibc, in bytes. A picture is some MB for some ms; left to itself a worker's thread gives
    # these back to the kernel each time and faults them in again, 0.9 of 18 ms (decision 45).
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 20),
}
_RAY_START = (sys.executable, "-m", "plaza_serving.rayapp.start")
"""`ray start` of this very interpreter's Ray, whatever PATH says."""
_OBJECT_STORE_BYTES = 100_000_000
"""Requests never pass through Ray's object store; this is near the least it accepts."""


def plaza_environment(settings: Settings, *, without: tuple[str, ...] = ()) -> dict[str, str]:
    """The settings as variables, `state_dir` absolute, so that any directory will do."""
    values = settings.model_dump(exclude_none=True, exclude=set(without))
    return {f"PLAZA_{name.upper()}": _text(value) for name, value in values.items()}


def _text(value: object) -> str:
    if isinstance(value, Path):
        return str(value.resolve())
    return value if isinstance(value, str) else json.dumps(value, default=str)  # paths in pools


def control_environment(settings: Settings, inherited: Mapping[str, str]) -> dict[str, str]:
    return _clean(inherited) | plaza_environment(settings, without=("api_key",))


def ray_environment(
    settings: Settings, places: Places, inherited: Mapping[str, str], *, joins: bool = False
) -> dict[str, str]:
    """For `ray start` on a head, or on a node that joins one."""
    return {
        **_clean(inherited),
        **plaza_environment(settings, without=_NOT_FOR_REPLICAS),
        **_security(places),
        **_network(settings, joins=joins),
        **_serving(settings),
        **_haproxy(settings, places),
        **_start_and_stop(),
        **_ALLOCATION,
        **quiet(),
    }


def _clean(inherited: Mapping[str, str]) -> dict[str, str]:
    kept = {name: text for name, text in inherited.items() if not name.startswith(_FOREIGN)}
    # Absolute, because Ray's workers may run elsewhere than the shell that typed `plaza up`.
    paths = [str(Path(part).resolve()) for part in kept.get("PYTHONPATH", "").split(":") if part]
    return kept | ({"PYTHONPATH": ":".join(paths)} if paths else {})


def _security(places: Places) -> dict[str, str]:
    return {
        # Whoever reaches GCS, raylet or dashboard without a token runs code.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(places.ray_token),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Leaves out Ray Client and the job API, see the module it names.
        "RAY_START_HOOK": "plaza_serving.rayapp.start_hook.lean",
    }


def _network(settings: Settings, *, joins: bool) -> dict[str, str]:
    if joins:
        # Serve's HTTP options are the head's; this node may have its public port elsewhere.
        return {"RAY_SERVE_WORKER_PROXY_HTTP_PORT": str(settings.http_port)}
    if settings.node_ip == "127.0.0.1":
        # Ray replaces a loopback --node-ip-address by the machine's own address and then listens
        # on all interfaces, unless it is told that this is a machine for one node. The name of
        # the flag comes from the systems where that is the default.
        return {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    return {}


def _serving(settings: Settings) -> dict[str, str]:
    ports = Ports.of(settings)
    return {
        # HAProxy → uvicorn in the replica, instead of a Python proxy and an actor call.
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        # User code on the replica's own loop, buffered logs, frozen garbage collector.
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        # Ray computes this one before it looks at the flag above, so it must be set apart.
        "RAY_SERVE_PROXY_USE_GRPC": "1",
        # Plaza has metrics of its own; Ray's cost a few µs of every request and many wake-ups.
        "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "1000",
        "RAY_enable_metrics_collection": "0",
        # Ray's default gRPC range lies in Linux's ephemeral range: a client socket could take one.
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(ports.replicas_http[0]),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(ports.replicas_http[1]),
        "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(ports.replicas_grpc[0]),
        "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(ports.replicas_grpc[1]),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports.fallback_http),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(ports.fallback_grpc),
        "DASHBOARD_METRIC_PORT": str(ports.dashboard_metrics),
        # Also without the bypass: the middleware then strips the headers by which Ray Serve lets
        # clients change its timeouts.
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "plaza_serving.rayapp.edge:middlewares",
    }


def _haproxy(settings: Settings, places: Places) -> dict[str, str]:
    home = places.haproxy
    return {
        # Edits the generated configuration before HAProxy reads it, see `ingress`.
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(home / "haproxy"),
        # Ray's default directory is shared by all users, and its admin socket open to them.
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(home / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(home / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(home / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(home),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(home / "server-state"),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(settings.haproxy_stats_port),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(settings.haproxy_metrics_port),
        # One thread forwards 20,000 requests/s; more of them fight the replicas for few cores.
        "RAY_SERVE_HAPROXY_NBTHREAD": str(max(1, (os.cpu_count() or 1) // 4)),
        # Otherwise one datagram per request to a Python actor that parses it.
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        "RAY_SERVE_HAPROXY_LOG_TARGET": "stderr format raw",
        "RAY_SERVE_HAPROXY_MAXCONN": str(_connections()),
        # A picture of 100 kB came to the replica in pieces of the default 16 kB, each of which
        # woke its loop: 590 µs of loop time per request.
        "RAY_SERVE_HAPROXY_TUNE_BUFSIZE": "131072",
        # Defaults are an hour and never: a stalled peer would keep its connection.
        "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": "75",
        "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S": "300",
        # The stand-in holds the port until HAProxy has it, see `standin`.
        "SERVE_SOCKET_REUSE_PORT_ENABLED": "1",
        # How long a reloaded-out HAProxy may finish requests; ours last milliseconds.
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "10",
    }


def _connections() -> int:
    """Connections that HAProxy may hold: two descriptors each and some of its own, or it refuses
    to start."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 20_000 if most == resource.RLIM_INFINITY else max(256, min(20_000, (most - 500) // 3))


def _start_and_stop() -> dict[str, str]:
    return {
        # Serve's processes and HAProxy; the threads that compute are as nice as Ray's default, 15.
        "RAY_worker_niceness": "10",
        # One Python worker per core, started in advance, is one CPU second each for nothing.
        "RAY_enable_worker_prestart": "0",
        # Serve's controller looks at everything this often; at 0.1 s that was 4 % of a core, idle.
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.3",
        # A dead HAProxy is seen after three of these.
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
        # Defaults of 30 and 150 s suit long requests behind slow load balancers. A port may be
        # reused once no HAProxy of an older configuration can still send to it.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        "RAY_SERVE_PORT_QUARANTINE_S": "15",
    }


def quiet() -> dict[str, str]:
    """Ray's timers are made for clusters of a thousand nodes that somebody watches on a dashboard.
    What is left out here is for looking at, or for what one machine does not have: a fifth of what
    a hub cost with nobody asking (decision 42). Left alone: all by which a death is noticed."""
    return {
        # Statistics of every handler of every event loop; half of what a wake-up costs.
        "RAY_event_stats": "0",
        "RAY_emit_main_service_metrics": "0",
        "RAY_debug_dump_period_milliseconds": "0",
        "RAY_io_context_monitor_probe_interval_ms": "10000",
        # The history of tasks and the timeline.
        "RAY_task_events_report_interval_ms": "0",
        "RAY_enable_timeline": "0",
        # Loads, for an autoscaler of machines.
        "RAY_report_worker_backlog_interval_ms": "10000",
        "RAY_gcs_pull_resource_loads_period_milliseconds": "10000",
        # What is free on each node: Serve asks for it once a round.
        "RAY_raylet_report_resources_period_milliseconds": "500",
        # The object store, in which nothing lies.
        "RAY_raylet_check_gc_period_milliseconds": "5000",
        "RAY_object_manager_timer_freq_ms": "1000",
        "RAY_local_fs_monitor_interval_ms": "5000",
        # Memory over 95 %, and workers without work.
        "RAY_memory_monitor_refresh_ms": "1000",
        "RAY_kill_idle_workers_interval_ms": "1000",
        # What the dashboard and its agent collect about processes and out of log files.
        "METRICS_RECORD_INTERVAL_S": "3600",
        "REPORTER_UPDATE_INTERVAL_MS": "3600000",
        "SCAN_EVENT_DIR_INTERVAL_SECONDS": "3600",
    }


def ray_command(settings: Settings, places: Places) -> tuple[str, ...]:
    """`ray start --head`, which leaves when GCS, dashboard and raylet run."""
    return (
        *_RAY_START,
        "--head",
        f"--port={settings.ray_port}",
        # Without it there is no Serve REST API, by which control says what to run.
        "--include-dashboard=true",
        "--dashboard-host=127.0.0.1",
        f"--dashboard-port={settings.dashboard_port}",
        # The autoscaler of cloud machines.
        "--no-monitor",
        *_node_options(settings, places),
    )


def ray_node_command(settings: Settings, places: Places, head: str) -> tuple[str, ...]:
    """`ray start` on a worker node; `head` is "address:port" of the head's GCS."""
    return *_RAY_START, f"--address={head}", *_node_options(settings, places)


def _node_options(settings: Settings, places: Places) -> tuple[str, ...]:
    ports = Ports.of(settings)
    return (
        f"--node-ip-address={settings.node_ip}",
        f"--dashboard-agent-listen-port={ports.agent_http}",
        f"--dashboard-agent-grpc-port={ports.agent_grpc}",
        f"--runtime-env-agent-port={ports.agent_environments}",
        f"--node-manager-port={ports.raylet}",
        f"--object-manager-port={ports.object_manager}",
        f"--metrics-export-port={ports.metrics}",
        f"--min-worker-port={ports.workers[0]}",
        f"--max-worker-port={ports.workers[1]}",
        f"--object-store-memory={_OBJECT_STORE_BYTES}",
        f"--temp-dir={places.temp}",
        "--disable-usage-stats",
        # Would copy the log files of all workers to a driver; there is none.
        "--include-log-monitor=false",
    )


def control_command() -> tuple[str, ...]:
    return sys.executable, "-m", "plaza_serving.control"
