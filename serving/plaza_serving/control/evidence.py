"""What the gate knows of a rollout: replicas' counts, each added exactly once, and its tests.

    heartbeat (replica, sequence, counts since its start) ── minus what was seen ──▶ block ──▶ tests

Replicas count from their start and never go back, so an observation that is lost, late or repeated
changes nothing in the end. What was seen of each replica is kept with the tests it went into, as
one value: a control that restarts goes on where the last `keep` left it.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from plaza_core.rollout import Arm, ArmCounts, Observation
from plaza_core.sequential import Wealth

MOST_SEEN = 100
"""Replicas whose counts are remembered. Beyond, who has long left is closed: what it might still
say later is not counted."""

_Frozen = ConfigDict(frozen=True)


class Seen(BaseModel):
    """The last word of one replica. `told` None: closed."""

    model_config = _Frozen

    sequence: int
    told: Observation | None


class Evidence(BaseModel):
    """Opaque to everybody but the gate; `Rollout.evidence` holds it as JSON."""

    model_config = _Frozen

    seen: dict[str, Seen] = {}
    block: Observation = Observation()
    """What came since the last block was closed."""
    total: Observation = Observation()
    blocks: int = 0
    failures: Wealth = Wealth()
    latency: Wealth = Wealth()
    disagreements: Wealth = Wealth()
    slower: tuple[int, int] = (0, 0)
    """(pairs in which the candidate was slower, pairs that differ)."""
    unopened_unix_us: int | None = None
    """Since when no replica can open the candidate."""

    def take(self, told: Mapping[str, tuple[int, Observation]]) -> Evidence:
        """With what replicas have said by now: replica -> (sequence, counts since its start)."""
        seen, block, total = dict(self.seen), self.block, self.total
        for replica, (sequence, now) in told.items():
            before = seen.get(replica, Seen(sequence=-1, told=Observation()))
            if before.told is None or sequence <= before.sequence:
                continue
            if now != before.told:
                news = _less(now, before.told)
                block, total = _plus(block, news), _plus(total, news)
            seen[replica] = Seen(sequence=sequence, told=now)
        news_only = {"seen": _bounded(seen, told), "block": block, "total": total}
        return self.model_copy(update=news_only)

    def arm(self, arm: Arm) -> ArmCounts:
        """Of the block that is open."""
        return self.block.arms.get(arm, ArmCounts())

    def same_counts(self, other: Evidence) -> bool:
        """Whether the two differ in heartbeats' numbers at most."""
        return self.total == other.total and self.unopened_unix_us == other.unopened_unix_us


def _bounded(seen: dict[str, Seen], told: Mapping[str, object]) -> dict[str, Seen]:
    for replica in list(seen)[: max(0, len(seen) - MOST_SEEN)]:
        if replica not in told:
            seen[replica] = Seen(sequence=seen[replica].sequence, told=None)
    return seen


def _plus(one: Observation, other: Observation) -> Observation:
    return _combined(one, other, 1)


def _less(now: Observation, before: Observation) -> Observation:
    """Counts only grow; one that shrank tells nothing."""
    return _combined(now, before, -1)


def _combined(one: Observation, other: Observation, sign: int) -> Observation:
    return Observation(
        arms={
            arm: _arm(one.arms.get(arm, ArmCounts()), other.arms.get(arm, ArmCounts()), sign)
            for arm in {**one.arms, **other.arms}
        },
        pairs=max(0, one.pairs + sign * other.pairs),
        disagreements=max(0, one.disagreements + sign * other.disagreements),
        dropped=max(0, one.dropped + sign * other.dropped),
    )


def _arm(one: ArmCounts, other: ArmCounts, sign: int) -> ArmCounts:
    cells = {
        cell: one.latency.get(cell, 0) + sign * other.latency.get(cell, 0)
        for cell in {**one.latency, **other.latency}
    }
    return ArmCounts(
        requests=max(0, one.requests + sign * other.requests),
        failed=max(0, one.failed + sign * other.failed),
        latency={cell: count for cell, count in cells.items() if count > 0},
    )
