"""How many models fit, how fast they come: memory per loaded model, cold loads, a hub's start.

Each model is a version of its own with weights of its own, registered like any other. Memory is
what the replica's processes grow by (PSS) while they are opened, weights and sessions. Then nobody
uses them until the hub has closed them, and the first request to each opens it again: a cold load.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

import plaza
from benchmarks import graphs
from benchmarks.hub import Hub, running_hub
from benchmarks.peers import compare
from benchmarks.peers.processes import Tree
from benchmarks.waiting import until_ok
from plaza_core.manifest import MODEL_FILE

_KINDS = {"tiny": (graphs.tiny, "x", (1, 4)), "conv": (graphs.conv, "image", (1, 3, 32, 32))}
_GB = 1_000_000_000
_IDLE_S = 60.0
"""After so long unused a model is closed: longer than it takes to register all of a kind."""


def measure(scratch: Path, each: int) -> dict[str, Any]:
    """On a hub of its own, with `each` models of both kinds."""
    with running_hub(scratch / "state", model_memory_mb=6000, model_idle_s=_IDLE_S) as hub:
        key = compare.consumer(hub)
        told: dict[str, Any] = {"start_s": round(hub.started_s, 2), "models": {}}
        told["processes_mb"] = _by_process(hub)
        for kind in _KINDS:
            told["models"][kind] = _kind(hub, key, kind, scratch, each)
    return told


def _kind(hub: Hub, key: str, kind: str, scratch: Path, each: int) -> dict[str, Any]:
    _, tensor, shape = _KINDS[kind]
    client, value = hub.client(key), {tensor: np.zeros(shape, np.float32)}
    _register(hub, key, kind, scratch, [0])  # what the first of a kind brings is not counted
    before = _replicas(hub)
    names = _register(hub, key, kind, scratch, range(1, each + 1))
    grown = (_replicas(hub) - before) / each
    time.sleep(_IDLE_S + 2)
    cold, warm = [], []
    for one in names:
        cold.append(_took(client, one, value))
        warm.append(_took(client, one, value))
    return {
        "count": each,
        "file_kb": round((scratch / names[0] / MODEL_FILE).stat().st_size / 1e3, 1),
        "memory_kb": round(grown / 1e3, 1),
        "per_gb": round(_GB / grown) if grown > 0 else None,
        "cold_ms": round(statistics.median(cold), 2),
        "cold_p99_ms": round(max(cold), 2),
        "warm_ms": round(statistics.median(warm), 2),
    }


def _register(hub: Hub, key: str, kind: str, scratch: Path, numbers: Sequence[int]) -> list[str]:
    """Their names, once the replica has opened them."""
    names = []
    for number in numbers:
        graph = _KINDS[kind][0](seed=100 + number)
        graph.manifest["name"] = f"{kind}-{number}"
        place = graph.write(scratch / graph.manifest["name"])
        hub.admin.models.register(place, visibility="public")
        names.append(place.name)
    headers = {"Authorization": f"Bearer {key}"}
    for name in names:
        until_ok(
            lambda url=f"{hub.url}/v2/models/{name}/ready": httpx.get(url, headers=headers), 20
        )
    return names


def _took(client: plaza.Client, model: str, value: dict[str, Any]) -> float:
    begun = time.perf_counter()
    client.infer(model, value)
    return (time.perf_counter() - begun) * 1e3


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
