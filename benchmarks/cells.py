"""What a cell costs a request: the same small model run in this process and in a cell.

One thread asks, as a worker does for one connection; blocks of both alternate, so that whatever
else the machine does meets both. Two cases: raw tensors (one passage) and a task (three: prepare,
run, interpret). The bar: the median of a raw call is at most 100 µs longer in a cell.

    python -m benchmarks.cells [--seconds 20]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import graphs
from plaza_accel.cells.cell import resident_bytes
from plaza_accel.cells.keeper import CellKeeper, CellOptions, Point
from plaza_accel.providers.cpu import CpuProvider
from plaza_core.clock import SystemClock
from plaza_core.ids import Digest, OrganisationId
from plaza_core.manifest import MANIFEST_FILE, Manifest, parse_manifest
from plaza_core.running import Family, Runner
from plaza_core.table import VersionEntry
from plaza_models.tasks import ClassifyTask
from plaza_models.tensor import open_family as open_tensor
from plaza_models.text.classify import open_family as open_classify

BAR_US = 100.0
BLOCK = 500
INTENTS = Path(__file__).parents[1] / "models" / "bundles" / "banking-intents"
Ask = Callable[[], object]

console = Console(highlight=False)


@contextmanager
def in_cell(directory: Path, manifest: Manifest, family: str) -> Iterator[tuple[Runner, Family]]:
    point = Point(family, {})
    options = CellOptions(2, 64 << 20, 0, "plaza_models.tasks")
    cells = CellKeeper(options, lambda _: point, SystemClock())
    try:
        entry = VersionEntry(version=1, digest=Digest("0" * 64), manifest=manifest, files=[])
        begun = time.perf_counter()
        runner, opened = cells.open(directory, entry, OrganisationId("org"))
        took = time.perf_counter() - begun
        console.print(f"opened in {took:.2f} s, resident {resident_bytes(runner.pid) >> 20} MB")
        yield runner, opened
    finally:
        cells.close()


def raw(runner: Runner) -> Ask:
    x = {"x": np.ones((1, 4), np.float32)}
    return lambda: runner.run(x)


def task(runner: Runner, family: Family) -> Ask:
    def ask() -> object:
        prepared = family.prepare(ClassifyTask(("when will my card arrive",)))
        return family.interpret(runner.run(prepared.tensors), prepared.context)

    return ask


def compare(here: Ask, there: Ask, seconds: float) -> dict[str, dict[str, float]]:
    """Microseconds of a call, in this process and in a cell."""
    took: dict[str, list[int]] = {"in process": [], "cell": []}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for times, ask in zip(took.values(), (here, there), strict=True):
            for _ in range(BLOCK):
                begin = time.perf_counter_ns()
                ask()
                times.append(time.perf_counter_ns() - begin)
    return {name: percentiles(times) for name, times in took.items()}


def percentiles(times: list[int]) -> dict[str, float]:
    p50, p99 = np.percentile(np.array(times[BLOCK:]) / 1e3, [50, 99])
    return {"p50_us": round(float(p50), 1), "p99_us": round(float(p99), 1), "calls": len(times)}


def measure(seconds: float) -> dict[str, Any]:
    """Both cases, half of the time each; `overhead_us` is what a raw call costs more in a cell."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as at:
        tiny = graphs.tiny()
        directory, manifest = tiny.write(Path(at) / "tiny"), tiny.parsed()
        here = CpuProvider().open(directory, manifest)
        open_tensor(directory, manifest)
        with in_cell(directory, manifest, "plaza_models.tensor:open_family") as (runner, _):
            found["raw"] = compare(raw(here), raw(runner), seconds / 2)
    manifest = parse_manifest((INTENTS / MANIFEST_FILE).read_bytes())
    here, family = CpuProvider().open(INTENTS, manifest), open_classify(INTENTS, manifest)
    with in_cell(INTENTS, manifest, "plaza_models.text.classify:open_family") as inside:
        found["task"] = compare(task(here, family), task(*inside), seconds / 2)
    overhead = found["raw"]["cell"]["p50_us"] - found["raw"]["in process"]["p50_us"]
    return {**found, "overhead_us": round(overhead, 1), "bar_us": BAR_US}


def holds(found: dict[str, Any]) -> bool:
    return bool(found["overhead_us"] <= found["bar_us"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    found = measure(parser.parse_args().seconds)
    console.print_json(data={"processors": os.cpu_count(), **found})
    return 0 if holds(found) else 1


if __name__ == "__main__":
    sys.exit(main())
