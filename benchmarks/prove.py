"""`make prove`: every bar in full, one after the other, results in `prove.json`.

    demo         a fresh clone with an empty home: `make demo ONCE=1` twice, ready under 25 s again
    bench        the front door against its peers, `make bench`
    chaos        kill -9 of every part under traffic, three rounds each; the books balance
    gate         the gate's errors over 20,000 simulated good rollouts and 7,000 bad ones
    rollouts     bad versions are stopped by a real control and replica, 20 good ones are not
    third-party  models that nobody here trained, where `PLAZA_DATA` has them

Needs no root. `bench` takes the load generator wrk where installed (Debian: `apt install wrk`);
nothing else beyond the locks is needed. About a quarter of an hour on two cores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import plaza
from benchmarks import bench, graphs, rollouts
from benchmarks.chaos_rounds import ROUNDS, chaos_round
from benchmarks.hub import Hub, own_ports, running_hub

ROOT = Path(__file__).parents[1]
REPEATS = 3
READY_WITHIN_S = 25.0

console = Console()


def prove_demo() -> dict[str, Any]:
    """Clone, demonstrate twice with nothing at home; the second time everything is there."""
    with tempfile.TemporaryDirectory(prefix="plaza-prove-") as scratch:
        place = Path(scratch)
        (place / "home").mkdir()
        clone = place / "plaza"
        _run(["git", "clone", "--quiet", str(ROOT), str(clone)], place, {})
        ports = {f"PLAZA_{name.upper()}": str(port) for name, port in own_ports().items()}
        environment = {"HOME": str(place / "home"), **ports}
        seconds, ready = [], []
        for _ in range(2):
            begin = time.monotonic()
            _run(["make", "demo", "ONCE=1"], clone, environment)
            seconds.append(round(time.monotonic() - begin, 1))
            told = json.loads((clone / "demo" / "answers.json").read_text())
            ready.append(told["ready_after_s"])
    return {"seconds": seconds, "ready_s": ready, "held": ready[1] < READY_WITHIN_S}


def prove_bench() -> dict[str, Any]:
    status = bench.main()
    document: dict[str, Any] = json.loads(bench.RESULTS.read_text())
    return {"ratios": document["ratios"], "bars": document["bars"], "held": status == 0}


def prove_chaos() -> dict[str, Any]:
    """Three rounds of every kill on one hub."""
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="plaza-chaos-") as scratch:
        place = Path(scratch)
        limits = {"rate_per_second": 100_000, "rate_burst": 100_000}
        with running_hub(place / "state", **limits) as hub:
            key = _chaos_key(hub, place)
            for round_ in ROUNDS * REPEATS:
                result = chaos_round(hub, key, "chaos", round_, before_s=3.0, after_s=5.0)
                held = result.held(round_.back_within_s)
                console.print(f"  {round_.name}: {'held' if held else 'BROKEN'} {result}")
                results.append({**result.document(), "bar_s": round_.back_within_s, "held": held})
    return {"rounds": results, "held": all(result["held"] for result in results)}


def _chaos_key(hub: Hub, place: Path) -> str:
    directory = graphs.tiny().write(place / "tiny")
    hub.admin.models.register(directory, visibility="public")
    hub.admin.orgs.create("chaos")
    key = hub.admin.keys.create("chaos", role="consumer").key
    client = hub.client(key)
    give_up = time.monotonic() + 30
    while True:
        try:
            client.infer("tiny", {"x": np.zeros((1, 4), np.float32)})
        except plaza.PlazaError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.2)
        else:
            return key


def prove_gate() -> dict[str, Any]:
    """What was counted goes to a file that the tests append to, one document a line."""
    with tempfile.TemporaryDirectory(prefix="plaza-gate-") as scratch:
        told = Path(scratch) / "told"
        tests = "tests/serving/control/test_gate_simulated.py"
        done = subprocess.run(  # noqa: S603 our own command
            [sys.executable, "-m", "pytest", "-q", "-m", "prove", tests],
            cwd=ROOT,
            env={**os.environ, "PLAZA_GATE_RESULTS": str(told)},
            check=False,
        )
        counted = [json.loads(line) for line in told.read_text().splitlines()]
    return {"counted": counted, "held": done.returncode == 0}


def prove_rollouts() -> dict[str, Any]:
    results = rollouts.measure(good=20, requests=2000)
    documents = [asdict(result) for result in results]
    return {"rollouts": documents, "held": all(result.held for result in results)}


def prove_third_party() -> dict[str, Any]:
    if not os.environ.get("PLAZA_DATA"):
        return {"held": None, "why": "PLAZA_DATA is not set"}
    tests = ["tests/hub/test_third_party.py", "tests/models/vision/test_third_party.py"]
    done = subprocess.run(  # noqa: S603 our own command
        [sys.executable, "-m", "pytest", "-q", *tests], cwd=ROOT, check=False
    )
    return {"held": done.returncode == 0}


def _run(command: list[str], directory: Path, more: dict[str, str]) -> None:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PLAZA_", "VIRTUAL_"))}
    environment = {**inherited, **more}
    subprocess.run(command, cwd=directory, env=environment, check=True)  # noqa: S603 our own


PROOFS: dict[str, Callable[[], dict[str, Any]]] = {
    "demo": prove_demo,
    "bench": prove_bench,
    "chaos": prove_chaos,
    "gate": prove_gate,
    "rollouts": prove_rollouts,
    "third-party": prove_third_party,
}


def main() -> int:
    """Run the proofs named on the command line, or all of them."""
    results: dict[str, Any] = {}
    for name in sys.argv[1:] or PROOFS:
        console.rule(name)
        begin = time.monotonic()
        results[name] = {**PROOFS[name](), "took_s": round(time.monotonic() - begin)}
        (ROOT / "prove.json").write_text(json.dumps(results, indent=1) + "\n")
    for name, result in results.items():
        console.print(
            f"{name}: {({True: 'held', False: 'BROKEN', None: 'not run'})[result['held']]}"
        )
    return 0 if all(result["held"] is not False for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
