"""The other pools of this hub: which one is asked, and how many requests are on their way at once.

Only replicas of the main pool forward, and only to pools that the settings name: one hop at most,
because a forwarded request has the path of its pool, which no other pool serves (the main pool
answers it with `pool_unavailable`). A pool's own address means that pool and no other.

Nothing is charged or admitted here: the replica that serves does both.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from plaza_core.clock import Clock
from plaza_core.errors import ForwardingBusy, PoolLost, PoolUnavailable
from plaza_core.ids import OrganisationId
from plaza_core.table import HeartbeatReply
from plaza_serving.pools import Carrier, Elsewhere, Passage, Passed

_FRESH_NS = 10 * 10**9
_MARGIN_S = 2.0


class OtherPools:
    """`most`: requests on their way at once, of one organisation half of them.

    `load_s`: how long a pool may take to open a version before it answers.
    """

    def __init__(
        self, pools: Collection[str], carrier: Carrier, clock: Clock, *, most: int, load_s: float
    ) -> None:
        self._pools = frozenset(pools)
        self._carrier = carrier
        self._clock = clock
        self._most = most
        self._load_s = load_s
        self._inside: Counter[OrganisationId] = Counter()
        self._live: dict[str, int] | None = None
        self._heard_ns = 0

    def __len__(self) -> int:
        """How many are on their way."""
        return self._inside.total()

    def heed(self, reply: HeartbeatReply) -> None:
        """What control says of the pools' replicas."""
        self._live, self._heard_ns = reply.pools, self._clock.monotonic_ns()

    @asynccontextmanager
    async def answer(self, where: Elsewhere, passed: Passed) -> AsyncIterator[Passage]:
        """The answer of one of the pools in `where`, once its head is there.

        Raises ForwardingBusy, PoolUnavailable, PoolLost.
        """
        pool = self._choose(where.pools)
        with self._place(passed.organisation):
            patience = asyncio.timeout(where.limit_s + self._load_s + _MARGIN_S)
            try:
                async with patience, self._carrier.carry(pool, passed) as passage:
                    patience.reschedule(None)  # the head is there; the rest has limits of its own
                    yield passage
            except TimeoutError:
                if not patience.expired():
                    raise
                raise PoolLost(f"the pool '{pool}' did not answer in time") from None

    def _choose(self, pools: Sequence[str]) -> str:
        """The first that has a replica; what control said long ago counts for nothing."""
        known = [pool for pool in pools if pool in self._pools]
        stale = self._clock.monotonic_ns() - self._heard_ns > _FRESH_NS
        for pool in known:
            if self._live is None or stale or self._live.get(pool):
                return pool
        names = " and ".join(f"'{pool}'" for pool in known or pools)
        raise PoolUnavailable(
            f"the model lives in {names}, where no replica is ready", retry_after=2
        )

    @contextmanager
    def _place(self, organisation: OrganisationId) -> Iterator[None]:
        own = self._inside[organisation]
        if len(self) >= self._most or own >= max(1, self._most // 2):
            raise ForwardingBusy("too many requests are on their way to other pools")
        self._inside[organisation] += 1
        try:
            yield
        finally:
            self._inside[organisation] -= 1
            if not self._inside[organisation]:
                del self._inside[organisation]
