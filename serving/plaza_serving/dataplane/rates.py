"""Request rates: the generic cell rate algorithm over every node of the caller's branch.

GCRA keeps one integer per node, the theoretical arrival time in nanoseconds, and admits a request
iff no node's arrival time is more than its burst tolerance ahead (ITU-T I.371, annex A). All nodes
are checked before any is charged; nothing awaits in between, so the pair is atomic on the loop.

A replica enforces its share s of every limit (r per second, burst b): rate s·r, burst max(1, s·b).
Control sets the shares after the traffic, and they sum to 1 (`control/apportion.py`). In any window
of T seconds one replica grants at most max(1, s·b) + s·r·T. A share that grows brings rate but no
burst, and one that shrinks takes its part of the burst along, so all replicas together grant at
most b + r·T + (n − 1): beyond the limit 0, 1 and 3 requests for 1, 2 and 4 replicas.
Two moments are not in that bound. A replica that starts is given 0.2/n at once, before the others
have given it up (≤ 1 s). One that control cannot hear keeps its share s while the others take it
over after 10 s: until it is heard again, at most (1 + s) of the limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from plaza_core.clock import Clock
from plaza_core.errors import RateLimited
from plaza_core.ids import kind_of_node
from plaza_core.table import RateLimit

_SECOND = 1_000_000_000


class _Bucket:
    """One node's limit at this replica's share. Times in nanoseconds."""

    __slots__ = ("arrival", "asked", "burst", "interval", "limit", "share", "tolerance")

    def __init__(self, limit: RateLimit, share: float) -> None:
        self.arrival = 0
        self.asked = 0
        self.limit, self.share = limit, share
        self._measure()

    def change(self, limit: RateLimit, share: float, now: int) -> None:
        """Another limit or share; what may be asked at once never grows by that."""
        if limit == self.limit and share == self.share:
            self.limit = limit
            return
        left = self.burst - max(0, self.arrival - now) / self.interval
        self.limit, self.share = limit, share
        self._measure()
        self.arrival = now + round((self.burst - min(left, self.burst)) * self.interval)

    def _measure(self) -> None:
        self.burst = max(1.0, self.limit.burst * self.share)
        rate = max(self.limit.per_second * self.share, 1e-6)
        self.interval = -int(-_SECOND // rate)
        self.tolerance = int((self.burst - 1) * self.interval)


class Rates:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._shares: Mapping[str, float] = {}
        self._equal = 1.0
        self._least: dict[str, float] = {}
        """The smallest share so far of nodes that nobody has asked for here: the others may have
        used what it grew by since."""

    def share_among(self, replicas: int, shares: Mapping[str, float] | None = None) -> None:
        """Take this replica's parts: those in `shares`, and 1/`replicas` of every other limit."""
        self._equal = 1 / max(1, replicas)
        self._shares = shares or {}
        for node in self._shares.keys() - self._buckets.keys():
            self._least[node] = min(self._least.get(node, 1.0), self._shares[node])
        now = self._clock.monotonic_ns()
        for node, bucket in self._buckets.items():
            bucket.change(bucket.limit, self._shares.get(node, self._equal), now)

    def forget_except(self, nodes: set[str]) -> None:
        """Drop state of nodes that no longer have a limit."""
        self._buckets = {n: b for n, b in self._buckets.items() if n in nodes}
        self._least = {n: s for n, s in self._least.items() if n in nodes}

    def arrivals(self) -> dict[str, int]:
        """Node -> requests that asked since the last call, granted or not."""
        asked = {}
        for node, bucket in self._buckets.items():
            if bucket.asked:
                asked[node], bucket.asked = bucket.asked, 0
        return asked

    def take(self, limits: Sequence[tuple[str, RateLimit]]) -> None:
        """Charge one request to every node, or raise RateLimited and charge none."""
        now = self._clock.monotonic_ns()
        wait, tightest = 0, ""
        buckets = []
        for node, limit in limits:
            bucket = self._buckets.get(node)
            if bucket is None:
                bucket = self._buckets[node] = self._first(node, limit, now)
            elif bucket.limit is not limit:
                bucket.change(limit, bucket.share, now)
            bucket.asked += 1
            ahead = bucket.arrival - now - bucket.tolerance
            if ahead > wait:
                wait, tightest = ahead, node
            buckets.append(bucket)
        if wait > 0:
            kind = kind_of_node(tightest)
            rate = self._buckets[tightest].limit.per_second
            raise RateLimited(
                f"this {kind} may send {rate:g} requests per second; wait, or have its rate raised",
                input=kind,
                retry_after=wait / _SECOND,
            )
        for bucket in buckets:
            bucket.arrival = max(bucket.arrival, now) + bucket.interval

    def _first(self, node: str, limit: RateLimit, now: int) -> _Bucket:
        share = self._shares.get(node, self._equal)
        bucket = _Bucket(limit, min(share, self._least.pop(node, share)))
        bucket.change(limit, share, now)
        return bucket
