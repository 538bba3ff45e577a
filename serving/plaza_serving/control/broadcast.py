"""One-to-many wake-ups between threads and coroutines: what long polls wait on.

Owns the rule that no wake-up is lost: a condition is looked at and its waiter registered without
giving up the loop in between, and `fire` comes after the change it announces.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Broadcast:
    """Wakes every coroutine in `until`. `fire` may be called from any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._closed = False

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    def fire(self) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._wake)

    def close(self) -> None:
        """End every wait now and all later ones at once: the process is about to stop."""
        self._closed = True
        self.fire()

    async def until(
        self, ready: Callable[[], bool], seconds: float, *, recheck_s: float | None = None
    ) -> bool:
        """Whether `ready()` came true within `seconds`; looked at first, then after each `fire`.

        `recheck_s` looks again that often, for conditions that also change by the passing of time.
        """
        self._loop = loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not ready():
            left = deadline - loop.time()
            if left <= 0 or self._closed:
                return False
            waiter = loop.create_future()
            self._waiters.add(waiter)
            try:
                await asyncio.wait((waiter,), timeout=min(left, recheck_s or left))
            finally:
                self._waiters.discard(waiter)
        return True

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
