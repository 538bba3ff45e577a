"""What the hop between pools costs: one model, at its pool's own address and at the hub's.

    PLAZA_OPENVINO=DIRECTORY python -m benchmarks.second_hop [--seconds 4] [--rounds 3]

A hub with two pools, `main` on `cpu` and `openvino`. The model may run in the second one only, and
takes microseconds, so what is measured is the way there:

    direct   client → HAProxy → replica of openvino        /pools/openvino/v2/models/…
    hub      client → HAProxy → replica of main → HAProxy → replica of openvino      /v2/models/…

and over gRPC, from the pool's own port and from the hub's:

    direct   client → replica of openvino
    hub      client → replica of main → HAProxy → replica of openvino

Load is wrk where it is installed; for gRPC it is in this process, on as many connections. CPU is of
the processes named, user and system, per request.
Last, the carrier alone, from this process: through HAProxy and straight to the replica's own port,
which is what forwarding to addresses of replicas would spare.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import numpy as np
import psutil
import uvloop

from benchmarks import graphs, load, wrk
from benchmarks.hub import Hub, hub_on
from benchmarks.ports import own_ports
from benchmarks.waiting import until_ok
from plaza_core.clock import SystemClock
from plaza_core.ids import OrganisationId
from plaza_serving.doors.rpc.schema import SERVICE, message
from plaza_serving.forwarding.carrier import HttpCarrier
from plaza_serving.pools import Passed

MODEL = "there"
PREFIX = "/pools/openvino"
PATH = f"/v2/models/{MODEL}/infer"
ROW = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
BODY = json.dumps({"inputs": [ROW]}).encode()
ALONE = 2000
Load = Callable[[int, float], dict[str, float]]
"""(connections, seconds) -> requests, requests_per_second, p50_ms, p99_ms, errors."""


def processes(hub: Hub) -> dict[str, psutil.Process]:
    """Those that a request passes, by name."""
    found = {}
    for process in hub.descendants():
        title = " ".join(process.cmdline())
        if title.startswith("ray::ServeReplica:"):
            found[title.split(":")[3]] = process
        elif process.name() == "haproxy":
            found["haproxy"] = process
    return found


def used_us(found: dict[str, psutil.Process]) -> dict[str, float]:
    times = {name: process.cpu_times() for name, process in found.items()}
    return {name: (one.user + one.system) * 1e6 for name, one in times.items()}


def request(hub: Hub, path: str) -> bytes:
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {hub.admin_key}",
        "Content-Type: application/json",
        f"Content-Length: {len(BODY)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + BODY


def http(hub: Hub, path: str, connections: int, seconds: float) -> dict[str, float]:
    port = int(hub.environment["PLAZA_HTTP_PORT"])
    if wrk.installed():
        return wrk.run(port, connections, seconds, request(hub, path))
    return load.run("127.0.0.1", port, connections, seconds, [request(hub, path)])


def rpc(hub: Hub, port: int, connections: int, seconds: float) -> dict[str, float]:
    made = message("ModelInferRequest")(model_name=MODEL)
    made.inputs.add(name="x", datatype="FP32", shape=ROW["shape"])
    made.raw_input_contents.append(np.array(ROW["data"], "<f4").tobytes())
    metadata = (("authorization", f"Bearer {hub.admin_key}"),)
    calls = _calls(port, made.SerializeToString(), metadata, connections, seconds)
    done: dict[str, float] = uvloop.run(calls)
    return done


async def _calls(
    port: int, data: bytes, metadata: Any, connections: int, seconds: float
) -> dict[str, float]:
    """One call after the other on each connection. A refusal raises AioRpcError."""
    took: list[float] = []

    async def one() -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            while (begin := time.perf_counter()) < until:
                await call(data, metadata=metadata)
                took.append(time.perf_counter() - begin)

    begun = time.perf_counter()
    until = begun + seconds
    await asyncio.gather(*(one() for _ in range(connections)))
    rate = len(took) / (time.perf_counter() - begun)
    p50, p99 = np.percentile(took, (50, 99)) * 1e3
    return {"requests": len(took), "requests_per_second": rate, "errors": 0,
            "p50_ms": float(p50), "p99_ms": float(p99)}  # fmt: skip


def measure(hub: Hub, run: Load, connections: int, seconds: float) -> dict[str, float]:
    """Throughput, latency, and µs of CPU per request of each process."""
    found = processes(hub)
    before = used_us(found)
    done = run(connections, seconds)
    if done["errors"]:
        raise RuntimeError(f"{done['errors']:.0f} errors")
    after = used_us(found)
    cpu = {f"cpu_{n}_us": (after[n] - before[n]) / done["requests"] for n in found}
    return {n: done[n] for n in ("requests_per_second", "p50_ms", "p99_ms")} | cpu


async def alone(hub: Hub, port: int) -> float:
    """Median µs of one request after the other by the carrier itself."""
    carrier = HttpCarrier("127.0.0.1", port, {"openvino": PREFIX}, SystemClock())
    headers = [
        (b"authorization", f"Bearer {hub.admin_key}".encode()),
        (b"content-type", b"application/json"),
    ]
    passed = Passed(OrganisationId("org"), "POST", PATH.encode(), headers, [BODY])
    took = []
    for _ in range(ALONE):
        begin = time.perf_counter()
        async with carrier.carry("openvino", passed) as passage:
            async for _ in passage.pieces():
                pass
        if passage.status != httpx.codes.OK:
            raise RuntimeError(f"status {passage.status}")
        took.append(time.perf_counter() - begin)
    carrier.close()
    return statistics.median(took) * 1e6


def own_port(process: psutil.Process) -> int:
    """Where a replica answers HTTP itself."""
    for one in process.net_connections("tcp"):
        if one.status == psutil.CONN_LISTEN:
            with_http = f"http://127.0.0.1:{one.laddr.port}{PREFIX}/v2/health/live"
            try:
                if httpx.get(with_http, timeout=2).status_code == httpx.codes.OK:
                    return int(one.laddr.port)
            except httpx.HTTPError:
                continue
    raise RuntimeError("the replica listens nowhere")


def wait_for(hub: Hub, path: str) -> None:
    headers = {"authorization": f"Bearer {hub.admin_key}"}
    until_ok(lambda: httpx.post(hub.url + path, content=BODY, headers=headers, timeout=20), 60)


def compare(hub: Hub, own_grpc: int, seconds: float, rounds: int) -> dict[str, Any]:
    ways: dict[str, Load] = {
        "direct": partial(http, hub, PREFIX + PATH),
        "hub": partial(http, hub, PATH),
        "grpc direct": partial(rpc, hub, own_grpc),
        "grpc hub": partial(rpc, hub, int(hub.environment["PLAZA_GRPC_PORT"])),
    }
    for path in (PREFIX + PATH, PATH):
        wait_for(hub, path)
    for run in ways.values():
        measure(hub, run, 16, 1.0)
    found: dict[str, Any] = {}
    for connections in (1, 16):
        runs: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, run in ways.items():
                runs[way].append(measure(hub, run, connections, seconds))
        found[f"c{connections}"] = {
            way: {name: round(statistics.median([r[name] for r in some]), 3) for name in some[0]}
            for way, some in runs.items()
        }
    front = int(hub.environment["PLAZA_HTTP_PORT"])
    back = own_port(processes(hub)["openvino"])
    found["carrier_us"] = {
        way: round(statistics.median([uvloop.run(alone(hub, port)) for _ in range(rounds)]), 1)
        for way, port in {"haproxy": front, "replica": back}.items()
    }
    return found


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=float, default=4.0)
    asked.add_argument("--rounds", type=int, default=3)
    given = asked.parse_args()
    python = Path(os.environ.get("PLAZA_OPENVINO", ".venv-openvino")) / "bin" / "python"
    with tempfile.TemporaryDirectory(prefix="plaza-hop-") as scratch, own_ports() as ports:
        place = Path(scratch)
        own_grpc = ports.spare[0]
        pools = [{"name": "openvino", "provider": "openvino", "environment": str(python.absolute()),
                  "grpc_port": own_grpc}]  # fmt: skip
        limits = {"rate_per_second": 1e6, "rate_burst": 1_000_000}
        with hub_on(ports, place / "state", pools=json.dumps(pools), **limits) as hub:
            tiny = graphs.tiny()
            tiny.manifest.update(name=MODEL, providers=["openvino"])
            hub.admin.models.register(tiny.write(place / MODEL), visibility="public")
            json.dump(compare(hub, own_grpc, given.seconds, given.rounds), sys.stdout, indent=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
