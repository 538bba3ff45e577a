"""`python -m plaza_accel.child`: the sandboxed first look at a bundle.

Gives up its rights, then reads the file by hand, then with onnx's checker, then with the provider,
and says on the way where it is, so that the parent can name the place of a crash. What it writes:
`{"phase": …}` lines, then one `{"verdict": …}` or `{"refused": …}`. Asked to certify, it also says
where it runs, `{"environment": …}`, and before the verdict what it measured, `{"certificate": …}`.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import stat
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from plaza_accel.sandbox import Confinement, SandboxError, die_with_parent, enter, leave_network

if TYPE_CHECKING:
    from plaza_accel.provider import PlacedRunner
    from plaza_core.manifest import Manifest


class _Answers:
    """The private way back to the parent: libraries that print do not reach it."""

    def __init__(self) -> None:
        self._out: IO[bytes] = os.fdopen(os.dup(1), "wb", buffering=0)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)

    def say(self, **what: Any) -> None:
        self._out.write(json.dumps(what).encode() + b"\n")


def main() -> None:
    request = json.loads(sys.stdin.buffer.read())
    answers = _Answers()
    directory = Path(request["directory"])
    leave_network()
    die_with_parent()  # after the namespace: gaining its capabilities clears the request
    try:
        enter(Confinement((directory,), request["memory_bytes"], request["cpu_seconds"]))
    except SandboxError as error:
        answers.say(unconfined=str(error))
        return
    _examine(directory, request, answers)


def _examine(directory: Path, request: Mapping[str, Any], answers: _Answers) -> None:
    # Imported inside the sandbox: its threads must be born there.
    from plaza_accel.walk import Refused
    from plaza_core.errors import PlazaError

    try:
        if request.get("certify"):
            answers.say(environment=_environment(request))
        answers.say(phase="read")
        _walk(directory / "model.onnx")
        answers.say(phase="check")
        _check(directory / "model.onnx")
        answers.say(phase="open")
        if request.get("certify"):
            answers.say(verdict=_certify(directory, request, answers))
        else:
            answers.say(verdict=_run(directory, request))
    except Refused as error:
        answers.say(refused=str(error))
    except PlazaError as error:
        where = f"{error.input}: " if error.input else ""
        answers.say(refused=where + error.message)
    except MemoryError:
        answers.say(refused="ran out of memory")


def _walk(path: Path) -> None:
    from plaza_accel.external import plain_files
    from plaza_accel.walk import Refused, walk

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        raise Refused("model.onnx cannot be read as a file of the bundle") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
            raise Refused("model.onnx is not a file with content")
        # The mapping stays until the process ends: parts of it hang on an exception's frames.
        content = memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
        walk(content, plain_files(path.parent))
    finally:
        os.close(descriptor)


def _check(path: Path) -> None:
    import onnx

    from plaza_accel.walk import Refused

    try:
        onnx.checker.check_model(path, full_check=False)
        onnx.checker.check_model(path, full_check=True)  # adds shape inference
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 the checker's errors share no base; none of them may pass
        raise Refused("onnx's checker refuses the model") from None


def _run(directory: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    from plaza_accel.native import RUNTIME
    from plaza_accel.provider import select
    from plaza_core.manifest import manifest_from

    manifest = manifest_from(request["manifest"])
    before = _resident_bytes()
    runner = select(request["provider"]).open(directory, manifest)
    run_us = _timed_run(runner, manifest)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "runtime": RUNTIME,
        "nodes": dict(runner.placement),
        "peak_bytes": max(0, peak - before),
        "run_us": run_us,
    }


def _environment(request: Mapping[str, Any]) -> dict[str, Any]:
    from plaza_accel.environment import environment_of
    from plaza_accel.provider import select

    return environment_of(select(request["provider"], request.get("options"))).model_dump()


def _certify(directory: Path, request: Mapping[str, Any], answers: _Answers) -> dict[str, Any]:
    """The verdict is the first half of the certificate: nothing is opened twice for it."""
    from plaza_accel.certify import certify
    from plaza_accel.native import RUNTIME
    from plaza_accel.provider import select
    from plaza_core.manifest import manifest_from

    provider = select(request["provider"], request.get("options"))
    found = certify(directory, manifest_from(request["manifest"]), provider)
    answers.say(certificate=found)
    return {
        "runtime": RUNTIME,
        "nodes": found["placement"],
        "peak_bytes": found["peak_bytes"],
        "run_us": found["latency_us"][1],
    }


def _timed_run(runner: PlacedRunner, manifest: Manifest) -> int:
    """Microseconds of one warm run of one row, the best of at most three within 0.2 s.

    A joinable model must also give two rows for two rows.
    """
    from plaza_accel.graph_signature import check_answer, synthetic

    signature = manifest.signature_spec()
    one = {spec.name: synthetic(spec) for spec in signature.inputs}
    times: list[int] = []
    while len(times) < 3 and sum(times) < 200_000:
        started = time.perf_counter_ns()
        runner.run(one)
        times.append((time.perf_counter_ns() - started) // 1000)
    if signature.batched and manifest.limits.max_batch > 1:
        answer = runner.run({spec.name: synthetic(spec, 2) for spec in signature.inputs})
        check_answer(signature, answer, 2)
    return min(times)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
