"""A hub under 5 and 10 times what it can give: what is answered, how fast the rest is refused.

A model of 10 ms on every core, bodies of 4 kB. First its peak (closed loop, 8 connections); then,
open loop, 0.7 of the peak, 5 or 10 times it, and 0.7 again. The load generator is a process of its
own on the same machine, and what it takes is taken from the hub.

    goodput   answers per second under overload : peak                           bar 0.90
    refusals  p99 of the time to a refusal                                        bar 10 ms
    normal    seconds after the overload until the p90 of a second is as before   bar 5 s

    python -m benchmarks.overload
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import graphs, load
from benchmarks.bench import http_request
from benchmarks.hub import running_hub
from benchmarks.paced import Pace

CALM_S, FLOOD_S, AFTER_S = 3.0, 6.0, 8.0
TARGET_MS = 250
RESULTS = Path(__file__).parent / "results" / "overload.json"


def small_conv() -> graphs.Graph:
    """About 10 ms on one thread, for a picture of 3 kB."""
    graph = graphs.conv(size=16, layers=128)
    graph.manifest["limits"]["latency_target_ms"] = TARGET_MS
    return graph


def request(key: str) -> bytes:
    image = np.zeros((1, 3, 16, 16), np.float32)
    tensor = {
        "name": "image",
        "shape": list(image.shape),
        "datatype": "FP32",
        "parameters": {"binary_data_size": image.nbytes},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }
    return http_request("hub", "/v2/models/conv/infer", head + image.tobytes(), headers)


@dataclass(frozen=True, slots=True)
class Phase:
    """What became of the requests that were due in it: (second, latency in ms, status)."""

    seconds: float
    answers: list[tuple[float, float, int]]

    def good(self) -> list[tuple[float, float]]:
        return [(at, ms) for at, ms, status in self.answers if status == HTTPStatus.OK]

    def refused(self) -> list[float]:
        """Latencies in ms."""
        return [ms for _, ms, status in self.answers if status == HTTPStatus.SERVICE_UNAVAILABLE]

    def others(self) -> int:
        return len(self.answers) - len(self.good()) - len(self.refused())


def share_of(values: list[float], share: float) -> float:
    return sorted(values)[int(share * len(values))] if values else 0.0


def paced(port: int, rate: float, seconds: float, body: bytes) -> Phase:
    command = [sys.executable, "-m", "benchmarks.overload", str(port), str(rate), str(seconds)]
    done = subprocess.run(command, input=body, capture_output=True, check=True)  # noqa: S603 ours
    return Phase(seconds, [tuple(one) for one in json.loads(done.stdout)])


async def generate(port: int, rate: float, seconds: float, body: bytes) -> list[list[float]]:
    """The other process."""
    pace = Pace(port, body, rate)
    begin = time.monotonic()
    await pace.start()
    await asyncio.sleep(seconds)
    await pace.stop()
    return [[a.due - begin, a.latency_ms, a.status] for a in pace.answers]


def measure(port: int, body: bytes, peak: float, times: int) -> dict[str, Any]:
    before = paced(port, 0.7 * peak, CALM_S, body)
    flood = paced(port, times * peak, FLOOD_S, body)
    after = paced(port, 0.7 * peak, AFTER_S, body)
    calm_ms = share_of([ms for _, ms in before.good()], 0.9)
    normal = [
        second
        for second in range(int(AFTER_S))
        if share_of([ms for at, ms in after.good() if int(at) == second], 0.9) <= 1.5 * calm_ms
    ]
    return {
        "times": times,
        "offered": len(flood.answers) / FLOOD_S,
        "goodput": len(flood.good()) / FLOOD_S / peak,
        "answered_p99_ms": share_of([ms for _, ms in flood.good()], 0.99),
        "refused": len(flood.refused()),
        "refused_p50_ms": share_of(flood.refused(), 0.5),
        "refused_p99_ms": share_of(flood.refused(), 0.99),
        "others": flood.others() + before.others() + after.others(),
        "calm_p90_ms": calm_ms,
        "normal_after_s": normal[0] + 1 if normal else None,
    }


def main() -> int:
    if len(sys.argv) > 1:
        port, rate, seconds = sys.argv[1:]
        answers = asyncio.run(
            generate(int(port), float(rate), float(seconds), sys.stdin.buffer.read())
        )
        sys.stdout.write(json.dumps(answers))
        return 0
    console = Console()
    with (
        tempfile.TemporaryDirectory(prefix="plaza-overload-") as scratch,
        running_hub(Path(scratch) / "state") as hub,
    ):
        admin = hub.admin
        admin.models.register(small_conv().write(Path(scratch) / "conv"), visibility="public")
        admin.orgs.create("bench")
        admin.orgs.limit("bench", per_second=1e6, burst=1_000_000)
        key = admin.keys.create("bench", role="consumer").key
        hub.client(key).infer("conv", {"image": np.zeros((1, 3, 16, 16), np.float32)})
        port, body = int(hub.environment["PLAZA_HTTP_PORT"]), request(key)
        peaks = [
            load.run("127.0.0.1", port, 8, CALM_S, body)["requests_per_second"] for _ in range(3)
        ]
        found = [measure(port, body, statistics.median(peaks), times) for times in (5, 10)]
    document = {"peak": statistics.median(peaks), "target_ms": TARGET_MS, "floods": found}
    RESULTS.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    console.print_json(data=document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
