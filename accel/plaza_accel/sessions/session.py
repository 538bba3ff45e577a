"""One opened model: a Runner over an ONNX Runtime session.

Owns the hot path (`run`), the opening of a bundle (compare, warm, count) and the estimate of the
memory that an open model holds. Which execution providers are used is the plan's business.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from plaza_accel.contract.provider import PlacedRunner
from plaza_accel.gate.proportion import row_bytes
from plaza_accel.sessions import arena
from plaza_accel.sessions.buckets import bucketed, compiled, declared_by, prove
from plaza_accel.sessions.even import even
from plaza_accel.sessions.graph_signature import check_answer, compare, graph_tensors, synthetic
from plaza_accel.sessions.native import NATIVE_ERRORS, out_of_memory, return_freed_memory
from plaza_accel.sessions.options import CPU, SessionPlan
from plaza_accel.sessions.placement import check, placed_nodes
from plaza_accel.sessions.strings import to_bytes, to_text
from plaza_accel.sessions.turns import Turns
from plaza_core.errors import (
    InvalidBundle,
    InvalidTensor,
    ModelFailed,
    PlazaError,
    ProviderUnavailable,
    Unavailable,
)
from plaza_core.manifest import MODEL_FILE, Manifest
from plaza_core.tensors import NUMPY, Array, DType, Signature

_log = logging.getLogger(__name__)

_SESSION_BYTES = 1 << 20
"""What a session holds besides weights: measured 108 kB with one node and 3 kB for each more, so
this covers 300 nodes."""

_WEIGHTS = frozenset({".onnx", ".data", ".onnx_data", ".bin"})

_ACTIVATIONS = 8
"""Peak of the arena in units of a batch's inputs and outputs: 8 measured for a convolutional net
whose widest layer is ten times its input, near 1 for dense layers."""


class OrtRunner:
    """Runner of one bundle. Thread-safe: ONNX Runtime's Run is, and nothing here changes after
    opening but the reference that `close` drops."""

    __slots__ = (
        "_feeds",
        "_names",
        "_run",
        "_signature",
        "_texts_in",
        "_texts_out",
        "_turns",
        "even",
        "placement",
        "provider",
        "resident_bytes",
    )

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        signature: Signature,
        provider: str,
        resident_bytes: int,
        turns: Turns | None = None,
    ) -> None:
        # The binding's own session: its Python wrapper validates each call again and costs as
        # much as a small model (5.5 µs a call against 2.9), and on an EPFail may move a model to
        # the CPU provider. `run` below checks what the binding would take amiss.
        self._run: Any = session._sess.run  # noqa: SLF001 see above
        self._signature = signature
        self._names = [spec.name for spec in signature.outputs]
        self._feeds = tuple((spec.name, NUMPY[spec.datatype]) for spec in signature.inputs)
        self._texts_in = tuple(s.name for s in signature.inputs if s.datatype is DType.BYTES)
        self._texts_out = frozenset(s.name for s in signature.outputs if s.datatype is DType.BYTES)
        self._turns = turns
        """Of those it shares the arena with; None: its memory is its own."""
        self.provider = provider
        self.resident_bytes = resident_bytes
        nodes = placed_nodes(session)
        self.placement: Mapping[str, int] = Counter(n.execution for n in nodes)
        """Execution provider of ONNX Runtime -> number of nodes placed on it."""
        self.even = even(signature, {node.op for node in nodes})
        """Whether what a run costs depends on its rows alone."""

    @property
    def signature(self) -> Signature:
        return self._signature

    def run(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None = None,
        options: onnxruntime.RunOptions | None = None,
    ) -> dict[str, Array]:
        """Compute `outputs` (None means all of the manifest); `options` of this run only.

        Raises InvalidTensor for inputs that do not fit the signature, ModelFailed when the
        runtime fails, Unavailable after `close`.
        """
        # Shapes, missing and unknown names are refused by the runtime itself and explained
        # afterwards; what it would silently misread (byte order, lists) is refused here.
        for name, dtype in self._feeds:
            array = inputs.get(name)
            if type(array) is not np.ndarray or (array.dtype is not dtype and array.dtype != dtype):
                self._explain(inputs, name)
        names = self._names if outputs is None else self._known(outputs)
        if self._texts_in:
            inputs = {**inputs, **{name: to_text(name, inputs[name]) for name in self._texts_in}}
        run = self._run
        if run is None:
            raise Unavailable("the model was closed")
        try:
            if self._turns is None:
                values = run(names, inputs, options)
            else:
                with self._turns.one():
                    values = run(names, inputs, options)
        except NATIVE_ERRORS as error:
            values = self._again(error, run, names, inputs, options)
        if self._texts_out:
            values = [
                to_bytes(value) if name in self._texts_out else value
                for name, value in zip(names, values, strict=True)
            ]
        return dict(zip(names, values, strict=True))

    def _again(self, error: Exception, run: Any, *call: Any) -> list[Any]:
        """Once more, alone, where the arena was full or in pieces; else what the error means."""
        if out_of_memory(error) and self._turns is not None:
            with self._turns.alone():
                arena.give_back()
                try:
                    values: list[Any] = run(*call)
                except NATIVE_ERRORS as second:
                    error = second
                else:
                    return values
        self._signature.check(dict(call[1]))
        _log.warning("a run failed on %s: %s", self.provider, error)
        if out_of_memory(error):
            raise ModelFailed("the model ran out of memory on this input") from None
        raise ModelFailed("the model's runtime failed on this input") from None

    def close(self) -> None:
        """Let go of the session; runs in progress keep it until they end."""
        self._run = None
        arena.give_back()

    def _known(self, outputs: Sequence[str]) -> list[str]:
        for name in outputs:
            if name not in self._names:
                raise InvalidTensor("the model has no such output", input=name)
        return list(outputs)

    def _explain(self, inputs: Mapping[str, Array], name: str) -> None:
        array = inputs.get(name)
        if array is not None and not isinstance(array, np.ndarray):
            raise InvalidTensor("expected a numpy array", input=name)
        self._signature.check(dict(inputs))


def open_runner(
    directory: Path,
    manifest: Manifest,
    plan: SessionPlan,
    declared: Mapping[str, Sequence[int]] | None = None,
) -> PlacedRunner:
    """Open `model.onnx`, compare it with the manifest, run it on synthetic input: once, or in each
    of the `declared` shapes (axis -> sizes) where the provider compiles per shape.

    Raises InvalidBundle when the file, the graph or the warm-up disagrees with the manifest;
    NotPlaced when a strict plan's provider cannot take enough of the graph; ProviderUnavailable.
    """
    if declared is None:
        return open_unpadded(directory, manifest, plan)
    runner = _open_cold(directory, manifest, plan)
    return bucketed(runner, compiled(manifest, declared), _reference(directory, manifest))


def open_unpadded(directory: Path, manifest: Manifest, plan: SessionPlan) -> OrtRunner:
    """As `open_runner`, for a provider that takes any shape. Where the bundle declares sizes, the
    batcher will pad to them, so it is tried whether that leaves the answers alone."""
    runner = _open_cold(directory, manifest, plan)
    signature = runner.signature
    try:
        answer = runner.run({spec.name: synthetic(spec) for spec in signature.inputs})
    except PlazaError as error:
        raise InvalidBundle(
            f"a run on zeros in the shapes of the manifest failed: {error.message}",
            input=error.input,
        ) from error
    check_answer(signature, answer)
    if (buckets := declared_by(manifest)) is not None:
        prove(runner, buckets)
    return_freed_memory()
    return runner


def _open_cold(directory: Path, manifest: Manifest, plan: SessionPlan) -> OrtRunner:
    signature = manifest.signature_spec()
    session = _open_session(directory / MODEL_FILE, plan)
    compare(signature, graph_tensors(session.get_inputs()), graph_tensors(session.get_outputs()))
    turns = arena.turns if plan.in_arena else None
    weight = estimate_bytes(directory, manifest)
    return OrtRunner(session, signature, plan.provider, weight, turns)


def _reference(directory: Path, manifest: Manifest) -> Callable[[], PlacedRunner]:
    """The same model on the CPU, for who must know what padding does to its answers."""
    plan = SessionPlan("cpu", (CPU,), strict=False)
    return lambda: open_unpadded(directory, manifest, plan)


def _open_session(path: Path, plan: SessionPlan) -> onnxruntime.InferenceSession:
    missing = set(plan.execution) - set(onnxruntime.get_available_providers())
    if missing and not plan.ep_devices:
        # Without this check ONNX Runtime warns and runs on the CPU.
        raise ProviderUnavailable(
            f"this environment's ONNX Runtime has no {', '.join(sorted(missing))}"
        )
    try:
        session = _session(path, plan)
    except NATIVE_ERRORS as error:
        _log.warning("%s could not open a model: %s", plan.provider, error)
        if out_of_memory(error):
            raise InvalidBundle("ONNX Runtime ran out of memory", input=MODEL_FILE) from None
        if plan.strict:
            _explain_refusal(path, plan)
            raise ProviderUnavailable(
                f"'{plan.provider}' cannot open this model; the log says why"
            ) from None
        raise InvalidBundle("ONNX Runtime cannot open this model", input=MODEL_FILE) from None
    if plan.strict:
        check(plan.provider, placed_nodes(session), plan.execution, plan.cpu_share)
    return session


def _session(
    path: Path, plan: SessionPlan, *, lenient: bool = False
) -> onnxruntime.InferenceSession:
    chosen: dict[str, Any] = {}
    if not plan.ep_devices:
        chosen["providers"] = list(plan.execution)
        chosen["provider_options"] = [dict(options) for options in plan.options] or None
    return onnxruntime.InferenceSession(
        path,
        plan.session_options(lenient=lenient),
        **chosen,
        enable_fallback=0,
        read_config_from_model=0,
    )


def _explain_refusal(path: Path, plan: SessionPlan) -> None:
    """Raise NotPlaced naming the nodes, if they are why a strict session was refused.

    The refusal itself does not name them, so the model is opened once more with the CPU allowed,
    looked at, and let go.
    """
    try:
        nodes = placed_nodes(_session(path, plan, lenient=True))
    except NATIVE_ERRORS as error:
        _log.warning("%s could not open it with the CPU either: %s", plan.provider, error)
        return
    check(plan.provider, nodes, plan.execution, plan.cpu_share)


def estimate_bytes(directory: Path, manifest: Manifest) -> int:
    """Memory an opened bundle is expected to hold, in bytes.

    Weights: the size of the model file and of those that may hold weights of it, which is what
    stays resident after opening. Arena: it keeps the peak of the largest batch, estimated from the
    size of that batch.
    """
    weights = sum(
        entry.stat().st_size
        for entry in (*directory.glob("*"), *directory.glob("*/*"))
        if entry.suffix in _WEIGHTS and entry.is_file()
    )
    signature = manifest.signature_spec()
    rows = manifest.limits.max_batch if signature.batched else 1
    return _SESSION_BYTES + weights + _ACTIVATIONS * rows * row_bytes(signature, manifest.buckets)
