"""Rollouts on a real hub under traffic: the bad are stopped, the good are not.

    wrong    another network's answers           its shadow
    slow     twice the layers                    its canary
    crash    fails on every input but zeros      its canary
    good     the same network in another file    a canary or a shadow, until 2,000 requests

What a candidate computed is counted in the ledger, after the fact: by the time the counts are read,
the gate has long decided.

    python -m benchmarks.rollouts [--good 20] [--requests 2000]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper
from rich.console import Console

import plaza
from benchmarks import graphs
from benchmarks.hub import Hub, running_hub
from plaza_core.rollout import Verdict

MODEL, ALIAS, SIZE, BAR = "conv", "champion", 16, 500
CLIENTS = 4
GIVE_UP_S = 240.0
console = Console()


# ── versions ─────────────────────────────────────────────────────────────────────────────────────
def network(seed: int = 0, layers: int = 8, mark: str = "stable") -> graphs.Graph:
    """About 0.6 ms a picture. `mark` makes another file of the same network."""
    made = graphs.conv(seed, size=SIZE, width=48, layers=layers)
    made.model.doc_string = mark
    return made


def crashing() -> graphs.Graph:
    """The network, behind an index that is in range for zeros only."""
    made = network(mark="crash")
    graph = made.model.graph
    graph.node[-1].output[0] = "scores0"
    graph.initializer.append(helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]))
    graph.node.extend(
        [
            helper.make_node("ReduceMax", ["image"], ["most"], keepdims=0),
            helper.make_node("Ceil", ["most"], ["up"]),
            helper.make_node("Cast", ["up"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["one", "index"], ["factor"]),
            helper.make_node("Mul", ["scores0", "factor"], ["scores"]),
        ]
    )
    return made


# ── the hub ──────────────────────────────────────────────────────────────────────────────────────
class Place:
    """A hub with the model `conv`, as an engineer sees it."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def register(self, directory: Path) -> int:
        return self.hub.admin.models.register(directory, visibility="public").version

    def start(self, case: Case, candidate: int) -> str:
        """Begin a rollout and wait until every replica follows it."""
        part = {f"{case.kind}_percent": case.percent}
        rollout = self.hub.admin.models.promote(MODEL, candidate, alias=ALIAS, **part).rollout
        assert rollout is not None
        return rollout

    def computed(self, case: Case, candidate: int, since_us: int) -> int:
        """Requests that the candidate computed since then, from the ledger.

        One that it failed on is a line of the stable version, with the lost attempt as overrun:
        more than a disturbed run can have, which is 200 µs (docs/decisions/0016).
        """
        condition = (
            "version = ? AND outcome = 'shadow'"
            if case.kind == "shadow"
            else "(version = ? AND outcome != 'shadow' OR overrun > 300 AND outcome != 'shadow')"
        )
        place = f"file:{self.hub.state_dir}/plaza.db?mode=ro"
        with contextlib.closing(sqlite3.connect(place, uri=True, timeout=10)) as database:
            query = f"SELECT count(*) FROM usage WHERE {condition} AND at_unix_us >= ?"  # noqa: S608
            return int(database.execute(query, (candidate, since_us)).fetchone()[0])


# ── traffic ──────────────────────────────────────────────────────────────────────────────────────
class Clients:
    """Threads that call the alias in a closed loop and count what they got."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(CLIENTS)]
        self.answers: Counter[str] = Counter()

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        image = np.random.default_rng(number).random((1, 3, SIZE, SIZE), np.float32)
        hub = self._place.hub
        with plaza.Client(hub.url, control_url=hub.control_url, api_key=hub.admin_key) as client:
            while not self._stop.is_set():
                image[0, 0, 0, 0] = np.float32(time.monotonic() % 1)
                try:
                    answer = client.infer(MODEL, {"image": image})
                except plaza.PlazaError as error:
                    self.answers[type(error).__name__] += 1
                else:
                    self.answers[f"version {answer.version}"] += 1


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    kind: str
    """`canary` or `shadow`."""
    percent: float
    graph: graphs.Graph
    good: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    kind: str
    stopped: bool
    because: str | None
    computed: int
    """Requests that the candidate computed, of all that the ledger knows."""
    seconds: float
    errors: int
    """Answers to callers that were errors."""
    numbers: str
    held: bool


def run(place: Place, case: Case, candidate: int, most: int) -> Result:
    """One rollout under traffic, until the gate stops it or it computed `most` requests."""
    rollouts, since_us, begin = place.hub.admin.rollouts, time.time_ns() // 1000, time.monotonic()
    rollout = place.start(case, candidate)
    with Clients(place) as clients:
        while (found := rollouts.show(rollout)).state == "running":
            seen = found.verdict["tests"][0]["candidate"][1] if found.verdict else 0
            if seen >= most or time.monotonic() - begin > GIVE_UP_S:
                rollouts.cancel(rollout)
            time.sleep(0.1)
        seconds = time.monotonic() - begin
        time.sleep(0.5)  # what was still under way, also to a replica that has not heard of it
    time.sleep(2.0)  # the spool is shipped every second
    verdict = Verdict.model_validate(found.verdict or {"bad": False})
    stopped, computed = found.state == "stopped", place.computed(case, candidate, since_us)
    bad_held, good_held = stopped and computed < BAR, not stopped and computed >= most
    return Result(
        name=case.name,
        kind=case.kind,
        stopped=stopped,
        because=verdict.because,
        computed=computed,
        seconds=round(seconds, 1),
        errors=sum(n for what, n in clients.answers.items() if not what.startswith("version")),
        numbers=verdict.explained(),
        held=good_held if case.good else bad_held,
    )


def cases(good: int) -> Iterator[Case]:
    yield Case("wrong", "shadow", 100, network(seed=1, mark="wrong"))
    yield Case("slow", "canary", 10, network(layers=16, mark="slow"))
    yield Case("crash", "canary", 10, crashing())
    for number in range(good):
        name = f"good {number}"
        kind, percent = ("canary", 50) if number % 2 else ("shadow", 100)
        yield Case(name, kind, percent, network(mark=name), good=True)


def measure(good: int, requests: int) -> list[Result]:
    results = []
    limits = {"rate_per_second": 100_000, "rate_burst": 100_000}
    with tempfile.TemporaryDirectory(prefix="plaza-rollouts-") as scratch:
        directory = Path(scratch)
        with running_hub(directory / "state", **limits) as hub:
            place = Place(hub)
            stable = place.register(network().write(directory / "stable"))
            hub.admin.models.promote(MODEL, stable)  # waits until it answers
            for case in cases(good):
                version = place.register(case.graph.write(directory / case.name))
                results.append(run(place, case, version, requests))
                console.print(results[-1])
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--good", type=int, default=20)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    results = measure(asked.good, asked.requests)
    if asked.json is not None:
        asked.json.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    console.print("held" if all(result.held for result in results) else "BROKEN")
    return 0 if all(result.held for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
