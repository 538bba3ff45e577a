"""p99 at 70 % of capacity, open loop, beside an ideal queue with the same arrivals.

Capacity is what a server answers in a closed loop. The ideal queue (`benchmarks/ideal.py`) has a
server per core, and each takes as long as ONNX Runtime alone does when all cores run it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import ideal
from benchmarks.peers.asked import Asked
from benchmarks.peers.rivals import Rival, generate

LOAD, BAR, CONNECTIONS = 0.7, 1.3, 16
_SIMULATED = 400_000

Found = list[tuple[float, float, int]]


def arrivals(port: int, load: Asked, phases: list[tuple[float, float]]) -> Found:
    """[(due, latency in ms, status)] of an open loop with these (rate, seconds)."""
    amounts = [str(number) for phase in phases for number in phase]
    # A file and no pipe: on a busy machine, after uvloop, some were cut off at a multiple of 32 kB.
    with tempfile.TemporaryFile() as told:
        subprocess.run(  # noqa: S603 our own command
            [sys.executable, "-m", "benchmarks.arrivals", str(port), *amounts],
            input=load.requests()[0],
            stdout=told,
            check=True,
        )
        told.seek(0)
        return [(due, took, status) for due, took, status in json.load(told)]


def measure(
    ours: Rival,
    others: Sequence[Rival],
    alone: Callable[[], float],
    rounds: int,
    seconds: float,
) -> dict[str, Any]:
    """In turn, each at 70 % of its own capacity. `alone` tells requests per second of ONNX Runtime
    in process, on all cores."""
    runs: dict[str, list[dict[str, Any]]] = {one.name: [] for one in (ours, *others)}
    for _ in range(rounds):
        bare = alone()
        for rival in (ours, *others):
            run, times, best = _run(rival, bare, seconds)
            runs[rival.name].append(run)
            if rival is ours:
                sample, simulated = sorted(times), best
    ratios = {name: [one["ratio"] for one in found] for name, found in runs.items()}
    return {
        "runs": runs.pop(ours.name),
        "others": runs,
        "ratio": ratios[ours.name],
        "bar": BAR,
        "held": statistics.median(ratios[ours.name]) <= BAR,
        "quantiles_ms": _cuts(sample),
        "ideal_quantiles_ms": _cuts(sorted(seconds * 1e3 for seconds in simulated)),
    }


def _run(
    rival: Rival, bare: float, seconds: float
) -> tuple[dict[str, Any], list[float], list[float]]:
    """What is told of one run; its latencies in ms; the ideal's in seconds."""
    assert isinstance(rival.load, Asked)
    cores = os.cpu_count() or 1
    with rival.awake():
        capacity = generate(rival.port, rival.load, CONNECTIONS, 4)["requests_per_second"]
        rate = LOAD * capacity
        found = arrivals(rival.port, rival.load, [(rate, seconds)])
    times = [took for _, took, _ in found]
    best = ideal.waits(rate, cores / bare, cores, _SIMULATED)
    own = ideal.waits(rate, cores / capacity, cores, _SIMULATED)
    p99, ideal_p99 = ideal.p(times, 0.99), ideal.p(best, 0.99) * 1e3
    told = {
        "capacity": round(capacity, 1),
        "alone": round(bare, 1),
        "rate": round(rate, 1),
        "requests": len(found),
        "errors": sum(status != 200 for _, _, status in found),
        "p50_ms": ideal.p(times, 0.5),
        "p99_ms": p99,
        "ideal_p50_ms": round(ideal.p(best, 0.5) * 1e3, 3),
        "ideal_p99_ms": round(ideal_p99, 3),
        "own_pace_p99_ms": round(ideal.p(own, 0.99) * 1e3, 3),
        "ratio": round(p99 / ideal_p99, 3),
    }
    return told, times, best


def _cuts(ordered: list[float]) -> list[float]:
    """The 1st to the 99th hundredth, for the chart."""
    return [
        round(ordered[min(len(ordered) - 1, n * len(ordered) // 100)], 3) for n in range(1, 100)
    ]
