"""Declared shapes: a model that is compiled per shape meets at most K of them, whatever comes.

Rows do not see one another, which is what joining requests into batches rests on anyway; whether
another axis may be padded depends on the model (does it mask?), so that is tried before the version
takes traffic. The arithmetic is `plaza_core.padding`, which the batcher uses too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Final

import numpy as np

from plaza_accel.contract.provider import PlacedRunner
from plaza_core.errors import (
    InvalidBundle,
    InvalidTensor,
    ModelFailed,
    PlazaError,
    ProviderUnavailable,
)
from plaza_core.manifest import Manifest
from plaza_core.padding import MOST_SHAPES, Buckets, Sizes, blank, cut, pad, shape_at, variable
from plaza_core.tensors import BATCH_AXIS, Array, DType, Signature

_TOLERANCE: Final = 1e-4
"""Relative and absolute: sums of other lengths round differently, and by no more than this."""


def declared_by(manifest: Manifest) -> Buckets | None:
    """What the bundle itself says its requests are padded to; None: nothing.

    Raises InvalidBundle where an answer could not be cut back.
    """
    if not manifest.buckets:
        return None
    signature = manifest.signature_spec()
    _check_outputs(signature)
    return Buckets(signature, manifest.buckets)


def compiled(manifest: Manifest, declared: Mapping[str, Sequence[int]]) -> Buckets:
    """Sizes for every variable axis: `declared` by who runs the provider, else by the bundle.

    Raises ProviderUnavailable where the declared sizes do not suit the model, InvalidBundle where
    an output varies by an axis that no input has: it could not be cut back.
    """
    signature = manifest.signature_spec()
    _check_outputs(signature)
    axes: dict[str, tuple[int, ...]] = {}
    for axis in variable(signature.inputs):
        sizes = tuple(declared.get(axis, manifest.buckets.get(axis, ())))
        if axis == BATCH_AXIS:
            sizes = _batches(sizes, manifest.limits.max_batch)
        if not sizes:
            raise ProviderUnavailable(
                f"axis '{axis}' varies, and this provider compiles per shape: say its sizes in "
                "the provider's option 'buckets'"
            )
        axes[axis] = sizes
    shapes = prod(len(sizes) for sizes in axes.values())
    if shapes > MOST_SHAPES:
        raise ProviderUnavailable(
            f"{shapes} shapes would be compiled, {MOST_SHAPES} may be: declare fewer sizes in "
            "the provider's option 'buckets'"
        )
    return Buckets(signature, axes)


def _check_outputs(signature: Signature) -> None:
    varying = variable(signature.inputs)
    for spec in signature.outputs:
        for axis in variable([spec]):
            if axis not in varying:
                raise InvalidBundle(
                    f"axis '{axis}' is in no input, so it cannot be un-padded", input=spec.name
                )


class BucketedRunner:
    """A runner that only ever meets declared shapes. Thread-safe if the inner one is."""

    __slots__ = ("_buckets", "_inner", "_outputs", "placement", "provider", "resident_bytes")

    def __init__(self, inner: PlacedRunner, buckets: Buckets) -> None:
        self._inner = inner
        self._buckets = buckets
        self._outputs = {spec.name: spec for spec in buckets.signature.outputs}
        self.provider = inner.provider
        self.resident_bytes = inner.resident_bytes
        self.placement: Mapping[str, int] = inner.placement

    @property
    def signature(self) -> Signature:
        return self._buckets.signature

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """As `OrtRunner.run`; raises InvalidTensor also for an axis beyond its largest size."""
        for name, array in inputs.items():
            if not isinstance(array, np.ndarray):
                raise InvalidTensor("expected a numpy array", input=name)
        self.signature.check(dict(inputs))
        sizes = self._buckets.sizes(inputs)
        padded = self._buckets.fit(sizes)
        answer = self._inner.run(
            {spec.name: pad(inputs[spec.name], spec, padded) for spec in self.signature.inputs},
            outputs,
        )
        return {n: self._cut(array, n, padded, sizes) for n, array in answer.items()}

    def _cut(self, array: Array, name: str, padded: Sizes, sizes: Sizes) -> Array:
        spec = self._outputs[name]
        if array.shape != shape_at(spec, padded):
            raise ModelFailed(f"the model gave '{name}' in another shape than it promises")
        return cut(array, spec, sizes)

    def close(self) -> None:
        self._inner.close()


def bucketed(
    inner: PlacedRunner, buckets: Buckets, reference: Callable[[], PlacedRunner]
) -> BucketedRunner:
    """Prove that padding leaves the answers alone, then run `inner` once in every declared shape,
    so that nothing is compiled while requests wait. Raises InvalidBundle."""
    if set(buckets.axes) - {BATCH_AXIS}:
        plain = reference()
        try:
            prove(plain, buckets)
        finally:
            plain.close()
    runner = BucketedRunner(inner, buckets)
    for sizes in buckets.shapes():
        try:
            runner.run(_example(buckets.signature, sizes, 0))
        except PlazaError as error:
            raise InvalidBundle(
                f"a run on zeros in a declared shape failed: {error.message}", input=error.input
            ) from error
    return runner


def prove(reference: PlacedRunner, buckets: Buckets) -> None:
    """Raise InvalidBundle, naming the output, if the answers to padded inputs are other answers.

    Each axis is tried one short of its largest size, the others at theirs.
    """
    padding = BucketedRunner(reference, buckets)
    largest = {axis: sizes[-1] for axis, sizes in buckets.axes.items()}
    for axis, size in largest.items():
        if size == 1 or (axis == BATCH_AXIS and len(largest) > 1):
            continue
        inputs = _example(buckets.signature, {**largest, BATCH_AXIS: 1, axis: size - 1}, 1)
        plain, padded = reference.run(inputs), padding.run(inputs)
        for name, array in plain.items():
            if not _close(array, padded[name]):
                raise InvalidBundle(
                    f"padding axis '{axis}' changes the answers: the model does not mask it, and "
                    "cannot run where shapes are fixed",
                    input=name,
                )


def _close(a: Array, b: Array) -> bool:
    if a.shape != b.shape:
        return False
    if a.dtype.kind == "f":
        return bool(np.allclose(a, b, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True))
    return bool(np.array_equal(a, b))


def _example(signature: Signature, sizes: Sizes, value: int) -> dict[str, Array]:
    """Zeros, or ones (a token that is there, a mask that is on, numbers that differ)."""
    inputs: dict[str, Array] = {}
    for spec in signature.inputs:
        array = blank(spec, shape_at(spec, sizes))
        if value and spec.datatype is DType.BYTES:
            array[...] = b"a"
        elif value and array.dtype.kind == "f":
            array[...] = np.linspace(0.1, 1.0, array.size, dtype=array.dtype).reshape(array.shape)
        elif value:
            array[...] = 1
        inputs[spec.name] = array
    return inputs


def _batches(declared: tuple[int, ...], most: int) -> tuple[int, ...]:
    """Powers of two and the largest batch, unless declared; a declared largest may be cut off."""
    sizes = declared or tuple(1 << power for power in range(most.bit_length()))
    below = tuple(size for size in sizes if size < most)
    return (*below, most)
