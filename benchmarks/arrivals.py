"""An open-loop load generator on raw sockets, run as its own process: Poisson arrivals.

Requests leave at their times whether or not answers have come, and latency counts from the moment a
request was due. Connections are opened as they are needed, and the one used last goes first. About
25 µs of this process per request.

    python -m benchmarks.arrivals PORT RATE SECONDS [RATE SECONDS …] < request

prints one line of JSON: for each answer [when it was due, its latency in ms, its status], seconds
from the start; status 0 is a lost connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from collections.abc import Iterator
from typing import cast

import uvloop

_SEED = 5
_LAST_S = 15.0


class _Connection(asyncio.Protocol):
    """One request in flight; whole answers have a content-length."""

    def __init__(self, load: Load) -> None:
        self._load, self._buffer, self.due = load, bytearray(), -1.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do all that asyncio.Transport says, without being of that class.
        self._transport = cast("asyncio.Transport", transport)

    def send(self, due: float) -> None:
        assert self._transport is not None
        self.due = due
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n") + 4
        if head < 4:
            return
        fields = bytes(self._buffer[:head]).lower()
        length = int(fields.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(self._buffer) < head + length:
            return
        due, self.due = self.due, -1.0
        self._load.answered(due, int(self._buffer[9:12]))
        self._buffer.clear()
        if b"connection: close" not in fields:
            self._load.idle.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self.due >= 0:
            self._load.answered(self.due, 0)
        elif self in self._load.idle:
            self._load.idle.remove(self)

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()


class Load:
    """The phases of one run."""

    def __init__(self, port: int, request: bytes) -> None:
        self.request = request
        self.idle: list[_Connection] = []
        self.found: list[tuple[float, float, int]] = []
        self._port, self._open, self._begun = port, 0, 0.0
        self._sent, self._done = False, asyncio.Event()

    def answered(self, due: float, status: int) -> None:
        now = time.perf_counter() - self._begun
        self.found.append((round(due, 4), round((now - due) * 1e3, 3), status))
        self._open -= 1
        if self._sent and not self._open:
            self._done.set()

    async def run(self, phases: list[tuple[float, float]]) -> None:
        loop = asyncio.get_running_loop()
        self._begun = time.perf_counter()
        opening = set()
        for due in times(phases):
            ahead = due - (time.perf_counter() - self._begun)
            # Between requests that are due already, answers are read.
            await asyncio.sleep(max(0.0, ahead))
            self._open += 1
            if self.idle:
                self.idle.pop().send(due)
            else:
                task = loop.create_task(self._opened(due))
                opening.add(task)
                task.add_done_callback(opening.discard)
        self._sent = True
        if not self._open:
            self._done.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._done.wait(), _LAST_S)
        for connection in self.idle:
            connection.close()

    async def _opened(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, made = await loop.create_connection(
                lambda: _Connection(self), "127.0.0.1", self._port
            )
        except OSError:
            self.answered(due, 0)
            return
        made.send(due)


def times(phases: list[tuple[float, float]]) -> Iterator[float]:
    """When requests are due, from the start on."""
    chance = random.Random(_SEED)  # noqa: S311 no secret
    end = at = 0.0
    for rate, seconds in phases:
        end += seconds
        while (at := at + chance.expovariate(rate)) < end:
            yield at
        at = end


if __name__ == "__main__":
    at_port, *numbers = sys.argv[1:]
    amounts = [float(number) for number in numbers]
    load = Load(int(at_port), sys.stdin.buffer.read())
    uvloop.run(load.run(list(zip(amounts[::2], amounts[1::2], strict=True))))
    sys.stdout.write(json.dumps(load.found) + "\n")
