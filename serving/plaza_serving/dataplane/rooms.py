"""Rooms: the memory that models may take here, given to one version after another.

    asked for ──in turn──▶ who leaves for it is retired ──▶ reserved ──▶ lived in ──▶ given back

Who leaves is the business of `memory`, and never a version in use: whoever asks waits until enough
of the others are idle. Whoever asks first is served first: else a large model could wait for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from plaza_core.clock import Clock
from plaza_core.errors import DoesNotFit
from plaza_core.ids import VersionKey
from plaza_serving.dataplane.hosted import Hosted
from plaza_serving.dataplane.memory import Memory

_PATIENCE_NS = 10_000_000_000
"""Who has waited for longer has waited long."""


class Rooms:
    """By number, for one event loop. `retire` is told who has to leave."""

    def __init__(self, memory: Memory[int], clock: Clock, retire: Callable[[Hosted], None]) -> None:
        self._memory = memory
        self._clock = clock
        self._retire = retire
        self._inside: dict[int, Hosted] = {}
        self._made = 0
        self._asking_since: dict[VersionKey, int] = {}
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    async def take(self, key: VersionKey, size: int) -> int:
        """Reserve `size` bytes for `key`, once those who leave for it are gone; the number of the
        room. Raises DoesNotFit where the whole memory is smaller."""
        self._asking_since[key] = self._clock.monotonic_ns()
        try:
            return await self._make(size)
        finally:
            del self._asking_since[key]

    def stuck(self, keys: Iterable[VersionKey]) -> bool:
        """Whether all these have long waited for a room."""
        now = self._clock.monotonic_ns()
        return all(now - self._asking_since.get(key, now) > _PATIENCE_NS for key in keys)

    def enter(self, hosted: Hosted) -> None:
        """It is open in the room that was taken for it."""
        self._inside[hosted.room] = hosted

    def leave(self, hosted: Hosted) -> None:
        """It is retired and nobody uses it any more."""
        del self._inside[hosted.room]
        self.give_back(hosted.room)

    def give_back(self, room: int) -> None:
        """Its bytes are free again."""
        self._memory.release(room)
        self.look_again()

    def look_again(self) -> None:
        """Who waits may find that somebody is idle now."""
        self._freed.set()

    async def _make(self, size: int) -> int:
        if size > self._memory.budget:
            raise DoesNotFit(
                f"it takes {size >> 20} MB of memory, and the models of a replica have"
                f" {self._memory.budget >> 20} MB together"
            )
        async with self._turn:
            while (leaving := self._memory.leaving(size, self._idle)) is None:
                self._freed.clear()
                await self._freed.wait()
            for other in leaving:
                self._memory.evict(other)
                self._retire(self._inside[other])
            room = self._made = self._made + 1
            self._memory.reserve(room, size)
            return room

    def _idle(self, room: int) -> bool:
        hosted = self._inside[room]
        return not hosted.users and not hosted.retired
