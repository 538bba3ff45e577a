"""`python -m plaza_accel.examination.child`: the sandboxed first look at a bundle.

Gives up its rights, then reads the file by hand, then with onnx's checker, then with the provider,
then has the family read what else the bundle holds. Says on the way where it is, so that the parent
can name the place of a crash. What it writes: `{"phase": …}` lines, then one `{"verdict": …}` or
`{"refused": …, "rule": …, "node": …}`. Asked to certify, it also says where it runs,
`{"environment": …}`, and before the verdict what it measured, `{"certificate": …}`.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import stat
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from plaza_accel.sandbox.confinement import Confinement, SandboxError, enter
from plaza_accel.sessions.memory import resident_bytes

if TYPE_CHECKING:
    from plaza_accel.contract.provider import PlacedRunner
    from plaza_core.manifest import Manifest


class Answers:
    """The private way back to the parent: libraries that print do not reach it."""

    def __init__(self) -> None:
        self._out: IO[bytes] = os.fdopen(os.dup(1), "wb", buffering=0)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)

    def say(self, **what: Any) -> None:
        self._out.write(json.dumps(what).encode() + b"\n")


def main() -> None:
    gc.disable()  # it imports, looks at one bundle and ends: there is nothing to collect
    request = json.loads(sys.stdin.buffer.read())
    answers = Answers()
    directory = Path(request["directory"])
    try:
        enter(_confinement(directory, request))
    except SandboxError as error:
        answers.say(unconfined=str(error))
        return
    _examine(directory, request, answers)


def _confinement(directory: Path, request: Mapping[str, Any]) -> Confinement:
    """The bundle, and what whoever started this child admits besides (`needs`)."""
    admits = request["admits"]
    return Confinement(
        (directory, *map(Path, admits["readable"])),
        request["memory_bytes"],
        request["cpu_seconds"],
        devices=tuple(map(Path, admits["devices"])),
        limit_addresses=admits["limit_addresses"],
    )


def _examine(directory: Path, request: Mapping[str, Any], answers: Answers) -> None:
    # Imported inside the sandbox: its threads must be born there.
    from plaza_accel.examination.blame import blame
    from plaza_core.manifest import manifest_from

    try:
        manifest = manifest_from(request["manifest"])
        certifying = bool(request.get("certify"))
        if certifying:
            answers.say(environment=_environment(request))
        answers.say(phase="read")
        walk_file(directory / "model.onnx")
        answers.say(phase="check")
        check_file(directory / "model.onnx")
        answers.say(phase="open")
        if certifying:
            verdict = _certify(directory, manifest, request, answers)
        else:
            verdict = _run(directory, manifest, request)
        answers.say(phase="family")
        _open_family(directory, manifest)
    except Exception as error:  # noqa: BLE001 told apart there; none of them may pass
        refused = blame(error)
        answers.say(refused=str(refused), rule=refused.rule, node=refused.node)
    else:
        answers.say(verdict=verdict)


def walk_file(path: Path) -> None:
    from plaza_accel.gate.external import plain_files
    from plaza_accel.gate.rules import Refused, Rule
    from plaza_accel.gate.walk import walk

    files = plain_files(path.parent)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        text = "model.onnx cannot be read as a file of the bundle"
        raise Refused(Rule.FILE_KIND, text) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
            raise Refused(Rule.FILE_KIND, "model.onnx is not a file with content")
        # The mapping stays until the process ends: parts of it hang on an exception's frames.
        content = memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
        walk(content, files)
    finally:
        os.close(descriptor)
    for other in (*path.parent.glob("*"), *path.parent.glob("*/*")):
        name = other.relative_to(path.parent).as_posix()
        if name not in files and (other.is_symlink() or not other.is_dir()):
            raise Refused(Rule.FILE_KIND, "the bundle holds something that is not a plain file")


def check_file(path: Path) -> None:
    import onnx

    from plaza_accel.examination.blame import node_in
    from plaza_accel.gate.rules import Refused, Rule

    try:
        onnx.checker.check_model(path, full_check=False)
        onnx.checker.check_model(path, full_check=True)  # adds shape inference
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 the checker's errors share no base; none may pass
        text = "onnx's checker refuses the model"
        raise Refused(Rule.CHECKER, text, node_in(str(error))) from None


def _run(directory: Path, manifest: Manifest, request: Mapping[str, Any]) -> dict[str, Any]:
    from plaza_accel.contract.provider import select
    from plaza_accel.sessions.native import RUNTIME

    before = resident_bytes()
    runner = select(request["provider"], request.get("options")).open(directory, manifest)
    run_us = _timed_run(runner, manifest)
    peak = max(0, resident_bytes("VmHWM") - before)
    _check_peak(peak, request["peak_bytes"])
    return {
        "runtime": RUNTIME,
        "nodes": dict(runner.placement),
        "peak_bytes": peak,
        "run_us": run_us,
    }


def _check_peak(peak: int, most: int) -> None:
    """A file of 77 bytes can hold a gigabyte of constants."""
    from plaza_accel.gate.rules import Refused, Rule

    if peak > most:
        text = f"one row takes {peak >> 20} MB of memory; for its size {most >> 20} MB is the most"
        raise Refused(Rule.MEMORY, text)


def _open_family(directory: Path, manifest: Manifest) -> None:
    """Have the family read its files of the bundle (labels, vocabularies), as a replica will."""
    from plaza_accel.gate.rules import Refused, Rule
    from plaza_core.errors import BadRequest
    from plaza_core.plugins import FAMILIES, available, load

    if manifest.family not in available(FAMILIES):
        return  # replicas may have it; those that do not say so
    try:
        load(FAMILIES, manifest.family)(directory, manifest)
    except BadRequest as error:
        where = f"{error.input}: " if error.input else ""
        raise Refused(Rule.FAMILY, where + error.message) from None
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 a plug-in's own error, of any kind
        text = f"the family '{manifest.family}' cannot read this bundle"
        raise Refused(Rule.FAMILY, text) from None


def _environment(request: Mapping[str, Any]) -> dict[str, Any]:
    from plaza_accel.contract.provider import select
    from plaza_accel.examination.environment import environment_of

    return environment_of(select(request["provider"], request.get("options"))).model_dump()


def _certify(
    directory: Path, manifest: Manifest, request: Mapping[str, Any], answers: Answers
) -> dict[str, Any]:
    """The verdict is the first half of the certificate: nothing is opened twice for it."""
    from plaza_accel.contract.provider import select
    from plaza_accel.examination.certify import certify
    from plaza_accel.sessions.native import RUNTIME

    found = certify(directory, manifest, select(request["provider"], request.get("options")))
    _check_peak(found["peak_bytes"], request["peak_bytes"])
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
    from plaza_accel.sessions.graph_signature import check_answer, synthetic

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


if __name__ == "__main__":
    main()
