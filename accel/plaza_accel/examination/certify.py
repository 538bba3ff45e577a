"""The body of a certification: one bundle on one provider, in the process that calls it.

    open (timed) ─▶ placement ─▶ runs of one row ─▶ peak memory ─▶ of 2, 4, 16 ─▶ `cpu`, compared

Runs in the sandboxed child, after the walk and onnx's checker. The comparison is made on the
bundle's sample tensors, else on random ones from a fixed seed; integers are then zero, the one
value that is a valid token everywhere.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from plaza_accel.contract.provider import AcceleratorProvider, PlacedRunner, select
from plaza_accel.examination.blame import for_memory
from plaza_accel.gate.proportion import row_bytes
from plaza_accel.sessions.graph_signature import check_answer, synthetic
from plaza_accel.sessions.memory import resident_bytes
from plaza_core.certificate import BATCHES, Parity
from plaza_core.errors import InvalidBundle, InvalidTensor, ModelFailed
from plaza_core.manifest import Manifest
from plaza_core.tensors import NUMPY, Array, DType, Signature, TensorSpec

REFERENCE: Final = "cpu"
TOLERANCE: Final = 1e-3
"""Of a difference over the largest magnitude of its output. Other kernels for 32-bit floats sum in
another order (1e-8 to 1e-6 seen); half precision loses 1e-3; a wrong kernel is off by far more."""
HALF_TOLERANCE: Final = 1e-2
"""Where the model itself gives half-precision outputs."""

_ROWS: Final = 4
_ENOUGH_US: Final = 100_000
_MOST_RUNS: Final = 20
_LONGEST_RUN_US: Final = 500_000
"""A larger batch is not tried when it would take longer than this."""
_LARGEST_RUN_BYTES: Final = 64 << 20
"""Nor when its inputs and outputs are larger: time and memory of an examination are limited, and
what only advises may not use them up."""
_SAMPLE_BYTES: Final = 8 << 20
"""Of a sample that is read; as Python's numbers it takes twenty times as much."""

Tensors = dict[str, Array]


def certify(directory: Path, manifest: Manifest, provider: AcceleratorProvider) -> dict[str, Any]:
    """Facts for a certificate, as JSON. Raises as `provider.open` does, and ModelFailed."""
    before, began = resident_bytes(), time.perf_counter_ns()
    runner = provider.open(directory, manifest)
    load_us = _us_since(began)
    signature = manifest.signature_spec()
    _check_joining(runner, signature, manifest.limits.max_batch)
    peak = resident_bytes("VmHWM")  # before a sample is read, which takes memory of its own
    sample = sample_tensors(directory, manifest) or random_tensors(signature)
    first_us = _median_us(runner, repeated(signature, sample, 1))
    peak = max(peak, resident_bytes())
    latency = {1: first_us, **time_batches(runner, manifest, sample, first_us)}
    facts: dict[str, Any] = {
        "placement": dict(runner.placement),
        "latency_us": latency,
        "rows_per_second": max(rows * 1e6 / max(1, us) for rows, us in latency.items()),
        "peak_bytes": max(0, peak - before),
        "load_us": load_us,
    }
    if provider.name != REFERENCE:
        facts["parity"] = _parity(directory, manifest, runner, sample).model_dump()
    return facts


def time_batches(
    runner: PlacedRunner, manifest: Manifest, sample: Tensors, first_us: int
) -> dict[int, int]:
    """Rows -> median µs of a run, of more than one row: sizes that the manifest allows, for which
    there is memory, and that take no age. The times are advice, and what cannot be timed is left
    out; but what fails or loses rows would do so with everybody's rows in it.

    Raises InvalidBundle.
    """
    signature = manifest.signature_spec()
    times: dict[int, int] = {}
    for rows in BATCHES[1:]:
        joinable = signature.batched and rows <= manifest.limits.max_batch
        small = rows * row_bytes(signature, manifest.buckets) <= _LARGEST_RUN_BYTES
        if joinable and small and first_us * rows <= _LONGEST_RUN_US:
            try:
                inputs = repeated(signature, sample, rows)
                check_answer(signature, runner.run(inputs), rows)
                times[rows] = _median_us(runner, inputs)
            except (ModelFailed, MemoryError) as error:
                if not for_memory(error):
                    text = f"{rows} rows at once fail, and limits.max_batch allows them"
                    raise InvalidBundle(text, input="limits.max_batch") from error
                break
    return times


