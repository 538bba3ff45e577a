"""Request rates: the generic cell rate algorithm over every node of the caller's branch.

GCRA keeps one integer per node, the theoretical arrival time in nanoseconds, and admits a request
iff no node's arrival time is more than its burst tolerance ahead (ITU-T I.371, annex A). All nodes
are checked before any is charged; nothing awaits in between, so the pair is atomic on the loop.
Replicas of a pool share a limit equally: each takes 1/n of rate and burst.
"""

from __future__ import annotations

from collections.abc import Sequence

from plaza_core.clock import Clock
from plaza_core.errors import RateLimited
from plaza_core.table import RateLimit

_SECOND = 1_000_000_000


class Rates:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._arrival: dict[str, int] = {}
        self._shares = 1

    def share_among(self, replicas: int) -> None:
        """Tell how many live replicas the limits are divided by."""
        self._shares = max(1, replicas)

    def forget_except(self, nodes: set[str]) -> None:
        """Drop state of nodes that no longer have a limit."""
        self._arrival = {n: t for n, t in self._arrival.items() if n in nodes}

    def take(self, limits: Sequence[tuple[str, RateLimit]]) -> None:
        """Charge one request to every node, or raise RateLimited and charge none."""
        now = self._clock.monotonic_ns()
        arrivals: list[tuple[str, int]] = []
        wait = 0
        for node, limit in limits:
            interval = int(_SECOND * self._shares / limit.per_second)
            burst = max(1, limit.burst // self._shares)
            arrival = max(self._arrival.get(node, 0), now)
            wait = max(wait, arrival - (burst - 1) * interval - now)
            arrivals.append((node, arrival + interval))
        if wait > 0:
            raise RateLimited("too many requests", retry_after=wait / _SECOND)
        self._arrival.update(arrivals)
