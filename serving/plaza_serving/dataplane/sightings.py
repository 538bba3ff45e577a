"""What this replica has seen of each rollout since it started; told with every heartbeat.

Counts only grow, so that a heartbeat may be lost or come twice. Rollouts that the table no longer
names are forgotten.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from plaza_core.rollout import Arm, ArmCounts, Observation, cell
from plaza_core.table import HubTable
from plaza_serving.dataplane.bills import Ran

NEWS = 16
"""After so many requests of candidates a heartbeat is due: counted, whatever became of them."""


@dataclass(slots=True)
class _Arm:
    requests: int = 0
    failed: int = 0
    latency: Counter[int] = field(default_factory=Counter)


@dataclass(slots=True)
class _Rollout:
    arms: dict[Arm, _Arm] = field(default_factory=dict)
    pairs: int = 0
    disagreements: int = 0
    dropped: int = 0


class Sightings:
    """Any thread. `news` is called when control should hear of a rollout before the second ends."""

    def __init__(self, news: Callable[[], object]) -> None:
        self._news = news
        self._lock = threading.Lock()
        self._rollouts: dict[str, _Rollout] = {}
        self._fresh = 0

    def keep_only(self, table: HubTable) -> set[str]:
        """Count for the rollouts of this table; returns them."""
        splits = (split for model in table.models for split in model.splits.values())
        named = {split.rollout for split in splits if split.rollout is not None}
        with self._lock:
            self._rollouts = {r: self._rollouts.get(r) or _Rollout() for r in named}
        return named

    def requests(self, rollout: str, arm: Arm, count: int, failed: int) -> None:
        with self._lock:
            seen = self._arm(rollout, arm)
            if seen is None:
                return
            seen.requests += count
            seen.failed += failed
            if arm is Arm.STABLE:
                return
            before, self._fresh = self._fresh, self._fresh + count
            due = before < NEWS <= self._fresh
        if due:
            self._news()

    def runs(self, rollout: str, arm: Arm, runs: Iterable[Ran]) -> None:
        """One entry per run: requests that were joined in it have one time together."""
        cells = [cell(ran.device_us + ran.host_us, ran.rows) for ran in runs]
        with self._lock:
            seen = self._arm(rollout, arm)
            if seen is not None:
                seen.latency.update(cells)

    def pair(self, rollout: str, *, agree: bool) -> None:
        with self._lock:
            seen = self._rollouts.get(rollout)
            if seen is not None:
                seen.pairs += 1
                seen.disagreements += not agree

    def dropped(self, rollout: str) -> None:
        with self._lock:
            seen = self._rollouts.get(rollout)
            if seen is not None:
                seen.dropped += 1

    def observations(self) -> dict[str, Observation]:
        with self._lock:
            self._fresh = 0
            return {name: _observation(seen) for name, seen in self._rollouts.items()}

    def _arm(self, rollout: str, arm: Arm) -> _Arm | None:
        seen = self._rollouts.get(rollout)
        return None if seen is None else seen.arms.setdefault(arm, _Arm())


def _observation(seen: _Rollout) -> Observation:
    return Observation(
        arms={
            arm: ArmCounts(
                requests=counts.requests, failed=counts.failed, latency=dict(counts.latency)
            )
            for arm, counts in seen.arms.items()
        },
        pairs=seen.pairs,
        disagreements=seen.disagreements,
        dropped=seen.dropped,
    )
