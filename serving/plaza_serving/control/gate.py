"""The gate: whether a running rollout is bad, and the job that stops it.

    heartbeats ─▶ evidence ─▶ sequential tests ─▶ keep │ stop ─▶ the table without the candidate

    canary   failures    its rate exceeds the stable version's by more than `policy.failures`
             latency     its runs take longer than `slower` × the stable ones' + `slower_us`
    shadow   disagreements   more than `policy.disagreements` of its answers differ

The tests are those of `plaza_core.sequential`; their levels sum to `policy.alpha`, so a good
version is ever stopped with at most that probability, however long and however often control looks.

Latency compares runs of the same number of rows (to a power of two), drawn in pairs from one block,
one of each version, by a generator that is seeded with the rollout's id. Both versions share the
replicas' load in a block, so bursts and drift favour neither.

What the guarantee rests on: chance alone decides who meets the candidate. Requests without a sticky
word do so one by one. Where a few words bring most of the traffic, an unlucky word can make two
equal versions look different.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from math import log2
from random import Random

from plaza_core.clock import Clock
from plaza_core.errors import PlazaError
from plaza_core.ports import RolloutRecords
from plaza_core.rollout import (
    CELLS,
    Arm,
    ArmCounts,
    GatePolicy,
    Rollout,
    RolloutKind,
    SequentialTest,
    Verdict,
)
from plaza_core.sequential import rate_above, rate_differs, sign_positive
from plaza_serving.control.evidence import Evidence
from plaza_serving.control.fleet import Fleet, Replica

log = logging.getLogger(__name__)

FAILURES, LATENCY, DISAGREEMENTS, UNOPENED = "failures", "latency", "disagreements", "unopened"
LEVELS = {
    RolloutKind.CANARY: {FAILURES: 0.8, LATENCY: 0.2},
    RolloutKind.SHADOW: {DISAGREEMENTS: 1.0},
}
"""Parts of alpha. A slow version shows itself in a few pairs; a rare failure needs every bit."""

BLOCK = 4
"""Requests of each version that make a block."""
UNOPENED_US = 10_000_000
"""A candidate that no replica could open for so long is given up; replicas retry after 5 s."""
_SOON_S, _IDLE_S = 0.1, 5.0
"""Between rounds, where nothing wakes the job: a rollout that starts changes the table, and that
does (`TableFeed.nap`)."""


def judge(rollout: Rollout, evidence: Evidence) -> tuple[Evidence, Verdict]:
    """The evidence after the block that is open, if it is large enough, and what it says."""
    if rollout.kind is RolloutKind.SHADOW:
        evidence = _shadow_block(rollout.policy, evidence)
    else:
        evidence = _canary_block(rollout, evidence)
    return evidence, verdict_of(rollout, evidence)


def verdict_of(rollout: Rollout, evidence: Evidence) -> Verdict:
    """What the closed blocks say. Pure: the same for the job and for whoever shows a rollout."""
    arms, (slower, pairs) = evidence.total.arms, evidence.slower
    canary, stable = arms.get(Arm.CANARY, ArmCounts()), arms.get(Arm.STABLE, ArmCounts())
    told = {
        FAILURES: (
            evidence.failures,
            (canary.failed, canary.requests),
            (stable.failed, stable.requests),
        ),
        LATENCY: (evidence.latency, (slower, pairs), (pairs - slower, pairs)),
        DISAGREEMENTS: (
            evidence.disagreements,
            (evidence.total.disagreements, evidence.total.pairs),
            None,
        ),
    }
    tests = [
        SequentialTest(
            name=name,
            evidence=told[name][0].value,
            level=part * rollout.policy.alpha,
            candidate=told[name][1],
            stable=told[name][2],
        )
        for name, part in LEVELS[rollout.kind].items()
    ]
    because = next((t.name for t in tests if t.evidence >= 1 / t.level), None)
    return Verdict(bad=because is not None, because=because, tests=tests)


# ── blocks ───────────────────────────────────────────────────────────────────────────────────────
def _shadow_block(policy: GatePolicy, evidence: Evidence) -> Evidence:
    block = evidence.block
    wealth = rate_above(
        evidence.disagreements, block.disagreements, block.pairs, policy.disagreements
    )
    return _closed(evidence, disagreements=wealth)


def _canary_block(rollout: Rollout, evidence: Evidence) -> Evidence:
    """What ends a block is how many requests it has, never how they ended."""
    canary, stable = evidence.arm(Arm.CANARY), evidence.arm(Arm.STABLE)
    if min(canary.requests, stable.requests) < BLOCK:
        return evidence
    failures = rate_differs(
        evidence.failures,
        (canary.failed, canary.requests),
        (stable.failed, stable.requests),
        rollout.policy.failures,
    )
    draw = Random(f"{rollout.id}/{evidence.blocks}")  # noqa: S311 fair, repeatable, no secret
    plus, minus = signs(canary.latency, stable.latency, rollout.policy, draw)
    slower, pairs = evidence.slower
    return _closed(
        evidence,
        failures=failures,
        latency=sign_positive(evidence.latency, plus, minus),
        slower=(slower + plus, pairs + plus + minus),
    )


def _closed(evidence: Evidence, **after: object) -> Evidence:
    blank = type(evidence.block)()
    return evidence.model_copy(update={**after, "block": blank, "blocks": evidence.blocks + 1})


def signs(
    candidate: Mapping[int, int], stable: Mapping[int, int], policy: GatePolicy, random: Random
) -> tuple[int, int]:
    """Pairs of runs, one of each: in how many the candidate's took longer than allowed, and in how
    many less. Every run is in one pair at most.

    A stable run counts as the longest that its bucket could hold, and what is allowed on top, so
    that rounding speaks for the candidate.
    """
    plus = minus = 0
    for rows in sorted({cell // CELLS for cell in candidate}):
        ours, theirs = _runs(candidate, rows), _runs(stable, rows)
        count = min(len(ours), len(theirs))
        for mine, other in zip(
            random.sample(ours, count), random.sample(theirs, count), strict=True
        ):
            allowed = int(4 * log2(policy.slower * 2 ** ((other + 1) / 4) + policy.slower_us))
            plus += mine > allowed
            minus += mine < allowed
    return plus, minus


def _runs(cells: Mapping[int, int], rows: int) -> list[int]:
    """The bucket of each run of this size, in an order that says nothing of when it came."""
    return [
        cell % CELLS
        for cell, count in sorted(cells.items())
        if cell // CELLS == rows
        for _ in range(count)
    ]


# ── the job ──────────────────────────────────────────────────────────────────────────────────────
class Gate:
    """`refresh` makes the table anew and wakes the replicas; `turn` is ours while no other control
    process of this hub judges. All that must outlive this process is in the records."""

    def __init__(
        self,
        records: RolloutRecords,
        fleet: Fleet,
        clock: Clock,
        *,
        refresh: Callable[[], object],
        turn: Callable[[str], AbstractContextManager[bool]],
    ) -> None:
        self._records = records
        self._fleet = fleet
        self._clock = clock
        self._refresh = refresh
        self._turn = turn

    async def step(self) -> float:
        """Judge every running rollout once; sooner again while there is one."""
        replicas = self._fleet.replicas()
        running = await asyncio.to_thread(self._round, replicas)
        return _SOON_S if running else _IDLE_S

    def _round(self, replicas: Sequence[Replica]) -> bool:
        with self._turn("gate") as mine:
            if not mine:
                return False
            running = self._records.running()
            for rollout in running:
                self._one(rollout, replicas)
            return bool(running)

    def _one(self, rollout: Rollout, replicas: Sequence[Replica]) -> None:
        """That one rollout cannot be kept must not stop the others."""
        try:
            self._judge(rollout, replicas)
        except PlazaError as error:
            log.warning(
                "a rollout waits: %s", error.message, extra={"rollout": rollout.id}, exc_info=True
            )

    def _judge(self, rollout: Rollout, replicas: Sequence[Replica]) -> None:
        before = Evidence.model_validate(rollout.evidence)
        beats = (replica.heartbeat for replica in replicas)
        told = {
            beat.replica: (beat.sequence, beat.rollouts[rollout.id])
            for beat in beats
            if rollout.id in beat.rollouts
        }
        after, verdict = judge(rollout, before.take(told))
        since = self._unopened(rollout, replicas, before.unopened_unix_us)
        after = after.model_copy(update={"unopened_unix_us": since})
        if since is not None and self._clock.unix_us() - since >= UNOPENED_US:
            verdict = verdict.model_copy(update={"bad": True, "because": UNOPENED})
        if after.same_counts(before) and not verdict.bad:
            return
        self._records.keep(rollout.id, after.model_dump(mode="json"), verdict)
        if verdict.bad:
            self._stop(rollout, verdict)

    def _unopened(
        self, rollout: Rollout, replicas: Sequence[Replica], since: int | None
    ) -> int | None:
        version = f"{rollout.model}/{rollout.candidate}"
        live = [replica.heartbeat.failed for replica in replicas if replica.live]
        if not live or not all(version in failed for failed in live):
            return None
        return self._clock.unix_us() if since is None else since

    def _stop(self, rollout: Rollout, verdict: Verdict) -> None:
        if not self._records.stop(rollout.id, verdict):
            return
        self._refresh()
        log.warning(
            "rollout stopped because of %s: %s",
            verdict.because,
            verdict.explained(),
            extra={
                "rollout": rollout.id,
                "model": rollout.name,
                "alias": rollout.alias,
                "version": rollout.candidate,
            },
        )
