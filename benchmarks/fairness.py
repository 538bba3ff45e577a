"""Who gets how much of a real hub when more is asked for than it has.

    flooder   four organisations of one weight. One sends ten times its share, whatever it is told;
              the three polite ones keep 95 % of their entitlement or more, Jain's index is 0.95 or
              more: once with a demand of 70 % of their share, once with clients that always wait
    weights   three organisations of weights 1, 2 and 4 whose clients always wait: what each was
              served is within 5 % of its weight's part

Capacity is what one organisation gets alone, measured in turn with the rest and in the same run.
An organisation is entitled to the smaller of its demand and its weight's part of the capacity.
Jain's index is taken over served / fair, where fair is the max-min division of the capacity: what
the polite ones leave of their shares is lent to the flooder. Medians over the rounds count.

    python -m benchmarks.fairness [flooder] [weights] [--replicas 1 2] [--seconds 4] [--rounds 9]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.sharing import Demand, Served, SharedHub, Stretch, shared_hub

NAMES = ("o1", "o2", "o3", "o4")
POLITE = NAMES[1:]
FLOODER = NAMES[0]
CLIENTS = 12
"""Connections per replica of an organisation that always waits: shares are kept in each replica by
itself, so it must wait in each of them."""
FLOOD_CONNECTIONS = 400
MODEST = 0.7
KEPT, JAIN, WEIGHTS_WITHIN = 0.95, 0.95, 0.05

console = Console(highlight=False)
Result = dict[str, Any]


def jain(ratios: list[float]) -> float:
    """1 when all have the same, 1/n when one has everything."""
    return sum(ratios) ** 2 / (len(ratios) * sum(r * r for r in ratios))


def max_min(capacity: float, demands: Mapping[str, float]) -> dict[str, float]:
    """Everyone their demand, or equal parts of what those who want less have left."""
    parts: dict[str, float] = {}
    for name in sorted(demands, key=lambda n: demands[n]):
        equal = (capacity - sum(parts.values())) / (len(demands) - len(parts))
        parts[name] = min(demands[name], equal)
    return parts


def alone(hub: SharedHub, seconds: float) -> Stretch:
    """One organisation that has the hub for itself: its capacity."""
    return hub.serve({POLITE[0]: Demand(2 * CLIENTS * hub.replicas)}, seconds)


def flooder(hub: SharedHub, seconds: float, rounds: int) -> Result:
    """In turn: alone, modest, alone, waiting, alone, …; each against the two beside it."""
    turns, rates = [alone(hub, seconds)], []
    for manner in ("modest", "waiting") * rounds:
        share = turns[-1].roughly(POLITE[0]) / len(NAMES)
        polite = (
            Demand(64, MODEST * share) if manner == "modest" else Demand(CLIENTS * hub.replicas)
        )
        flood = Demand(FLOOD_CONNECTIONS, 10 * share)
        rates.append(polite.rate)
        turns.append(hub.serve({FLOODER: flood, **dict.fromkeys(POLITE, polite)}, seconds))
        turns.append(alone(hub, seconds))
    served = [hub.served(turn) for turn in turns]
    capacities = [one[POLITE[0]].per_second for one in served[::2]]
    results = []
    for n, (turn, got) in enumerate(zip(turns[1::2], served[1::2], strict=True)):
        capacity = statistics.mean(capacities[n : n + 2])
        results.append(_judge(capacity, rates[n], got, turn.told))
    summary: Result = {"rounds": results}
    held = []
    for manner in ("modest", "waiting"):
        mine = [r for r in results if r["polite"] == manner]
        least = min(statistics.median(r["kept"][n] for r in mine) for n in POLITE)
        index = statistics.median(r["jain"] for r in mine)
        summary[manner] = {"least_kept": round(least, 4), "jain": round(index, 4)}
        held.append(least >= KEPT and index >= JAIN)
    return {**summary, "held": all(held)}


def _judge(
    capacity: float,
    rate: float | None,
    served: Mapping[str, Served],
    told: Mapping[str, Mapping[str, int]],
) -> Result:
    """One stretch under the flood: what each got of what it was entitled to.

    `rate`: the demand of a polite organisation; None: more than it can get.
    """
    manner = "modest" if rate else "waiting"
    got = {name: served[name].per_second for name in NAMES}
    wanted = rate or capacity
    kept = {n: got[n] / min(wanted, capacity / len(NAMES)) for n in POLITE}
    fair = max_min(capacity, {FLOODER: 10 * capacity, **dict.fromkeys(POLITE, wanted)})
    index = jain([got[name] / fair[name] for name in NAMES])
    parts = "  ".join(f"{n} {got[n]:5.1f}/s ({kept.get(n, got[n] / fair[n]):.3f})" for n in NAMES)
    flood = f"flooder: {dict(told[FLOODER])}"
    console.print(f"  {manner:7} of {capacity:.1f}/s: {parts}  Jain {index:.4f}; {flood}")
    if refused := {n: told[n] for n in POLITE if told[n].get("refused") or told[n].get("late")}:
        raise RuntimeError(f"a polite organisation was refused: {refused}")
    return {
        "polite": manner,
        "capacity": round(capacity, 1),
        "per_second": {n: round(v, 1) for n, v in got.items()},
        "kept": {n: round(v, 4) for n, v in kept.items()},
        "jain": round(index, 4),
        "flooder": dict(told[FLOODER]),
    }


def weights(hub: SharedHub, seconds: float, rounds: int) -> Result:
    wanted = {"o1": 1, "o2": 2, "o3": 4}
    hub.weigh(wanted)
    demands = dict.fromkeys(wanted, Demand(2 * CLIENTS * hub.replicas))
    results = []
    for turn in [hub.serve(demands, seconds) for _ in range(rounds)]:
        served = hub.served(turn)
        whole = sum(one.compute_us for one in served.values())
        off = {
            n: served[n].compute_us / whole * sum(wanted.values()) / w - 1
            for n, w in wanted.items()
        }
        held = max(turn.told[n]["held_ms"] for n in wanted)
        parts = "  ".join(f"{n} {v:+.3%}" for n, v in off.items())
        console.print(f"  weights 1:2:4: {parts}  (clients held {held} ms)")
        results.append({**{n: round(v, 5) for n, v in off.items()}, "held_ms": held})
    hub.weigh(dict.fromkeys(wanted, 1))
    worst = max(abs(statistics.median(r[n] for r in results)) for n in wanted)
    return {"rounds": results, "worst": worst, "held": worst <= WEIGHTS_WITHIN}


SCENARIOS: dict[str, Callable[[SharedHub, float, int], Result]] = {
    "flooder": flooder,
    "weights": weights,
}


def prove(
    replicas: int, names: Sequence[str] = tuple(SCENARIOS), seconds: float = 4.0, rounds: int = 9
) -> Result:
    """The scenarios on one hub, one after the other."""
    results: Result = {}
    with (
        tempfile.TemporaryDirectory(prefix="plaza-fair-") as scratch,
        shared_hub(Path(scratch), NAMES, replicas) as hub,
    ):
        for name in names:
            console.print(f"{name}, replicas: {replicas}")
            results[name] = SCENARIOS[name](hub, seconds, rounds)
    return {**results, "held": all(r["held"] for r in results.values())}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("scenarios", nargs="*", help=", ".join(SCENARIOS))
    parser.add_argument("--replicas", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    names = asked.scenarios or list(SCENARIOS)
    results = {n: prove(n, names, asked.seconds, asked.rounds) for n in asked.replicas}
    console.print(json.dumps(results, indent=1))
    return 0 if all(r["held"] for r in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
