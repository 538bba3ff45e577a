"""Dividing a node's slots and its rate among replicas, by what each of them needs.

    heartbeat: wanted, held, asked ──▶ divisions ──▶ answer: slots for 8 s, parts of the rate

Slots. Σ over replicas of what each may still use never exceeds the limit, whatever messages are
lost and whoever is cut off, because a replica is given only what no other can hold: what others
were told or have reported since (the larger), until a report of theirs says less. A silent replica
stays in the sum for 10 s, when what it held has lapsed (8 s), and until the last request it may
have let in has met its deadline; one that is dead for certain can be forgotten at once. For as long
after a predecessor's last grant control gives nobody more than they report to hold.

Rates. A replica's part is 0.2/n, and 0.8 by its part of the arrivals, smoothed over about 2 s. It
grows only by what others were told to give up; only a replica that starts gets 0.2/n at once, and
keeps it while one that may be dead still has all the rest.

Both are in memory: heartbeats tell them again. One control process divides; with several, all the
heartbeats of a hub must reach the same one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from plaza_core.table import Heartbeat

SILENT_S = 10.0
"""What a replica was given is not given to others before it was silent for so long: the 8 s that
slots are good from the moment it asked, and 2 s for clocks that differ and answers that linger."""
SPREAD = 0.2
"""The part of a rate that is divided equally, so that a first request is not refused."""
_SMOOTHED_S = 2.0
_LEAST_ARRIVALS = 0.01
"""Arrivals per second below which a node counts as idle: its rate is divided equally."""


def divide(capacity: int, wants: Mapping[str, int]) -> dict[str, int]:
    """Everyone what they want, or equal parts where that is too much; what is left, equally too."""
    parts = dict.fromkeys(wants, 0)
    left = _pour(capacity, parts, wants)
    _pour(left, parts, dict.fromkeys(wants, capacity))
    return parts


def _pour(left: int, parts: dict[str, int], upto: Mapping[str, int]) -> int:
    """Raise all parts equally, each up to its bound; the rest to whoever wants most."""
    while left and (open_ := [r for r in parts if parts[r] < upto[r]]):
        each = min(left // len(open_), *(upto[r] - parts[r] for r in open_))
        if each:
            for replica in open_:
                parts[replica] += each
            left -= each * len(open_)
            continue
        for replica in sorted(open_, key=lambda r: (-upto[r], parts[r], r))[:left]:
            parts[replica] += 1
        return 0
    return left


@dataclass(slots=True)
class _Slots:
    bound: dict[str, int] = field(default_factory=dict)
    """Replica -> the most it may use before it is heard again."""
    wants: dict[str, int] = field(default_factory=dict)


class SlotDivision:
    """`now` is in seconds on a monotonic clock; `before` is when a predecessor last granted."""

    def __init__(self, before: float) -> None:
        self._before = before
        self._nodes: dict[str, _Slots] = {}
        self._heard: dict[str, float] = {}
        self._sequence: dict[str, int] = {}

    def hear(
        self, beat: Heartbeat, limits: Mapping[str, int], longest_s: float, now: float
    ) -> dict[str, int]:
        """Slots of every limited node for the replica that reports.

        `longest_s`: the longest a request may be inside.
        """
        replica = beat.replica
        if beat.sequence and beat.sequence <= self._sequence.get(replica, 0):
            return {}  # came late: nobody waits for this answer
        self._sequence[replica], self._heard[replica] = beat.sequence, now
        quiet_s = SILENT_S + longest_s
        for other in [r for r, at in self._heard.items() if now - at > quiet_s]:
            self.forget(other)
        settled = now - self._before > quiet_s
        for name in [n for n in self._nodes if n not in limits]:
            self._grant(name, 0, beat, settled=settled)  # a limit may come back while slots are out
            if not any(self._nodes[name].bound.values()):
                del self._nodes[name]
        return {
            name: self._grant(name, limit, beat, settled=settled) for name, limit in limits.items()
        }

    def forget(self, replica: str) -> None:
        """It is dead for certain, or has been silent for long enough: its slots are free."""
        self._heard.pop(replica, None)
        self._sequence.pop(replica, None)
        for node in self._nodes.values():
            node.bound.pop(replica, None)
            node.wants.pop(replica, None)

    def _grant(self, name: str, limit: int, beat: Heartbeat, *, settled: bool) -> int:
        node = self._nodes.setdefault(name, _Slots())
        replica, held = beat.replica, beat.held.get(name, 0)
        for other in self._heard:
            node.wants.setdefault(other, 0)
        recent = node.wants[replica] * 4 // 5
        node.wants[replica] = min(limit, max(beat.inside.get(name, 0), recent))
        taken = sum(units for other, units in node.bound.items() if other != replica)
        part = divide(limit, node.wants)[replica]
        grant = max(0, min(part, limit - taken, limit if settled else held))
        node.bound[replica] = max(held, grant)
        return grant


@dataclass(slots=True)
class _Rate:
    arrivals: dict[str, float] = field(default_factory=dict)
    """Replica -> smoothed arrivals per second."""
    told: dict[str, float] = field(default_factory=dict)

    def busy(self) -> float:
        """Arrivals per second at all replicas, 0 when there are next to none."""
        whole = sum(self.arrivals.values())
        return whole if whole > _LEAST_ARRIVALS else 0.0

    def settled(self, n: int) -> bool:
        """Idle, and all have the equal part that they take without being told."""
        return not self.busy() and all(abs(s - 1 / n) < 1e-6 for s in self.told.values())


class RateDivision:
    """`now` is in seconds on a monotonic clock."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Rate] = {}
        self._heard: dict[str, float] = {}

    def hear(self, beat: Heartbeat, limited: Collection[str], now: float) -> dict[str, float]:
        """The parts of the replica that reports, of every limited node that is not idle."""
        replica = beat.replica
        for other in [r for r, at in self._heard.items() if now - at > SILENT_S]:
            self.forget(other)
        before = self._heard.get(replica)
        self._heard[replica] = now
        for name in beat.arrivals:
            if name in limited:
                self._nodes.setdefault(name, _Rate())
        self._nodes = {n: node for n, node in self._nodes.items() if n in limited}
        shares = {}
        for name, node in list(self._nodes.items()):
            self._smooth(node, replica, beat.arrivals.get(name, 0), before, now)
            shares[name] = self._share(node, replica)
            if node.settled(len(self._heard)):
                del self._nodes[name]
        return shares

    def forget(self, replica: str) -> None:
        self._heard.pop(replica, None)
        for node in self._nodes.values():
            node.arrivals.pop(replica, None)
            node.told.pop(replica, None)

    def _smooth(
        self, node: _Rate, replica: str, asked: int, before: float | None, now: float
    ) -> None:
        if before is None:
            node.arrivals[replica] = float(asked)
            return
        seconds = max(now - before, 1e-3)
        keep = math.exp(-seconds / _SMOOTHED_S)
        known = node.arrivals.get(replica, 0.0)
        node.arrivals[replica] = keep * known + (1 - keep) * asked / seconds

    def _share(self, node: _Rate, replica: str) -> float:
        n = len(self._heard)
        others = [r for r in self._heard if r != replica]
        whole = node.busy()
        part = node.arrivals[replica] / whole if whole else 1 / n
        wanted = SPREAD / n + (1 - SPREAD) * part
        free = 1 - sum(node.told.get(r, 1 / n) for r in others)
        node.told[replica] = max(min(wanted, free), SPREAD / n)
        return node.told[replica]
