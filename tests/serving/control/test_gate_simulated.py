"""How often the gate is wrong, counted. Short here; in full with `-m prove`."""

import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.serving.control.simulated import (
    BAD,
    CANARY,
    GOOD,
    SHADOW,
    failing,
    stopped_after,
    upper_bound,
)

BAR = 500
"""A bad version is stopped before so many requests of its own."""
SHAPES = {shape.__name__: shape for shape in GOOD}


@pytest.mark.parametrize("kind", [CANARY, SHADOW])
@pytest.mark.parametrize("shape", SHAPES)
def test_false_alarms_stay_below_a_level_that_can_be_seen(shape, kind):
    """At 5 % a gate that is too eager shows itself in few rollouts: five deviations above it."""
    count = 60
    alarms = sum(
        stopped_after(SHAPES[shape], kind, n, requests=600, alpha=0.05) is not None
        for n in range(count)
    )
    assert alarms <= count * 0.05 + 5 * (count * 0.05 * 0.95) ** 0.5


@pytest.mark.parametrize("name", BAD)
def test_bad_versions_are_stopped_early(name):
    world, kind = BAD[name]
    after = [stopped_after(world, kind, n, requests=BAR) for n in range(40)]
    assert sum(one is None for one in after) <= 2


def test_the_simulation_can_tell_a_gate_that_is_too_eager():
    """The same count over a version that is worse than allowed goes far above the level."""
    alarms = [stopped_after(failing(0.03), CANARY, n, requests=600, alpha=0.05) for n in range(40)]
    assert sum(one is not None for one in alarms) > 20


def test_the_exact_bound_is_the_known_one():
    assert upper_bound(0, 10_000) == pytest.approx(1 - 0.05 ** (1 / 10_000), rel=1e-6)


# ── in full ──────────────────────────────────────────────────────────────────────────────────────
EACH = int(os.environ.get("PLAZA_GATE_ROLLOUTS", "1000"))


def _good(task):
    shape, kind, number = task
    return stopped_after(SHAPES[shape], kind, number, requests=2000)


def _bad(task):
    name, number = task
    world, kind = BAD[name]
    return stopped_after(world, kind, number, requests=BAR)


def _told(document):
    if where := os.environ.get("PLAZA_GATE_RESULTS"):
        with Path(where).open("a") as file:
            file.write(json.dumps(document) + "\n")


@pytest.mark.prove
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", [CANARY, SHADOW])
def test_five_thousand_good_rollouts(kind):
    """2,000 requests of the candidate each; five shapes."""
    begin = time.monotonic()
    tasks = [(shape, kind, n) for shape in SHAPES for n in range(EACH)]
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(_good, tasks, chunksize=50))
    alarms = dict.fromkeys(SHAPES, 0)
    for (shape, *_), after in zip(tasks, found, strict=True):
        alarms[shape] += after is not None
    bound = upper_bound(sum(alarms.values()), len(tasks))
    _told(
        {
            "good": kind.value,
            "rollouts": len(tasks),
            "alarms": alarms,
            "at_most_95": bound,
            "took_s": round(time.monotonic() - begin),
        }
    )
    assert bound <= 0.001


@pytest.mark.prove
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", BAD)
def test_a_thousand_bad_rollouts_of_each_kind(name):
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(_bad, [(name, n) for n in range(1000)], chunksize=25))
    stopped = sorted(after for after in found if after is not None)
    _told(
        {
            "bad": name,
            "stopped": len(stopped),
            "median": stopped[len(stopped) // 2],
            "p99": stopped[int(0.99 * len(stopped))],
        }
    )
    assert len(stopped) >= 990
