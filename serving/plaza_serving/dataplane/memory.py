"""The byte budget of a replica: what is held, what is being opened, who leaves when it is short.

GreedyDual-Size (Cao and Irani, "Cost-Aware WWW Proxy Caching Algorithms", 1997): what is resident
has a credit, `floor + cost of opening it again / its bytes`, renewed by every use. Who leaves has
the least credit, and the floor rises to it: so age counts, but a small model that is slow to open
stays longer than a large quick one. Equal credits leave by least recent use.

Bytes are reserved before a model is opened, so that the sum never passes the budget, also while
several are opened side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from operator import itemgetter
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Resident:
    size: int
    cost: int = 0
    credit: tuple[float, int] = (0.0, 0)
    """And the turn of the last use."""
    open: bool = False


class Memory(Generic[K]):
    """Bytes by key. Not thread-safe: for one event loop."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._held: dict[K, _Resident] = {}
        self._floor = 0.0
        self._turn = 0

    @property
    def held(self) -> int:
        """Bytes of what is open and of what is being opened."""
        return sum(one.size for one in self._held.values())

    @property
    def free(self) -> int:
        return self.budget - self.held

    def leaving(self, size: int, idle: Callable[[K], bool]) -> list[K] | None:
        """Who must leave so that `size` bytes fit, least credit first; None when that cannot be
        now, because too much of it is in use."""
        short = size - self.free
        names: list[K] = []
        resident = [(one.credit, name) for name, one in self._held.items() if one.open]
        for _, name in sorted(resident, key=itemgetter(0)):
            if short <= 0:
                break
            if idle(name):
                names.append(name)
                short -= self._held[name].size
        return names if short <= 0 else None

    def reserve(self, name: K, size: int) -> None:
        """For a model that is about to be opened."""
        self._held[name] = _Resident(size)

    def opened(self, name: K, cost: int) -> None:
        """It is open now; opening took `cost` µs."""
        one = self._held[name]
        one.cost, one.open = cost, True
        self.used(name)

    def used(self, name: K) -> None:
        one = self._held[name]
        self._turn += 1
        one.credit = (self._floor + one.cost / max(1, one.size), self._turn)

    def evict(self, name: K) -> None:
        """It leaves because others need the room."""
        self._floor = max(self._floor, self._held[name].credit[0])
        self.release(name)

    def release(self, name: K) -> None:
        """Its bytes are free again."""
        self._held.pop(name, None)
