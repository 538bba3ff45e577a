"""A closed-loop load generator of gRPC calls, run as its own process.

It has the event loop of gRPC's own library and takes about as much processor per call as a server
does, so calls per second are of a machine with both on it.

    python -m benchmarks.peers.calls PORT CONNECTIONS SECONDS KEY < message

prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import grpc
import grpc.aio
import uvloop

from benchmarks.load import told
from plaza_serving.doors.rpc.schema import SERVICE

_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
_MOST_CHANNELS = 4


async def run(
    port: int, connections: int, seconds: float, key: str, data: bytes
) -> dict[str, float]:
    """`connections` calls at once, on up to four channels."""
    metadata = (("authorization", f"Bearer {key}"),) if key else ()
    channels = [
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS)
        for _ in range(min(connections, _MOST_CHANNELS))
    ]
    calls = [channel.unary_unary(f"/{SERVICE}/ModelInfer") for channel in channels]
    latencies: list[int] = []
    errors = 0
    await calls[0](data, metadata=metadata, wait_for_ready=True, timeout=20)
    begun = time.perf_counter_ns()
    until = begun + int(seconds * 1e9)

    async def one(number: int) -> None:
        nonlocal errors
        call = calls[number % len(calls)]
        while (sent := time.perf_counter_ns()) < until:
            try:
                await call(data, metadata=metadata)
            except grpc.aio.AioRpcError:
                errors += 1
            latencies.append(time.perf_counter_ns() - sent)

    await asyncio.gather(*(one(number) for number in range(connections)))
    elapsed_ns = time.perf_counter_ns() - begun
    await asyncio.gather(*(channel.close() for channel in channels))
    return told(latencies, errors, elapsed_ns)


if __name__ == "__main__":
    at_port, count, duration, bearer = sys.argv[1:5]
    found = uvloop.run(
        run(int(at_port), int(count), float(duration), bearer, sys.stdin.buffer.read())
    )
    sys.stdout.write(json.dumps(found) + "\n")
