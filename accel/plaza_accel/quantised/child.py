"""`python -m plaza_accel.quantised.child`: the sandboxed half. One step a process, so that each
opens only what the step before has let through.

`quantise`: walk, check, read; the new model goes into the descriptor that the parent gave.
`compare`: walk, check and open both bundles, run both on the same inputs, say how they differ.
Answers: `{"phase": …}`, then `{"quantised": …}`, `{"compared": …}` or `{"refused": …}`.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from plaza_accel.examination.child import Answers, check_file, walk_file
from plaza_accel.sandbox.confinement import Confinement, SandboxError, enter

if TYPE_CHECKING:
    from plaza_accel.contract.provider import PlacedRunner
    from plaza_core.manifest import Manifest
    from plaza_core.tensors import Array

_ROUNDS: Final = 15
_ENOUGH_NS: Final = 2_000_000_000


def main() -> None:
    request = json.loads(sys.stdin.buffer.read())
    answers = Answers()
    readable = tuple(Path(path) for path in request["readable"])
    try:
        enter(
            Confinement(
                readable,
                request["memory_bytes"],
                request["cpu_seconds"],
                file_bytes=request["file_bytes"],
            )
        )
    except SandboxError as error:
        answers.say(unconfined=str(error))
        return
    from plaza_accel.examination.blame import blame

    try:
        step = {"quantise": _quantise, "compare": _compare}[request["step"]]
        said = step(request, answers)
    except Exception as error:  # noqa: BLE001 told apart there; none of them may pass
        answers.say(refused=str(blame(error)))
    else:
        answers.say(**said)


def _quantise(request: Mapping[str, Any], answers: Answers) -> dict[str, Any]:
    import onnx

    from plaza_accel.quantised.integers import quantise

    path = Path(request["directory"]) / "model.onnx"
    _pass(path, answers)
    answers.say(phase="quantise")
    made = quantise(
        onnx.load(path), per_channel=request["per_channel"], convolutions=request["convolutions"]
    )
    if made is None:
        return {"quantised": {"nodes": 0, "share": 0.0, "bytes": 0}}
    content = made.model.SerializeToString()
    with os.fdopen(request["descriptor"], "wb") as file:
        file.write(content)
    return {"quantised": {"nodes": made.nodes, "share": made.share, "bytes": len(content)}}


def _compare(request: Mapping[str, Any], answers: Answers) -> dict[str, Any]:
    from plaza_accel.contract.provider import select
    from plaza_accel.quantised.differences import Differences
    from plaza_accel.quantised.feeds import feeds, rows_of
    from plaza_core.manifest import manifest_from

    manifest = manifest_from(request["manifest"])
    before, after = (Path(request[name]) for name in ("directory", "quantised"))
    for directory in (before, after):
        _pass(directory / "model.onnx", answers)
    answers.say(phase="open")
    inputs, basis = feeds(before, manifest, request["samples"], request["task"])
    old, new = (select("cpu").open(one, manifest) for one in (before, after))
    answers.say(phase="compare")
    signature = manifest.signature_spec()
    differences = Differences(signature)
    for feed in inputs:
        differences.add(new.run(feed), old.run(feed))
    times = _times(old, new, manifest, inputs[0])
    return {
        "compared": {
            "basis": basis,
            "rows": sum(rows_of(signature, feed) for feed in inputs),
            "largest": differences.largest,
            "mean": differences.mean,
            "agreement": differences.agreement,
            "us_before": times[0],
            "us_after": times[1],
        }
    }


def _pass(path: Path, answers: Answers) -> None:
    answers.say(phase="read")
    walk_file(path)
    answers.say(phase="check")
    check_file(path)


def _times(
    old: PlacedRunner, new: PlacedRunner, manifest: Manifest, feed: dict[str, Array]
) -> tuple[float, float]:
    """Median µs of a run of one row of each; they alternate, so that both meet what else the
    machine does."""
    from plaza_accel.examination.certify import repeated

    one = repeated(manifest.signature_spec(), feed, 1)
    found: tuple[list[float], list[float]] = ([], [])
    begun = time.perf_counter_ns()
    while len(found[0]) < _ROUNDS and (not found[0] or time.perf_counter_ns() - begun < _ENOUGH_NS):
        for runner, times in zip((old, new), found, strict=True):
            runner.run(one)  # the other one has emptied the caches
            began, runs = time.perf_counter_ns(), 0
            while runs < 1 or time.perf_counter_ns() - began < 2_000_000:
                runner.run(one)
                runs += 1
            times.append((time.perf_counter_ns() - began) / runs / 1000)
    return statistics.median(found[0]), statistics.median(found[1])


if __name__ == "__main__":
    main()
