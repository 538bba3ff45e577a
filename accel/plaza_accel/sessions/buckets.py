"""Declared shapes: a model that is compiled per shape meets at most K of them, whatever comes.

Inputs are padded with zeros (the one value that is a valid token, class and index everywhere) to
the next declared size of each variable axis, and outputs are cut back. Rows do not see one another,
which is what joining requests into batches rests on anyway; whether another axis may be padded
depends on the model (does it mask?), so that is tried on the CPU before the version takes traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
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
from plaza_core.tensors import BATCH_AXIS, NUMPY, Array, DType, Signature, TensorSpec

MOST_SHAPES: Final = 32
"""K: compiled programs of one model. Each costs seconds to minutes at load, and memory."""

_TOLERANCE: Final = 1e-4
"""Relative and absolute: sums of other lengths round differently, and by no more than this."""

Sizes = Mapping[str, int]
"""Variable axis -> size."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """The declared sizes of each variable axis of one signature."""

    signature: Signature
    axes: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, manifest: Manifest, declared: Mapping[str, Sequence[int]]) -> Buckets:
        """Raises ProviderUnavailable where the declared sizes do not suit the model, InvalidBundle
        where an output varies by an axis that no input has: it could not be cut back."""
        signature = manifest.signature_spec()
        varying = _variable(signature.inputs)
        for spec in signature.outputs:
            for axis in _variable([spec]):
                if axis not in varying:
                    raise InvalidBundle(
                        f"axis '{axis}' is in no input, so it cannot be un-padded", input=spec.name
                    )
        axes: dict[str, tuple[int, ...]] = {}
        for axis in varying:
            sizes = tuple(declared.get(axis, ()))
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
        return cls(signature, axes)

    def shapes(self) -> Iterator[dict[str, int]]:
        """Every declared combination, the smallest first."""
        for sizes in product(*self.axes.values()):
            yield dict(zip(self.axes, sizes, strict=True))

    def fit(self, sizes: Sizes) -> dict[str, int]:
        """The smallest declared sizes that hold these. Raises InvalidTensor beyond the largest."""
        fitting: dict[str, int] = {}
        for axis, size in sizes.items():
            roomy = next((declared for declared in self.axes[axis] if declared >= size), None)
            if roomy is None:
                raise InvalidTensor(
                    f"axis '{axis}' is {size} here; this model was prepared for up to "
                    f"{self.axes[axis][-1]}",
                    input=self._first_with(axis),
                )
            fitting[axis] = roomy
        return fitting

    def sizes(self, inputs: Mapping[str, Array]) -> dict[str, int]:
        """What the variable axes are in inputs that fit the signature."""
        return {
            axis: size
            for spec in self.signature.inputs
            for axis, size in zip(spec.shape, inputs[spec.name].shape, strict=True)
            if isinstance(axis, str)
        }

    def _first_with(self, axis: str) -> str:
        return next(spec.name for spec in self.signature.inputs if axis in spec.shape)


def pad(array: Array, spec: TensorSpec, sizes: Sizes) -> Array:
    """A larger array with `array` in its first corner; itself where it has the size already."""
    shape = shape_at(spec, sizes)
    if array.shape == shape:
        return array
    padded = _blank(spec, shape)
    padded[tuple(slice(size) for size in array.shape)] = array
    return padded


def cut(array: Array, spec: TensorSpec, padded: Sizes, sizes: Sizes) -> Array:
    """What `pad` added, taken away. Raises ModelFailed where the model gave another shape."""
    if array.shape != shape_at(spec, padded):
        raise ModelFailed(f"the model gave '{spec.name}' in another shape than it promises")
    if padded == sizes:
        return array
    return np.ascontiguousarray(array[tuple(slice(size) for size in shape_at(spec, sizes))])


def shape_at(spec: TensorSpec, sizes: Sizes) -> tuple[int, ...]:
    return tuple(dim if isinstance(dim, int) else sizes[dim] for dim in spec.shape)


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
        return {n: cut(array, self._outputs[n], padded, sizes) for n, array in answer.items()}

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
        array = _blank(spec, shape_at(spec, sizes))
        if value and spec.datatype is DType.BYTES:
            array[...] = b"a"
        elif value and array.dtype.kind == "f":
            array[...] = np.linspace(0.1, 1.0, array.size, dtype=array.dtype).reshape(array.shape)
        elif value:
            array[...] = 1
        inputs[spec.name] = array
    return inputs


def _blank(spec: TensorSpec, shape: tuple[int, ...]) -> Array:
    if spec.datatype is DType.BYTES:
        return np.full(shape, b"", dtype=object)
    return np.zeros(shape, NUMPY[spec.datatype])


def _variable(specs: Sequence[TensorSpec]) -> list[str]:
    """Variable axes in order of appearance."""
    return list(dict.fromkeys(dim for spec in specs for dim in spec.shape if isinstance(dim, str)))


def _batches(declared: tuple[int, ...], most: int) -> tuple[int, ...]:
    """Powers of two and the largest batch, unless declared; a declared largest may be cut off."""
    sizes = declared or tuple(1 << power for power in range(most.bit_length()))
    below = tuple(size for size in sizes if size < most)
    return (*below, most)