def compare_answers(signature: Signature, ours: Tensors, theirs: Tensors) -> Parity:
    """`theirs` are the reference's. NaN agrees with NaN, and an infinity with the same."""
    worst_abs = worst_rel = 0.0
    half = False
    for spec in signature.outputs:
        half = half or spec.datatype is DType.FP16
        off, rel = _difference(ours[spec.name], theirs[spec.name])
        worst_abs, worst_rel = max(worst_abs, off), max(worst_rel, rel)
    return Parity(
        max_abs=worst_abs, max_rel=worst_rel, tolerance=HALF_TOLERANCE if half else TOLERANCE
    )


def sample_tensors(directory: Path, manifest: Manifest) -> Tensors | None:
    """The first sample that is a request in raw tensors and fits; None where there is none.

    Samples of other families (texts, pictures) mean nothing to this room.
    """
    signature = manifest.signature_spec()
    if any(spec.datatype is DType.BYTES for spec in signature.inputs):
        return None
    for path in manifest.samples:
        if path.endswith(".json"):
            tensors = _request(directory / path, signature)
            if tensors is not None:
                return tensors
    return None


def random_tensors(signature: Signature) -> Tensors:
    """Rows that differ, of floats in [0, 1); everything else as `synthetic` has it."""
    draw = np.random.default_rng(0)
    rows = _ROWS if _ROWS * row_bytes(signature) <= _LARGEST_RUN_BYTES else 1
    return {spec.name: _random(spec, rows, draw) for spec in signature.inputs}


def repeated(signature: Signature, sample: Tensors, rows: int) -> Tensors:
    """`sample` with that many rows along `batch`: its own over and over."""
    return {
        spec.name: np.resize(sample[spec.name], (rows, *sample[spec.name].shape[1:]))
        if spec.batched
        else sample[spec.name]
        for spec in signature.inputs
    }


def _parity(directory: Path, manifest: Manifest, runner: PlacedRunner, sample: Tensors) -> Parity:
    signature = manifest.signature_spec()
    rows = min(_ROWS, manifest.limits.max_batch) if signature.batched else 1
    inputs = repeated(signature, sample, rows)
    ours = runner.run(inputs)
    reference = select(REFERENCE).open(directory, manifest)
    try:
        return compare_answers(signature, ours, reference.run(inputs))
    finally:
        reference.close()


def _difference(ours: Array, theirs: Array) -> tuple[float, float]:
    """(largest, largest over the reference's magnitude); 1 for what can only be equal or not."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return 1.0, 1.0
    if not np.issubdtype(theirs.dtype, np.floating):
        same = bool(np.array_equal(ours, theirs))
        return (0.0, 0.0) if same else (1.0, 1.0)
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    finite = np.isfinite(b)
    if not np.array_equal(np.where(finite, 0.0, a), np.where(finite, 0.0, b), equal_nan=True):
        return 1.0, 1.0
    if not np.isfinite(a[finite]).all():
        return 1.0, 1.0
    off = float(np.abs(a[finite] - b[finite]).max(initial=0.0))
    scale = float(np.abs(b[finite]).max(initial=0.0))
    return off, off / scale if scale > 0 else min(off, 1.0)


def _check_joining(runner: PlacedRunner, signature: Signature, max_batch: int) -> None:
    """A joinable model must give two rows for two rows. Raises InvalidBundle."""
    if signature.batched and max_batch > 1:
        answer = runner.run({spec.name: synthetic(spec, 2) for spec in signature.inputs})
        check_answer(signature, answer, 2)


def _median_us(runner: PlacedRunner, inputs: Tensors) -> int:
    times: list[int] = []
    while len(times) < _MOST_RUNS and sum(times) < _ENOUGH_US:
        began = time.perf_counter_ns()
        runner.run(inputs)
        times.append(_us_since(began))
    return round(statistics.median(times))


def _us_since(began_ns: int) -> int:
    return (time.perf_counter_ns() - began_ns) // 1000


def _random(spec: TensorSpec, rows: int, draw: np.random.Generator) -> Array:
    zeros = synthetic(spec, rows)
    if not np.issubdtype(zeros.dtype, np.floating):
        return zeros
    return draw.random(zeros.shape).astype(zeros.dtype)


def _request(path: Path, signature: Signature) -> Tensors | None:
    try:
        if path.stat().st_size > _SAMPLE_BYTES:
            return None
        inputs = json.loads(path.read_bytes())["inputs"]
        named: Mapping[str, Any] = {entry["name"]: entry for entry in inputs}
        tensors = {
            spec.name: np.asarray(named[spec.name]["data"], NUMPY[spec.datatype]).reshape(
                named[spec.name]["shape"]
            )
            for spec in signature.inputs
        }
        signature.check(tensors)
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError, InvalidTensor):
        return None  # a sample of another kind
    return tensors
