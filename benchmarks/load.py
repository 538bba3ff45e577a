"""A closed-loop load generator on raw sockets, run as its own process.

`n` keep-alive connections each send a prepared request, wait for the whole answer, and send the
next one in turn. One epoll loop, no HTTP library: about 6 µs of this process per request, so the
server under test stays the bottleneck. Every answer's status is read; anything but 200 is counted
as an error.

    python -m benchmarks.load HOST PORT CONNECTIONS SECONDS [LENGTH …] < requests

prints one line of JSON. With LENGTHs the input is several requests, one after the other.
"""

from __future__ import annotations

import itertools
import json
import re
import select
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Connection:
    sock: socket.socket
    sent_ns: int = 0
    buffer: bytearray = field(default_factory=bytearray)


_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def answer_length(data: bytearray) -> int:
    """Bytes of the first whole answer in `data`, or 0 if it is not there yet."""
    end = data.find(b"\r\n\r\n") + 4
    if end < 4:
        return 0
    length = _LENGTH.search(data, 0, end)
    if length is None:
        raise ValueError("the load generator reads answers with a content-length only")
    total = end + int(length[1])
    return total if len(data) >= total else 0


def told(latencies: list[int], errors: int, elapsed_ns: int) -> dict[str, float]:
    """What generators print. Latencies are ns, of all requests, whatever their answers; counted as
    requests are those that were answered without an error."""
    ordered = sorted(latencies)
    good = len(ordered) - errors
    return {
        "requests_per_second": good / (elapsed_ns / 1e9),
        "requests": good,
        "errors": errors,
        "p50_ms": _percentile(ordered, 0.50),
        "p99_ms": _percentile(ordered, 0.99),
    }


def _percentile(ordered: list[int], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e6


def run(
    host: str, port: int, connections: int, seconds: float, requests: Sequence[bytes]
) -> dict[str, float]:
    turn = itertools.cycle(requests)
    poll = select.epoll()
    open_ones: dict[int, Connection] = {}
    for _ in range(connections):
        sock = socket.create_connection((host, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        open_ones[sock.fileno()] = Connection(sock)
        poll.register(sock.fileno(), select.EPOLLIN)
    latencies: list[int] = []
    errors = 0
    now = time.perf_counter_ns
    start = now()
    stop = start + int(seconds * 1e9)
    for connection in open_ones.values():
        connection.sent_ns = now()
        connection.sock.sendall(next(turn))
    while (at := now()) < stop:
        for number, _ in poll.poll(0.1):
            connection = open_ones[number]
            data = connection.sock.recv(1 << 16)
            if not data:
                raise ConnectionError("the server closed a connection")
            connection.buffer += data
            if not answer_length(connection.buffer):
                continue
            at = now()
            latencies.append(at - connection.sent_ns)
            errors += not connection.buffer.startswith(b"HTTP/1.1 200")
            connection.buffer.clear()
            connection.sent_ns = at
            connection.sock.sendall(next(turn))
    return told(latencies, errors, now() - start)


if __name__ == "__main__":
    where, at_port, count, duration, *lengths = sys.argv[1:]
    given = sys.stdin.buffer
    sent = [given.read(int(length)) for length in lengths] or [given.read()]
    result = run(where, int(at_port), int(count), float(duration), sent)
    sys.stdout.write(json.dumps(result) + "\n")
