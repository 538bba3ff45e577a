"""The clients of one organisation as a process of their own, until they are told to stop.

    with Clients(port, request, connections=8) as clients: …              closed loop
    with Clients(port, request, connections=400, rate=500.0) as clients: … open loop

Closed loop: every connection sends, waits for the whole answer and sends again; 50 ms after a
refusal. Open loop: requests leave at even distances whatever became of those before; one that finds
no free connection waits for one. A refusal is 429 or 503 with Retry-After; anything else but 200 is
`wrong`, but for 504, which is `late`, and for a connection that the hub closed: `cut`. `held_ms` is
how long the clients could have gone on and were given no processor: nothing waits for them then.

    python -m benchmarks.clients PORT CONNECTIONS RATE < request          ends with its input
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.load import answer_length

_PAUSE_S = 0.05
_LENGTH = struct.Struct("!I")


class Clients:
    """A running process of clients. After the block `counts` has what became of all requests."""

    def __init__(
        self, port: int, request: bytes, *, connections: int, rate: float | None = None
    ) -> None:
        self.connections, self.rate = connections, rate
        self.counts: Counter[str] = Counter()
        self._request = request
        self._command = ["-m", "benchmarks.clients", str(port), str(connections), str(rate or 0)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 our own command
            [sys.executable, *self._command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None
        self._process.stdin.write(_LENGTH.pack(len(self._request)) + self._request)
        self._process.stdin.flush()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        told, _ = self._process.communicate(timeout=30)
        if kind is None:
            self.counts.update(json.loads(told))


@dataclass(slots=True, eq=False)
class _Connection:
    port: int
    sock: socket.socket = field(init=False)
    buffer: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.sock = socket.create_connection(("127.0.0.1", self.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: bytes) -> None:
        try:
            self.sock.sendall(request)
        except OSError:  # it was closed while it lay idle
            self.sock.close()
            self.open()
            self.sock.sendall(request)

    def read(self) -> bytes | None:
        """The whole answer, None while some of it is missing. Opens anew what the hub closed."""
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            self.buffer.clear()
            self.sock.close()
            self.open()
            return b""
        self.buffer += data
        if not answer_length(self.buffer):
            return None
        answer = bytes(self.buffer)
        self.buffer.clear()
        return answer


class _Loop:
    """One epoll loop over all connections; ends when its own input does."""

    def __init__(self, port: int, request: bytes, connections: int, rate: float) -> None:
        self._request, self._rate = request, rate
        self._poll = select.epoll()
        self._free = deque(_Connection(port) for _ in range(connections))
        self._busy: dict[int, _Connection] = {}
        self._resting: deque[tuple[float, _Connection]] = deque()
        self.counts: Counter[str] = Counter()

    def run(self) -> None:
        stop, before = sys.stdin.fileno(), _without_processor_ms()
        self._poll.register(stop, select.EPOLLIN)
        due = time.monotonic()
        while True:
            due = self._send(due)
            for number, _ in self._poll.poll(self._idle_s(due)):
                if number == stop:
                    self.counts["held_ms"] = _without_processor_ms() - before
                    return
                self._receive(self._busy[number])

    def _send(self, due: float) -> float:
        """Send what is due now; returns when the next one is."""
        now = time.monotonic()
        while self._resting and self._resting[0][0] <= now:
            self._free.append(self._resting.popleft()[1])
        while self._free and (not self._rate or due <= now):
            connection = self._free.popleft()
            connection.send(self._request)
            self._busy[connection.sock.fileno()] = connection
            self._poll.register(connection.sock, select.EPOLLIN)
            self.counts["sent"] += 1
            if self._rate:
                due += 1 / self._rate
        return due

    def _idle_s(self, due: float) -> float:
        waits = [1.0]
        if self._rate and self._free:
            waits.append(due - time.monotonic())
        if self._resting:
            waits.append(self._resting[0][0] - time.monotonic())
        return max(0.0, min(waits))

    def _receive(self, connection: _Connection) -> None:
        number = connection.sock.fileno()
        answer = connection.read()
        if answer is None:
            return
        if answer:
            self._poll.unregister(number)
        del self._busy[number]
        what = _told(answer)
        self.counts[what] += 1
        if what == "ok" or self._rate:
            self._free.append(connection)
        else:
            self._resting.append((time.monotonic() + _PAUSE_S, connection))


def _without_processor_ms() -> int:
    """How long this process was ready to run and did not, so far; 0 where that is not known."""
    try:
        return int(Path("/proc/self/schedstat").read_text().split()[1]) // 1_000_000
    except FileNotFoundError:
        return 0


def _told(answer: bytes) -> str:
    status = answer[9:12]
    if not status:
        return "cut"
    if status == b"200":
        return "ok"
    if status in {b"429", b"503"} and b"\r\nretry-after:" in answer.lower():
        return "refused"
    return "late" if status == b"504" else "wrong"


def main() -> None:
    port, connections, rate = sys.argv[1:4]
    (length,) = _LENGTH.unpack(os.read(0, _LENGTH.size))
    request = b""
    while len(request) < length:
        request += os.read(0, length - len(request))
    loop = _Loop(int(port), request, int(connections), float(rate))
    loop.run()
    sys.stdout.write(json.dumps(loop.counts))


if __name__ == "__main__":
    main()
