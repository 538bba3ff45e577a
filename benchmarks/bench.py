"""`make bench`: Plaza, everything on, beside other servers; one run on one machine.

    python -m benchmarks.bench                                     all: hours
    python -m benchmarks.bench --only conv --peers mosec,mlserver --rounds 3
    python -m benchmarks.bench --only tiny,books --peers uvicorn   what the front door costs

Parts: the models `tiny`, `conv`, `detector`, `embedder`, `encoder` (throughput, closed loop),
`latency` (open loop beside an ideal queue), `overload`, `density`, `books` (authentication, quota
and ledger per request), `cells`. A run of some parts replaces these in
`benchmarks/results/bench.json` and leaves the others. Fails when a measured bar falls short or a
measured server made errors.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from benchmarks import admission, cells, density, latency, overload, wrk
from benchmarks.hub import Hub, running_hub
from benchmarks.peers import chart, compare, rivals, table
from benchmarks.peers.catalogue import FLOOR, PEERS, Peer
from plaza_serving.native import loading

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
MODELS = tuple(compare.DIALECTS)
OTHERS = ("latency", "overload", "density", "books", "cells")
CELL_SECONDS, EACH, TIMES = 20.0, 24, (5, 10)
_BOOK_RUNS, _WATCH_S = 5, 2.0
console = Console(stderr=True)


def main(given: Sequence[str] | None = None) -> int:
    asked_for = _arguments(given)
    plan = compare.Plan(
        models=tuple(m for m in MODELS if m in asked_for.only),
        dialects=asked_for.dialects,
        connections=tuple(map(int, asked_for.connections)),
        peers=tuple(p for p in PEERS if p.name in asked_for.peers),
        alone="alone" in asked_for.peers,
        rounds=asked_for.rounds,
        seconds=asked_for.seconds,
        environments=asked_for.environments,
    )
    results = Results(asked_for.results)
    if plan.models or {"latency", "overload"} & {*asked_for.only}:
        _with_a_hub(plan, asked_for.only, results)
    if "density" in asked_for.only:
        with tempfile.TemporaryDirectory(prefix="plaza-bench-") as scratch:
            results.part("density", density.measure(Path(scratch), EACH))
    if "books" in asked_for.only:
        results.part("books", _books())
    if "cells" in asked_for.only:
        found = cells.measure(CELL_SECONDS)
        results.part("cells", {**found, "held": cells.holds(found)})
    return results.verdict()


class Results:
    """The document: kept after every part, so that a run cut short has not been for nothing."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._file = place / "bench.json"
        self.document: dict[str, Any] = {"comparisons": {}}
        with contextlib.suppress(FileNotFoundError):
            self.document = json.loads(self._file.read_text())
        self.document["machine"] = _machine()
        self._new: list[dict[str, Any]] = []
        self._names: set[str] = set()
        self._busy = psutil.cpu_percent(interval=_WATCH_S)
        """Percent of all processors that others used before the run: its numbers say so."""

    def comparison(self, name: str, found: dict[str, Any]) -> None:
        """Servers that were not asked for this time stay out: rows of one table are of one run."""
        self.document["comparisons"][name] = self._dated(found)
        self._names.add(name)
        self.keep()

    def part(self, name: str, found: dict[str, Any]) -> None:
        self.document[name] = self._dated(found)
        self.keep()

    def keep(self) -> None:
        self._place.mkdir(exist_ok=True)
        self._file.write_text(json.dumps(self.document, indent=1, ensure_ascii=False) + "\n")
        (self._place / "bench.md").write_text(table.page(self.document), encoding="utf-8")
        chart.draw(self.document, self._place)

    def verdict(self) -> int:
        """0 when all bars of this run held and no measured server made errors."""
        mine = {name: self.document["comparisons"][name] for name in self._names}
        held = True
        for what, value, bar, holds in table.verdicts({"comparisons": mine}):
            colour = "green" if holds else "red"
            console.print(f"[{colour}]{what}: {value:.2f}, bar {bar:g}")
            held &= holds
        errors = sum(r["errors"] for found in mine.values() for r in found["rows"].values())
        console.print(f"errors: {errors}")
        return 0 if held and not errors and all(p.get("held", True) for p in self._new) else 1

    def _dated(self, found: dict[str, Any]) -> dict[str, Any]:
        on = datetime.datetime.now(datetime.UTC).date().isoformat()
        dated = {**found, "on": on, "others_percent": self._busy}
        self._new.append(dated)
        return dated


