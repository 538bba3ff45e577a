"""Rollouts in simulation: requests with known rates and run times go through the real gate.

A world tells for each moment how often each version fails and how long it runs; chance alone, as in
the replicas, decides who meets the candidate. Heartbeats bring them in portions of any size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import comb, log

import numpy as np

from plaza_core.rollout import (
    WHOLE,
    Arm,
    ArmCounts,
    GatePolicy,
    Observation,
    Rollout,
    RolloutKind,
    RolloutState,
    cell,
)
from plaza_serving.control.evidence import Evidence
from plaza_serving.control.gate import judge


@dataclass(frozen=True)
class Moment:
    """What holds during one portion. Times are drawn in µs."""

    stable: float = 0.0
    """Rate of failures of the stable version."""
    candidate: float = 0.0
    differ: float = 0.0
    """Rate of disagreements of the shadow."""
    times: Callable[[int], np.ndarray] | None = None
    """Draws run times of the stable version at this moment."""
    slower: float = 1.0


World = Callable[[np.random.Generator, float], Moment]
"""(random, how much of the rollout is over, 0 to 1) -> what holds then."""


def plain(random, mean_us=5000.0, spread=0.25):
    """Run times of a model on a processor: a narrow hump, and one in twenty interrupted."""

    def times(count):
        found = mean_us * np.exp(random.normal(0, spread, count))
        return found * np.where(random.random(count) < 0.05, random.pareto(1.5, count) + 1, 1)

    return times


def a_rollout(kind, number, alpha):
    return Rollout(
        id=f"rol_{number}",
        model="m",
        name="o.p.m",
        organisation="o",
        alias="champion",
        kind=kind,
        stable=1,
        candidate=2,
        part=WHOLE // 10,
        policy=GatePolicy(alpha=alpha),
        state=RolloutState.RUNNING,
        started_unix_us=0,
    )


def stopped_after(world, kind, number, *, requests, part=0.1, alpha=0.001):
    """Candidate requests seen when the gate stopped the rollout; None if it did not."""
    random = np.random.default_rng(number)
    rollout, evidence, seen = a_rollout(kind, number, alpha), Evidence(), 0
    while seen < requests:
        moment = world(random, seen / requests)
        ours = min(int(random.integers(4, 33)), requests - seen)
        observation = (
            _pairs(random, moment, ours)
            if kind is RolloutKind.SHADOW
            else _canary(random, moment, ours, part)
        )
        seen += ours
        evidence = evidence.model_copy(update={"block": observation})
        evidence, verdict = judge(rollout, evidence)
        if verdict.bad:
            return seen
    return None


def _pairs(random, moment, count):
    return Observation(pairs=count, disagreements=int(random.binomial(count, moment.differ)))


def _canary(random, moment, ours, part):
    theirs = max(4, int(random.negative_binomial(ours, part)))
    draw = moment.times or plain(random)
    return Observation(
        arms={
            Arm.CANARY: _arm(random, ours, moment.candidate, draw(ours) * moment.slower),
            Arm.STABLE: _arm(random, theirs, moment.stable, draw(theirs)),
        }
    )


def _arm(random, count, rate, times):
    failed = int(random.binomial(count, rate))
    cells = {}
    for us in times[failed:]:
        where = cell(int(us), 1)
        cells[where] = cells.get(where, 0) + 1
    return ArmCounts(requests=count, failed=failed, latency=cells)


# ── good worlds ──────────────────────────────────────────────────────────────────────────────────
def equal(random, _):
    return Moment(stable=0.01, candidate=0.01, differ=0.005, times=plain(random))


def at_the_edge(random, _):
    """As bad as the policy allows, in everything at once."""
    return Moment(
        stable=0.01,
        candidate=0.015,
        differ=0.01,
        times=plain(random),
        slower=1.25,
    )


def drifting(random, over):
    """Load comes and goes twice: failures from 0 to 20 %, run times times five."""
    load = 0.5 - 0.5 * np.cos(4 * np.pi * over)
    return Moment(0.2 * load, 0.2 * load, 0.01 * load, plain(random, 2000 * (1 + 4 * load)))


def heavy_tails(random, _):
    """Run times without a mean, the same for both."""
    return Moment(0.02, 0.02, 0.01, lambda count: 500 * (1 + random.pareto(0.9, count)))


def in_bursts(random, _):
    """One portion in ten fails by half for everybody; each portion is fast or slow as a whole."""
    bad = random.random() < 0.1
    rate = 0.5 if bad else 0.002
    mean = 3000 * float(np.exp(random.normal(0, 1)))
    return Moment(rate, rate, 0.01 if bad else 0.001, plain(random, mean))


GOOD = (equal, at_the_edge, drifting, heavy_tails, in_bursts)


# ── bad worlds ───────────────────────────────────────────────────────────────────────────────────
def failing(rate):
    return lambda random, _: Moment(0.001, rate, times=plain(random))


def slowing(times):
    return lambda random, _: Moment(0.001, 0.001, times=plain(random), slower=times)


def differing(rate):
    return lambda *_: Moment(differ=rate)


CANARY, SHADOW = RolloutKind.CANARY, RolloutKind.SHADOW
BAD = {
    "5 % fail": (failing(0.05), CANARY),
    "20 % fail": (failing(0.2), CANARY),
    "all fail": (failing(1.0), CANARY),
    "2 x slower": (slowing(2.0), CANARY),
    "5 x slower": (slowing(5.0), CANARY),
    "10 % differ": (differing(0.1), SHADOW),
    "all differ": (differing(1.0), SHADOW),
}


def upper_bound(events, trials, confidence=0.95):
    """Exact (Clopper and Pearson) one-sided upper bound of a rate."""
    low, high = events / trials, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        below = sum(
            np.exp(log(comb(trials, k)) + k * log(rate) + (trials - k) * np.log1p(-rate))
            for k in range(events + 1)
        )
        low, high = (rate, high) if below > 1 - confidence else (low, rate)
    return high
