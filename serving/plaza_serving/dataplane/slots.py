"""Concurrency: how many requests of a node may be inside here, as control has divided its slots.

What was granted is good for 8 s from the moment the heartbeat was sent that asked for it; without
news it falls to 0, so that control may hand it to others (`control/apportion.py`). A request keeps
its slot until it leaves. When slots are short a heartbeat is due at once, and the request waits for
its answer for a moment, unless this replica already holds all there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plaza_core.clock import Clock
from plaza_core.errors import ConcurrencyExceeded
from plaza_core.ids import kind_of_node

GOOD_NS = 8_000_000_000
_NEWS_S = 0.25
_MOST_WAITING = 64


@dataclass(slots=True)
class _Node:
    granted: int = 0
    inside: int = 0
    wanted: int = 0
    """Most that were inside at once since the last heartbeat, and those that could not enter."""


class Slots:
    """Used on the loop only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._nodes: dict[str, _Node] = {}
        self._until_ns = 0
        self._waiting = 0
        self._news = asyncio.Event()
        self.due = asyncio.Event()
        """Set when control should hear of this replica before the second is over."""

    def check(self, limits: Sequence[tuple[str, int]]) -> None:
        """Raises ConcurrencyExceeded when a node has no slot left here."""
        fresh = self._clock.monotonic_ns() < self._until_ns
        for name, most in limits:
            node = self._nodes.get(name)
            if node is None:
                node = self._nodes[name] = _Node()
            if node.inside >= min(most, node.granted if fresh else 0):
                node.wanted = min(most, max(node.wanted, node.inside) + 1)
                kind = kind_of_node(name)
                raise ConcurrencyExceeded(
                    f"this {kind} may have {most} requests inside at once; wait for one to end",
                    input=kind,
                    retry_after=1,
                )

    def enter(self, limits: Sequence[tuple[str, int]]) -> None:
        for name, _ in limits:
            node = self._nodes[name]
            node.inside += 1
            node.wanted = max(node.wanted, node.inside)

    def leave(self, limits: Sequence[tuple[str, int]]) -> None:
        for name, _ in limits:
            self._nodes[name].inside -= 1

    async def news(self, limits: Sequence[tuple[str, int]]) -> bool:
        """Ask control now and wait for its answer. False when it can change nothing, or is away."""
        fresh = self._clock.monotonic_ns() < self._until_ns
        if fresh and any(self._nodes[n].inside >= most for n, most in limits):
            return False
        if self._waiting >= _MOST_WAITING:
            return False
        self.due.set()
        self._waiting += 1
        try:
            async with asyncio.timeout(_NEWS_S):
                await self._news.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True

    def grant(self, slots: Mapping[str, int], sent_ns: int) -> None:
        """Control's answer to the heartbeat that was sent at `sent_ns`."""
        less = False
        for name in {*self._nodes, *slots}:
            node = self._nodes.setdefault(name, _Node())
            new = slots.get(name, 0)
            less = less or new < node.granted
            node.granted = new
            if not (new or node.inside or node.wanted):
                del self._nodes[name]
        self._until_ns = sent_ns + GOOD_NS
        if less:
            self.due.set()  # others may wait for what was given up
        self._news.set()
        self._news = asyncio.Event()

    def held(self) -> dict[str, int]:
        """Node -> the most that may be inside before the next answer."""
        fresh = self._clock.monotonic_ns() < self._until_ns
        held = {n: max(node.inside, node.granted * fresh) for n, node in self._nodes.items()}
        return {n: count for n, count in held.items() if count}

    def wanted(self) -> dict[str, int]:
        """Node -> most that wanted to be inside at once since the last call."""
        wanted = {n: node.wanted for n, node in self._nodes.items() if node.wanted}
        for node in self._nodes.values():
            node.wanted = node.inside
        return wanted
