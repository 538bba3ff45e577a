"""How many models fit, how fast they come: memory per loaded model, cold loads, a hub's start.

Each model is a version of its own with weights of its own, registered like any other and opened by
its first request. Memory is what the replica's processes grow by (PSS), weights and sessions.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

import plaza
from benchmarks import graphs
from benchmarks.hub import Hub
from benchmarks.peers.processes import Tree
from benchmarks.waiting import until_ok

_KINDS = {"tiny": (graphs.tiny, "x", (1, 4)), "conv": (graphs.conv, "image", (1, 3, 32, 32))}
_GB = 1_000_000_000


def measure(hub: Hub, key: str, scratch: Path, each: int) -> dict[str, Any]:
    """Registers `each` models of both kinds."""
    client = hub.client(key)
    told: dict[str, Any] = {"start_s": round(hub.started_s, 2), "models": {}}
    told["processes_mb"] = _by_process(hub)
    for kind, (make, name, shape) in _KINDS.items():
        value = {name: np.zeros(shape, np.float32)}
        names, size = [], 0
        for number in range(each):
            graph = make(seed=100 + number)
            graph.manifest["name"] = f"{kind}-{number}"
            place = graph.write(scratch / graph.manifest["name"])
            size = (place / "model.onnx").stat().st_size
            hub.admin.models.register(place, visibility="public")
            names.append(graph.manifest["name"])
        _known(hub, key, names[-1])
        before = _replicas(hub)
        cold, warm = [], []
        for one in names:
            cold.append(_took(client, one, value))
            warm.append(_took(client, one, value))
        grown = (_replicas(hub) - before) / each
        told["models"][kind] = {
            "count": each,
            "file_kb": round(size / 1e3, 1),
            "memory_kb": round(grown / 1e3, 1),
            "per_gb": round(_GB / grown) if grown > 0 else None,
            "cold_ms": round(statistics.median(cold), 2),
            "cold_p99_ms": round(max(cold), 2),
            "warm_ms": round(statistics.median(warm), 2),
        }
    return told


def _took(client: plaza.Client, model: str, value: dict[str, Any]) -> float:
    begun = time.perf_counter()
    client.infer(model, value)
    return (time.perf_counter() - begun) * 1e3


def _known(hub: Hub, key: str, model: str) -> None:
    """Until the replica has heard of the model; its description does not open it."""
    headers = {"Authorization": f"Bearer {key}"}
    until_ok(lambda: httpx.get(f"{hub.url}/v2/models/{model}", headers=headers), 20)


def _replicas(hub: Hub) -> int:
    """PSS in bytes of the processes that run models."""
    return sum(one.memory_full_info().pss for one in _processes(hub) if _runs_models(one))


def _processes(hub: Hub) -> list[psutil.Process]:
    """Those that Ray detached from the supervisor too."""
    return Tree(hub.process.pid, str(hub.state_dir)).processes()


def _runs_models(process: psutil.Process) -> bool:
    return "ServeReplica" in " ".join(process.cmdline())


def _by_process(hub: Hub) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in _processes(hub):
        command = one.cmdline() or [one.name()]
        words = " ".join(command)
        known = ("ServeReplica", "ServeController", "HAProxyManager", "ProxyActor", "haproxy")
        known += ("gcs_server", "raylet", "dashboard", "control", "monitor", "runtime_env", "agent")
        name = next((word for word in known if word in words), Path(command[0]).name)
        found[name] = round(found.get(name, 0) + one.memory_full_info().pss / 1e6, 1)
    return found
