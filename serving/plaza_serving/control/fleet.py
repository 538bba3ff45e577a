"""Which replicas live and what they have published, from their heartbeats; what each is told.

In memory only: a restarted control knows the whole fleet again one second later.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field

from plaza_core.clock import Clock
from plaza_core.ids import ModelId
from plaza_core.table import Heartbeat, HeartbeatReply
from plaza_serving.control.apportion import RateDivision, SlotDivision
from plaza_serving.control.broadcast import Broadcast
from plaza_serving.control.feed import TableFeed
from plaza_serving.control.granted import GrantMark

log = logging.getLogger(__name__)

LIVE_S = 5.0
"""A replica whose last heartbeat is older is fenced: it counts neither as live nor as published."""
FORGET_S = 600.0
"""How long a silent replica stays in the status report."""


@dataclass(frozen=True, slots=True)
class Replica:
    """The last word of one replica; `age_s` is how long ago it was heard."""

    heartbeat: Heartbeat
    age_s: float

    @property
    def live(self) -> bool:
        return self.age_s < LIVE_S


@dataclass(frozen=True, slots=True)
class Publication:
    """Who has published one version, who has yet to, and who never will (with its error code)."""

    published_on: tuple[str, ...]
    waiting_for: tuple[str, ...]
    failed_on: dict[str, str] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        return not self.waiting_for


class Fleet:
    """`mark` tells when slots were last granted by a control before this one; without it, assume
    that it was just now."""

    def __init__(self, feed: TableFeed, clock: Clock, mark: GrantMark | None = None) -> None:
        self._feed = feed
        self._mark = mark
        self._clock = clock
        self._last: dict[str, tuple[int, Heartbeat]] = {}
        self._refused: dict[str, tuple[int, Heartbeat]] = {}
        self._slots = SlotDivision(
            clock.monotonic_ns() / 1e9 - (0.0 if mark is None else mark.age_s())
        )
        self._rates = RateDivision()
        self.heard = Broadcast()

    def hear(self, heartbeat: Heartbeat) -> int:
        """Remember a heartbeat; return how many replicas of its pool live, itself included."""
        now = self._clock.monotonic_ns()
        if heartbeat.refusal is not None:
            return self._hear_refusal(heartbeat, now)
        self._last[heartbeat.replica] = (now, heartbeat)
        for name, (at, _) in list(self._last.items()):
            if now - at > FORGET_S * 1e9:
                del self._last[name]
        self.heard.fire()
        return sum(r.live and r.heartbeat.pool == heartbeat.pool for r in self.replicas())

    def _hear_refusal(self, heartbeat: Heartbeat, now: int) -> int:
        """One that cannot run its pool is waited for by nobody, and has no part of anything."""
        if heartbeat.pool not in self.refusals():
            log.error("pool '%s' cannot run: %s", heartbeat.pool, heartbeat.refusal)
        self._refused[heartbeat.pool] = (now, heartbeat)
        return 0

    def refusals(self) -> dict[str, str]:
        """Pool -> why a replica of it, heard of lately, cannot run it."""
        now = self._clock.monotonic_ns()
        return {
            pool: beat.refusal or ""
            for pool, (at, beat) in self._refused.items()
            if now - at < LIVE_S * 1e9
        }

    def answer(self, heartbeat: Heartbeat) -> HeartbeatReply:
        """Remember a heartbeat; tell its replica its parts of rates and slots."""
        if heartbeat.refusal is not None:
            return HeartbeatReply(live_replicas=self.hear(heartbeat))
        limits, now = self._feed.current.limits, self._clock.monotonic_ns() / 1e9
        slots = self._slots.hear(heartbeat, limits.slots, limits.longest_s, now)
        if self._mark is not None and any(slots.values()):
            self._mark.touch()
        return HeartbeatReply(
            live_replicas=self.hear(heartbeat),
            rate_shares=self._rates.hear(heartbeat, limits.rates, now),
            slots=slots,
            pools=dict(Counter(one.heartbeat.pool for one in self.replicas() if one.live)),
        )

    def gone(self, replica: str) -> None:
        """This replica's process has ended for certain: its slots and rates are free at once.

        On the loop, as everything here.
        """
        self._last.pop(replica, None)
        self._slots.forget(replica)
        self._rates.forget(replica)
        self.heard.fire()

    def replicas(self) -> list[Replica]:
        now = self._clock.monotonic_ns()
        heard = [Replica(beat, (now - at) / 1e9) for at, beat in self._last.values()]
        return sorted(heard, key=lambda r: r.heartbeat.replica)

    def live(self) -> int:
        """How many replicas of all pools live now."""
        return sum(replica.live for replica in self.replicas())

    def publication(self, model: ModelId, version: int, sequence: int) -> Publication:
        """Where `version` answers, among live replicas that must have seen change `sequence`.

        A replica publishes a table once what it names is open, or finds no room before it is used.
        One that has reported the version as failed is listed apart: waiting for it is vain.
        """
        published, waiting, failed = [], [], {}
        for replica in self.replicas():
            beat = replica.heartbeat
            if not replica.live:
                continue
            if not self._feed.reached(beat.table_version, sequence):
                waiting.append(beat.replica)
            elif code := beat.failed.get(f"{model}/{version}"):
                failed[beat.replica] = code
            else:
                published.append(beat.replica)
        return Publication(tuple(published), tuple(waiting), failed)

    async def wait_published(
        self, model: ModelId, version: int, sequence: int, seconds: float
    ) -> Publication:
        """`publication` once nobody is waited for, or as it stands after `seconds`.

        Looked at again twice a second, because a replica that falls silent is waited for no more.
        """
        await self.heard.until(
            lambda: self.publication(model, version, sequence).settled, seconds, recheck_s=0.5
        )
        return self.publication(model, version, sequence)

    def close(self) -> None:
        self.heard.close()
