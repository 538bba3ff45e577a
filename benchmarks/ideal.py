"""The queue that nothing real beats: Poisson arrivals, a fixed time of service, c servers, no cost
of moving anything (M/D/c)."""

from __future__ import annotations

import heapq
import random


def waits(rate: float, service_s: float, servers: int, count: int, seed: int = 1) -> list[float]:
    """Seconds from arrival to the end of service of `count` requests, first come, first served.

    The first tenth, while the queue fills, is left out.
    """
    if rate * service_s >= servers:
        raise ValueError("more comes than can be served")
    chance = random.Random(seed)  # noqa: S311 no secret
    free = [0.0] * servers
    now, found = 0.0, []
    for _ in range(count):
        now += chance.expovariate(rate)
        begun = max(now, free[0])
        heapq.heapreplace(free, begun + service_s)
        found.append(begun + service_s - now)
    return found[count // 10 :]


def p(values: list[float], share: float) -> float:
    """The value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
