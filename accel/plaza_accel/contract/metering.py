"""How long a run kept its device: what a provider states, and the one place that measures it.

    thread   processor time of the calling thread, on which the whole run is made
    wall     wall time of the run × the threads that one run keeps busy; at most `at_once` runs of
             a device at a time, so that no microsecond of it is told twice

A run that waits for its turn is told nothing for waiting. Preparing and interpreting need no turn:
while one worker waits for the device, another decodes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from plaza_core.running import RemoteRunner, Runner
from plaza_core.tensors import Array, Signature

Nanoseconds = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Metering:
    """What a provider states. `threads` of one run; 0: the calling thread's own time is meant.

    `at_once` is how many runs the device takes at a time, None as many as there are.
    """

    threads: int = 1
    at_once: int | None = 1

    def __post_init__(self) -> None:
        if self.threads < 0 or (self.at_once is not None and self.at_once < 1):
            raise ValueError("threads are counted from 0 and runs from 1")

    @property
    def of_thread(self) -> bool:
        return self.threads == 0


OF_THREAD: Final = Metering(threads=0, at_once=None)
"""For what computes on the thread that calls it."""
EXCLUSIVE: Final = Metering()
"""For a device of its own kind: one run at a time, by the clock on the wall."""


class DeviceClock:
    """The turns and the time of one replica's device, over all models that are open on it.

    `shared` is a file that replicas lock in turn where several have a part of one device each.
    """

    def __init__(
        self,
        metering: Metering,
        *,
        shared: Path | None = None,
        thread_ns: Nanoseconds = time.thread_time_ns,
        wall_ns: Nanoseconds = time.monotonic_ns,
    ) -> None:
        self._metering = metering
        self._thread_ns = thread_ns
        self._wall_ns = wall_ns
        self._turns = None if metering.at_once is None else threading.Semaphore(metering.at_once)
        self._among_replicas = None if shared is None else _Turnstile(shared)
        self._of_thread = threading.local()

    def meter(self, runner: Runner) -> tuple[Runner, Nanoseconds]:
        """`runner` as it is to be called, and what tells how much device time the calling thread's
        runs have cost so far. A remote runner tells its own: its process has its own threads."""
        if isinstance(runner, RemoteRunner):
            return runner, runner.cpu_ns
        if self._metering.of_thread:
            return runner, self._thread_ns
        return MeteredRunner(runner, self), self.spent_ns

    def spent_ns(self) -> int:
        """Device time of the calling thread's turns so far."""
        spent: int = getattr(self._of_thread, "ns", 0)
        return spent

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the device; what is done inside is told to the calling thread."""
        with contextlib.ExitStack() as held:
            if self._turns is not None:
                held.enter_context(self._turns)
            if self._among_replicas is not None:
                held.enter_context(self._among_replicas)
            began = self._wall_ns()
            try:
                yield
            finally:
                took = (self._wall_ns() - began) * self._metering.threads
                self._of_thread.ns = self.spent_ns() + took


class MeteredRunner:
    """A runner that takes turns."""

    def __init__(self, inner: Runner, clock: DeviceClock) -> None:
        self._inner = inner
        self._turn = clock.turn

    @property
    def signature(self) -> Signature:
        return self._inner.signature

    @property
    def provider(self) -> str:
        return self._inner.provider

    @property
    def resident_bytes(self) -> int:
        return self._inner.resident_bytes

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        with self._turn():
            return self._inner.run(inputs, outputs)

    def close(self) -> None:
        self._inner.close()


class _Turnstile:
    """A lock among processes. Used by one thread of each at a time; a dead holder lets go."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)
