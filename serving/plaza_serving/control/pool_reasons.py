"""Why a pool serves nothing, as far as this node can tell: for `plaza status` and control's log.

a replica of it says so ──▶ its own words        none is placed ──▶ what it asks of a node, and
                                                  what its provider says of this one
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping

from plaza_accel.examination.certifier import Place
from plaza_accel.examination.interpreter import refusal_of
from plaza_core.clock import Clock
from plaza_core.pools import MAIN_POOL, Pool
from plaza_serving.control.serve_config import resources_of

log = logging.getLogger(__name__)

_FRESH_NS = 60 * 10**9

Look = Callable[[Place], str | None]


def place_of(pool: Pool) -> Place:
    """Where bundles are certified for `pool`, and its provider is asked."""
    return Place(pool.provider, pool.options, str(pool.environment or sys.executable))


class PoolReasons:
    """`look` starts an interpreter and blocks; what it said is remembered for a minute."""

    def __init__(self, clock: Clock, look: Look = refusal_of) -> None:
        self._clock = clock
        self._look = look
        self._known: dict[str, tuple[int, str | None]] = {}
        self._one_at_a_time = threading.Lock()

    def why(self, pool: Pool, running: int, refusals: Mapping[str, str]) -> str | None:
        """None where nothing is wrong, or nothing known. `refusals` are the replicas' own words."""
        if pool.name in refusals:
            return refusals[pool.name]
        if running or pool.name == MAIN_POOL:
            return None
        here = self._of_this_node(pool)
        wanted = resources_of(pool)
        if wanted:
            asked = ", ".join(f"{name} {amount:g}" for name, amount in wanted.items())
            placing = f"no replica is placed yet: each takes {asked} of a node of the cluster"
            return placing if here is None else f"{placing}; on control's node: {here}"
        return here

    def _of_this_node(self, pool: Pool) -> str | None:
        with self._one_at_a_time:
            now = self._clock.monotonic_ns()
            at, refusal = self._known.get(pool.name, (None, None))
            if at is None or now - at > _FRESH_NS:
                refusal = self._look(place_of(pool))
                self._known[pool.name] = (now, refusal)
            return refusal
