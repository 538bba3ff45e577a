"""`make prove`: every bar in full, one after the other, results in `prove.json`.

    demo         a fresh clone with an empty home: `make demo ONCE=1` twice, ready under 25 s again
    bench        the front door against its peers, `make bench`
    chaos        kill -9 of every part under traffic, three rounds each, and of replicas and control
                 at random, 20 rounds with one and two replicas; everybody's books balance
    supervisor   Ray under the supervisor alone: its head is killed, then all of it is stopped
    exact        1,000 requests at once on a budget for exactly 137, with 1, 2 and 4 replicas
    fairness     a flooder beside three polite organisations, weights 1:2:4; one replica and two
    lending      one organisation with a quarter share gets what the hub has while others are idle
    price        the same request costs the same beside quiet and busy neighbours
    answers      20,000 requests in three ways to models that add constants, one in five given up:
                 every answer is that of its own question; one replica and two
    budgets      the state machine of budgets in full, and every planted bug from ten beginnings
    keys         fifty keys at work on a whole hub leave no trace in any file, log or answer
    crash-points uploads killed at a hundred steps, on disk, on S3 and in control; a hundred bits
                 flipped in the store, on the wire and in the node's cache
    gate         the gate's errors over 10,000 simulated good rollouts and 7,000 bad ones
    corpus       the hostile files that only time stops, one by one
    hostile      every file of the hostile corpus is registered while a neighbour's traffic runs
    accelerators pools of several providers on one hub; OpenVINO and the example package examined
    grpc         two replicas share the port of gRPC, and one is killed
    cells        what crashes, hangs or hoards memory only at run time takes down nothing but its
                 cell: two neighbours ask on, it is put out and comes back, the books balance
    rollouts     bad versions are stopped by a real hub, 20 good ones are not
    swaps        50 versions promoted under load; then rolled back, warm and cold
    crowd        50 models in a budget for ten
    third-party  models that nobody here trained, where `PLAZA_DATA` has them

Needs no root. `bench` takes the load generator wrk where installed (Debian: `apt install wrk`);
nothing else beyond the locks is needed. Hours on two cores; `took_s` tells
what each took.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from rich.console import Console

from benchmarks import answers, bench, contained, exact, fairness, lending, price, rollouts, swaps
from benchmarks.chaos_rounds import ROUNDS, drawn, rounds
from benchmarks.hub import tidy
from benchmarks.ports import own_ports

ROOT = Path(__file__).parents[1]
REPEATS, RANDOM_ROUNDS, SEED = 3, 20, 137
READY_WITHIN_S = 25.0

console = Console()


def prove_demo() -> dict[str, Any]:
    """Clone, demonstrate twice with nothing at home; the second time everything is there."""
    with tempfile.TemporaryDirectory(prefix="plaza-prove-") as scratch, own_ports() as ports:
        place = Path(scratch)
        (place / "home").mkdir()
        clone = place / "plaza"
        _run(["git", "clone", "--quiet", str(ROOT), str(clone)], place, {})
        environment = {"HOME": str(place / "home"), **ports.environment}
        seconds, ready = [], []
        for _ in range(2):
            begin = time.monotonic()
            _run(["make", "demo", "ONCE=1"], clone, environment)
            seconds.append(round(time.monotonic() - begin, 1))
            told = json.loads((clone / "demo" / "answers.json").read_text())
            ready.append(told["ready_after_s"])
        tidy(clone / ".plaza")
    return {"seconds": seconds, "ready_s": ready, "held": ready[1] < READY_WITHIN_S}


def prove_bench() -> dict[str, Any]:
    """The front door, and what it costs beside servers that need no environment of their own."""
    with tempfile.TemporaryDirectory(prefix="plaza-prove-") as scratch:
        parts = "tiny,conv,detector,embedder,encoder,latency,overload,books,cells"
        given = ["--only", parts, "--peers", "alone,uvicorn", "--results", scratch]
        status = bench.main([*given, "--dialects", "json,binary,jpeg"])
        told = json.loads((Path(scratch) / "bench.json").read_text())
    return {"bench": told, "held": status == 0}


def _for_replicas(proof: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
    """A proof with one replica and with two."""
    results = {f"replicas {n}": proof(n) for n in (1, 2)}
    return {**results, "held": all(r["held"] for r in results.values())}


def prove_chaos() -> dict[str, Any]:
    """Every kill in turn on one hub; then replica or control at random, on one and two replicas."""
    dice = random.Random(SEED)  # noqa: S311 to be drawn again, not to be secret
    results = rounds([(round_, 3.0) for round_ in ROUNDS * REPEATS], replicas=1, dice=dice)
    for replicas in (1, 2):
        results += rounds(drawn(RANDOM_ROUNDS // 2, dice), replicas=replicas, dice=dice)
    return {"rounds": results, "held": all(result["held"] for result in results)}


def prove_budgets() -> dict[str, Any]:
    """The state machine in full on every bank, and every planted bug from ten beginnings."""
    return _tested("-m", "prove", "tests/tenancy/test_budget_machine.py")


def prove_keys() -> dict[str, Any]:
    """Fifty keys at work on a whole hub; then every byte that is left is searched for them."""
    return _tested("-m", "prove", "tests/hub/test_no_key_is_kept.py")


def prove_crash_points() -> dict[str, Any]:
    """Every point and flip is checked by the tests; here they are counted."""
    tests = [
        "tests/registry/test_crash_points.py",
        "tests/serving/control/test_crash_points.py",
        "tests/serving/test_flipped_bits.py",
    ]
    with tempfile.TemporaryDirectory(prefix="plaza-crash-") as scratch:
        report = Path(scratch) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "prove"]
        command += [f"--junitxml={report}", "-o", "junit_family=xunit1"]
        done = subprocess.run([*command, *tests], cwd=ROOT, check=False)  # noqa: S603 our own
        properties = ElementTree.parse(report).iter("property")  # noqa: S314 pytest wrote it
        counts = {one.attrib["name"]: one.attrib["value"] for one in properties}
    return {"counts": counts, "held": done.returncode == 0 and len(counts) == len(CRASHES)}


def prove_gate() -> dict[str, Any]:
    held, told = _telling("PLAZA_GATE_RESULTS", "tests/serving/control/test_gate_simulated.py")
    return {"counted": told, "held": held}


def prove_hostile() -> dict[str, Any]:
    """Every hostile file, one after the other, while a neighbour of its sender asks on."""
    held, told = _telling("PLAZA_HOSTILE_RESULTS", "tests/hub/test_hostile.py")
    return {"seen": told, "held": held}


def _telling(variable: str, tests: str) -> tuple[bool, list[Any]]:
    """Whether `tests` passed in full, and what they wrote into the file that `variable` names, one
    document a line."""
    with tempfile.TemporaryDirectory(prefix="plaza-told-") as scratch:
        file = Path(scratch) / "told"
        done = subprocess.run(  # noqa: S603 our own command
            [sys.executable, "-m", "pytest", "-q", "-m", "prove", tests],
            cwd=ROOT,
            env={**os.environ, variable: str(file)},
            check=False,
        )
        lines = file.read_text().splitlines() if file.exists() else []
    return done.returncode == 0 and bool(lines), [json.loads(line) for line in lines]


def prove_accelerators() -> dict[str, Any]:
    """Pools of three providers on one hub, one that cannot run, the example package from outside,
    and the examination in the environment of OpenVINO."""
    pools = _tested(
        "tests/hub/pools/test_pools.py", "tests/accel/providers/test_example_package.py"
    )
    exam = ["tests/accel/providers/test_openvino.py", "tests/accel/conformance/test_conformance.py"]
    overlay = ROOT / ".venv-openvino" / "bin" / "python"
    done = subprocess.run(  # noqa: S603 our own command
        [overlay, "-m", "pytest", "-q", "-p", "no:cacheprovider", *exam], cwd=ROOT, check=False
    )
    return {"held": pools["held"] and done.returncode == 0}


def prove_rollouts() -> dict[str, Any]:
    results = rollouts.measure(good=20, requests=2000)
    documents = [asdict(result) for result in results]
    return {"rollouts": documents, "held": all(result.held for result in results)}


def prove_third_party() -> dict[str, Any]:
    if not os.environ.get("PLAZA_DATA"):
        return {"held": None, "why": "PLAZA_DATA is not set"}
    return _tested("tests/hub/test_third_party.py", "tests/models/vision/test_third_party.py")


def _tested(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603 our own command
        [sys.executable, "-m", "pytest", "-q", *arguments], cwd=ROOT, check=False
    )
    return {"held": done.returncode == 0}


def _run(command: list[str], directory: Path, more: dict[str, str]) -> None:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PLAZA_", "VIRTUAL_"))}
    environment = {**inherited, **more}
    subprocess.run(command, cwd=directory, env=environment, check=True)  # noqa: S603 our own


CRASHES = (
    "disk", "s3", "s3 in parts", "control, disk", "control, s3", "flipped, disk", "flipped, s3",
)  # fmt: skip
"""What `crash-points` counts: a skipped test is no proof."""

PROOFS: dict[str, Callable[[], dict[str, Any]]] = {
    "demo": prove_demo,
    "bench": prove_bench,
    "chaos": prove_chaos,
    "supervisor": lambda: _tested("-m", "prove", "tests/serving/supervisor/test_hub.py"),
    "exact": exact.prove,
    "fairness": lambda: _for_replicas(fairness.prove),
    "lending": lambda: _for_replicas(lending.prove),
    "price": price.prove,
    "answers": lambda: _for_replicas(lambda replicas: answers.prove(replicas=replicas)),
    "budgets": prove_budgets,
    "keys": prove_keys,
    "crash-points": prove_crash_points,
    "gate": prove_gate,
    "corpus": lambda: _tested("-m", "prove", "tests/accel"),
    "hostile": prove_hostile,
    "accelerators": prove_accelerators,
    "grpc": lambda: _tested("-m", "prove", "tests/hub/pools/test_grpc.py"),
    "cells": contained.prove,
    "rollouts": prove_rollouts,
    "swaps": swaps.prove_swaps,
    "crowd": swaps.prove_crowd,
    "third-party": prove_third_party,
    "unseen-detector": lambda: _tested(
        "-m", "prove", "tests/models/vision/test_unseen_detector.py"
    ),
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
