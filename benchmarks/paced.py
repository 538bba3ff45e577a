"""An open-loop load generator: requests leave at their times, whether or not answers have come.

Latency counts from the moment a request was due, so a stall is seen by all that were due in it
(closed loops hide it). Keep-alive connections are opened as needed and taken in turn, so that none
lies idle until the server closes it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; times are seconds on the monotonic clock."""

    due: float
    sent: float
    done: float
    status: int
    version: int | None

    @property
    def latency_ms(self) -> float:
        return (self.done - self.due) * 1e3


@dataclass(slots=True)
class Pace:
    """Sends one prepared request `rate` times a second from `start()` until `stop()`."""

    port: int
    request: bytes
    rate: float
    answers: list[Answer] = field(default_factory=list)
    _idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=deque)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
        await asyncio.gather(*self._tasks)
        for _, writer in self._idle:
            writer.close()

    async def _run(self) -> None:
        due = time.monotonic()
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self._one(due))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            due += 1 / self.rate

    async def _one(self, due: float) -> None:
        sent = time.monotonic()
        try:
            if self._idle:
                reader, writer = self._idle.popleft()
            else:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(self.request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            self.answers.append(Answer(due, sent, time.monotonic(), 0, None))
            return
        done = time.monotonic()
        status = int(head.split(b" ", 2)[1])
        version = int(json.loads(body)["model_version"]) if status == HTTPStatus.OK else None
        self.answers.append(Answer(due, sent, done, status, version))
        self._idle.append((reader, writer))


def request(path: str, key: str, body: bytes) -> bytes:
    """The bytes of one POST."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def percentile_ms(answers: list[Answer], share: float) -> float:
    ordered = sorted(answer.latency_ms for answer in answers)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
