"""p99 at 70 % of capacity, open loop, beside an ideal queue with the same arrivals.

Capacity is what the hub answers in a closed loop. The ideal queue (`benchmarks/ideal.py`) has a
server per core, and each takes as long as ONNX Runtime alone does when all cores run it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from benchmarks import ideal
from benchmarks.peers.asked import Asked
from benchmarks.peers.rivals import generate

LOAD, BAR, CONNECTIONS = 0.7, 1.3, 16
_SIMULATED = 400_000

Found = list[tuple[float, float, int]]


def arrivals(port: int, load: Asked, phases: list[tuple[float, float]]) -> Found:
    """[(due, latency in ms, status)] of an open loop with these (rate, seconds)."""
    amounts = [str(number) for phase in phases for number in phase]
    done = subprocess.run(  # noqa: S603 our own command
        [sys.executable, "-m", "benchmarks.arrivals", str(port), *amounts],
        input=load.requests()[0],
        capture_output=True,
        check=True,
    )
    return [(due, took, status) for due, took, status in json.loads(done.stdout)]


def measure(
    port: int, load: Asked, alone: Callable[[], float], rounds: int, seconds: float
) -> dict[str, Any]:
    """`alone` tells requests per second of ONNX Runtime in process, on all cores."""
    cores = os.cpu_count() or 1
    runs = []
    for _ in range(rounds):
        capacity = generate(port, load, CONNECTIONS, 4)["requests_per_second"]
        bare = alone()
        rate = LOAD * capacity
        found = arrivals(port, load, [(rate, seconds)])
        times = [took for _, took, _ in found]
        best = ideal.waits(rate, cores / bare, cores, _SIMULATED)
        own = ideal.waits(rate, cores / capacity, cores, _SIMULATED)
        runs.append(
            {
                "capacity": round(capacity, 1),
                "alone": round(bare, 1),
                "rate": round(rate, 1),
                "requests": len(found),
                "errors": sum(status != 200 for _, _, status in found),
                "p50_ms": ideal.p(times, 0.5),
                "p99_ms": ideal.p(times, 0.99),
                "ideal_p50_ms": round(ideal.p(best, 0.5) * 1e3, 3),
                "ideal_p99_ms": round(ideal.p(best, 0.99) * 1e3, 3),
                "own_pace_p99_ms": round(ideal.p(own, 0.99) * 1e3, 3),
            }
        )
        sample = sorted(times)
    ratios = [run["p99_ms"] / run["ideal_p99_ms"] for run in runs]
    return {
        "runs": runs,
        "ratio": [round(ratio, 3) for ratio in ratios],
        "bar": BAR,
        "held": statistics.median(ratios) <= BAR,
        "quantiles_ms": _cuts(sample),
        "ideal_quantiles_ms": _cuts(sorted(seconds * 1e3 for seconds in best)),
    }


def _cuts(ordered: list[float]) -> list[float]:
    """The 1st to the 99th hundredth, for the chart."""
    return [
        round(ordered[min(len(ordered) - 1, n * len(ordered) // 100)], 3) for n in range(1, 100)
    ]