def _with_a_hub(plan: compare.Plan, only: Sequence[str], results: Results) -> None:
    console.print("starting the hub")
    with (
        tempfile.TemporaryDirectory(prefix="plaza-bench-") as made,
        running_hub(Path(made) / "state", model_memory_mb=6000) as hub,
    ):
        scratch = Path(made)
        key = compare.prepare(hub, scratch, {*plan.models, "conv"})
        for name, found in compare.run(plan, hub, key, scratch):
            results.comparison(name, found)
        if "latency" in only:
            results.part("latency", _latency(hub, key, plan, scratch))
        if "overload" in only:
            results.part("overload", _overload(hub, key, plan, scratch))


def _latency(hub: Hub, key: str, plan: compare.Plan, scratch: Path) -> dict[str, Any]:
    console.print("p99 at 70 % of capacity")
    ours = rivals.plaza(hub, key, "conv", "binary")
    alone = compare.alone("conv", "binary", scratch)
    with contextlib.ExitStack() as servers:
        others = [
            servers.enter_context(_beside(peer, "conv", scratch))
            for peer in plan.peers
            if peer.name in {"uvicorn", FLOOR}
        ]
        return latency.measure(
            ours, others, lambda: alone(1, 4)["requests_per_second"], plan.rounds, 20.0
        )


def _overload(hub: Hub, key: str, plan: compare.Plan, scratch: Path) -> dict[str, Any]:
    """Ours, and where it is asked for the floor, which refuses by counting and nothing else."""
    console.print("overload")
    with contextlib.ExitStack() as servers:
        others = [
            servers.enter_context(_beside(peer, "slow", scratch))
            for peer in plan.peers
            if peer.name == FLOOR
        ]
        return overload.measure([overload.ours(hub, key, scratch), *others], TIMES, plan.rounds)


@contextlib.contextmanager
def _beside(peer: Peer, model: str, scratch: Path) -> Iterator[rivals.Rival]:
    """A peer of the hub's own environment, at rest."""
    with rivals.up(peer, Path(sys.executable), model, "binary", scratch) as rival:
        rival.freeze()
        yield rival


def _books() -> dict[str, Any]:
    """Authentication, admission, settlement and spool per request: the median of five runs."""
    console.print("authentication, quota and ledger")
    runs = sorted(
        (admission.measure() for _ in range(_BOOK_RUNS)), key=lambda run: run["whole"]["p50_us"]
    )
    steps = runs[_BOOK_RUNS // 2]
    held = statistics.median(run["whole"]["p50_us"] for run in runs) <= admission.BAR_US
    return {"steps": steps, "bar_us": admission.BAR_US, "held": held}


def _machine() -> dict[str, Any]:
    processor = platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(x for x in lines if x.startswith("model name")).partition(": ")[2]
    return {
        "cpus": os.cpu_count(),
        "processor": processor,
        "python": platform.python_version(),
        "data_path": loading.state().value,
        "generator": "wrk" if wrk.installed() else "benchmarks.load",
    }


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    def names(*known: str) -> Callable[[str], tuple[str, ...]]:
        def read(text: str) -> tuple[str, ...]:
            chosen = tuple(text.split(","))
            if unknown := {*chosen} - {*known} if known else None:
                raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not of {', '.join(known)}")
            return chosen

        return read

    servers = ("alone", *(peer.name for peer in PEERS))
    dialects = {dialect for all_ in compare.DIALECTS.values() for dialect in all_}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench")
    parser.add_argument("--only", type=names(*MODELS, *OTHERS), default=(*MODELS, *OTHERS))
    parser.add_argument("--peers", type=names(*servers), default=servers)
    parser.add_argument("--dialects", type=names(*sorted(dialects)), default=())
    parser.add_argument("--connections", type=names(), default=())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of one measurement")
    parser.add_argument("--environments", type=Path, default=ROOT / ".peers")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args(given)


if __name__ == "__main__":
    sys.exit(main())
