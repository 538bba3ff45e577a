"""Five and ten times more than a hub can answer: goodput, how fast it says no, how soon it is over.

A model of about 10 ms, bodies of 3 kB, open loop with Poisson arrivals. Before, between and after
the floods half of the peak comes: calm traffic shows how long the hub takes to be normal again.
What the machine itself took from everybody meanwhile is told beside it (`standstill`).

    python -m benchmarks.overload [--times 5 10] [--rounds 5] [--flood 8] [--calm 6]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import ideal
from benchmarks.hub import Hub, running_hub
from benchmarks.latency import Found, arrivals
from benchmarks.peers import asked, compare, rivals
from benchmarks.peers.asked import Asked
from benchmarks.peers.rivals import Rival, generate
from benchmarks.standstill import watched

CALM_S, FLOOD_S, CALM = 6.0, 8.0, 0.5
"""Seconds of calm traffic and of each flood, and how much of the peak comes in the calm."""
BARS = {"goodput": 0.9, "reject_p99_ms": 10.0, "normal_s": 5.0}
_PEAK_S, _CONNECTIONS, _NOT_NORMAL = 5, 16, 3.0


def ours(hub: Hub, key: str, scratch: Path) -> Rival:
    """The hub, with the model that is to be flooded."""
    hub.admin.models.register(asked.bundle("slow", scratch), visibility="public")
    rival = rivals.plaza(hub, key, "slow", "binary")
    assert isinstance(rival.load, Asked)
    compare.until_answered(hub, rival.load)
    return rival


def measure(
    servers: Sequence[Rival],
    times: Sequence[int],
    rounds: int,
    *,
    flood_s: float = FLOOD_S,
    calm_s: float = CALM_S,
) -> dict[str, Any]:
    """Floods of so many `times` the peak of each server, in turn; the first is to hold the bars."""
    runs: dict[str, list[dict[str, Any]]] = {one.name: [] for one in servers}
    for _ in range(rounds):
        for rival in servers:
            with rival.awake(), watched() as still:
                run = _run(rival, times, flood_s, calm_s)
            runs[rival.name].append(
                {**run, "still_ms": round(still.total_ms), "longest_ms": round(still.longest_ms)}
            )
    floods = {name: middle(of) for name, of in runs.items()}
    held = all(holds(flood) for flood in floods[servers[0].name])
    return {"runs": runs, "floods": floods, "bars": BARS, "held": held}


def _run(rival: Rival, times: Sequence[int], flood_s: float, calm_s: float) -> dict[str, Any]:
    assert isinstance(rival.load, Asked)
    peak = generate(rival.port, rival.load, _CONNECTIONS, _PEAK_S)["requests_per_second"]
    phases, floods, at = [(CALM * peak, calm_s)], [], calm_s
    for factor in times:
        floods.append((factor, at, at + flood_s))
        phases += [(factor * peak, flood_s), (CALM * peak, calm_s)]
        at += flood_s + calm_s
    found = arrivals(rival.port, rival.load, phases)
    calm = [took for due, took, _ in found if due < calm_s]
    normal_ms = _NOT_NORMAL * ideal.p(calm, 0.99)
    return {
        "peak": round(peak, 1),
        "calm_p99_ms": ideal.p(calm, 0.99),
        "floods": [_flood(found, one, calm_s, peak, normal_ms) for one in floods],
        "seconds": _seconds(found),
    }


def middle(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each flood the medians over several runs; `lost` is of all of them together."""
    told = []
    for floods in zip(*(run["floods"] for run in runs), strict=True):
        fields = {f: [flood[f] for flood in floods] for f in floods[0]}
        lost = sum(fields.pop("lost"))
        told.append({**{f: statistics.median(of) for f, of in fields.items()}, "lost": lost})
    return told


def holds(flood: dict[str, Any]) -> bool:
    return bool(
        flood["goodput"] >= BARS["goodput"]
        and flood["reject_p99_ms"] <= BARS["reject_p99_ms"]
        and flood["normal_s"] <= BARS["normal_s"]
        and not flood["lost"]
    )


def _flood(
    found: Found, flood: tuple[int, float, float], calm_s: float, peak: float, normal_ms: float
) -> dict[str, Any]:
    """What became of the requests of one flood. Goodput counts answers given while it lasted."""
    factor, begin, end = flood
    within = [one for one in found if begin <= one[0] < end]
    good = [took for _, took, status in within if status == 200]
    no = [took for _, took, status in within if status not in {0, 200}]
    answered = sum(s == 200 and begin <= due + took / 1e3 < end for due, took, s in found)
    after = [one for one in found if end <= one[0] < end + calm_s]
    bad = [due for due, took, status in after if status != 200 or took > normal_ms]
    return {
        "times": factor,
        "offered": len(within),
        "goodput": round(answered / (end - begin) / peak, 3),
        "admitted_p50_ms": round(statistics.median(good), 1) if good else None,
        "admitted_p99_ms": round(ideal.p(good, 0.99), 1) if good else None,
        "rejects": len(no),
        "reject_p50_ms": round(statistics.median(no), 2) if no else 0.0,
        "reject_p99_ms": round(ideal.p(no, 0.99), 2) if no else 0.0,
        "normal_s": round(max(bad, default=end) - end, 2),
        "lost": sum(status == 0 for _, _, status in within),
    }


def _seconds(found: Found) -> list[dict[str, float]]:
    """For the chart: by second what came, what was answered, what was refused."""
    last = int(max(due for due, _, _ in found)) + 1
    rows = [{"offered": 0.0, "answered": 0.0, "refused": 0.0} for _ in range(last + 1)]
    for due, took, status in found:
        rows[int(due)]["offered"] += 1
        at = min(last, int(due + took / 1e3))
        rows[at]["answered" if status == 200 else "refused"] += 1
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--times", type=int, nargs="*", default=[5, 10])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--flood", type=float, default=FLOOD_S, help="seconds of each flood")
    parser.add_argument("--calm", type=float, default=CALM_S, help="seconds between them")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="plaza-overload-") as scratch:
        place = Path(scratch)
        with running_hub(place / "state") as hub:
            rival = ours(hub, compare.consumer(hub), place)
            found = measure(
                [rival], given.times, given.rounds, flood_s=given.flood, calm_s=given.calm
            )
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0 if found["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
