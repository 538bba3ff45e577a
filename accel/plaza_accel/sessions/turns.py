"""Many at once, or one alone: so that a run which found the arena full can be judged by itself.

A run takes the lock of its own thread, which nobody contends for (0.3 µs). Who must be alone asks
for all of them, and from then on new runs wait, so that it gets its turn.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


class Turns:
    """Thread-safe. One turn must not be taken inside another."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._all: list[threading.Lock] = []
        self._door = threading.Lock()
        self._wanted = False

    def one(self) -> threading.Lock:
        """To be held by a run, by the thread that asked for it."""
        if self._wanted:
            with self._door:
                pass
        lock: threading.Lock | None = getattr(self._own, "lock", None)
        return self._made() if lock is None else lock

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While no run is; waits for those that are, the other one that is alone among them."""
        with self._door, ExitStack() as held:
            self._wanted = True
            try:
                for lock in self._all:
                    held.enter_context(lock)
                yield
            finally:
                self._wanted = False

    def _made(self) -> threading.Lock:
        with self._door:
            self._own.lock = lock = threading.Lock()
            self._all.append(lock)
        return lock
