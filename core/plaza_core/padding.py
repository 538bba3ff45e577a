"""Padding to declared sizes, and taking it away again: the arithmetic of shapes, nothing else.

A variable axis may have declared sizes, its buckets. What is smaller is padded to the next of them
with zeros (the one value that is a valid token, class and index everywhere), so that requests of
nearly the same length can share a run, and a provider that compiles per shape meets few shapes.
How large a request is run depends on the request alone, never on who shares its run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from plaza_core.errors import InvalidTensor
from plaza_core.tensors import BATCH_AXIS, NUMPY, Array, DType, Signature, TensorSpec

MOST_SHAPES: Final = 32
"""Declared combinations of one model. Compiled, each costs seconds to minutes, and memory."""

Sizes = Mapping[str, int]
"""Variable axis -> size."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """The declared sizes of variable axes of one signature; an axis without any is not padded."""

    signature: Signature
    axes: Mapping[str, tuple[int, ...]]

    def shapes(self) -> Iterator[dict[str, int]]:
        """Every declared combination, the smallest first."""
        for sizes in product(*self.axes.values()):
            yield dict(zip(self.axes, sizes, strict=True))

    def fit(self, sizes: Sizes) -> dict[str, int]:
        """The smallest declared sizes that hold these. Raises InvalidTensor beyond the largest."""
        fitting: dict[str, int] = {}
        for axis, size in sizes.items():
            declared = self.axes.get(axis, (size,))
            roomy = next((one for one in declared if one >= size), None)
            if roomy is None:
                raise InvalidTensor(
                    f"axis '{axis}' is {size} here; this model was prepared for up to "
                    f"{declared[-1]}",
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
    padded = blank(spec, shape)
    padded[tuple(slice(size) for size in array.shape)] = array
    return padded


def join(arrays: Sequence[Array], spec: TensorSpec, sizes: Sizes) -> Array:
    """The rows of `arrays` in turn, each in the first corner of an array of these `sizes`."""
    joined = blank(spec, shape_at(spec, sizes))
    if spec.shape[:1] != (BATCH_AXIS,):
        (array,) = arrays
        joined[tuple(slice(size) for size in array.shape)] = array
        return joined
    start = 0
    for array in arrays:
        stop = start + len(array)
        joined[(slice(start, stop), *(slice(size) for size in array.shape[1:]))] = array
        start = stop
    return joined


def cut(array: Array, spec: TensorSpec, sizes: Sizes) -> Array:
    """What padding added to an output, taken away; itself where nothing was."""
    shape = shape_at(spec, sizes)
    if array.shape == shape:
        return array
    return np.ascontiguousarray(array[tuple(slice(size) for size in shape)])


def shape_at(spec: TensorSpec, sizes: Sizes) -> tuple[int, ...]:
    return tuple(dim if isinstance(dim, int) else sizes[dim] for dim in spec.shape)


def blank(spec: TensorSpec, shape: tuple[int, ...]) -> Array:
    """Zeros, or empty texts."""
    if spec.datatype is DType.BYTES:
        return np.full(shape, b"", dtype=object)
    return np.zeros(shape, NUMPY[spec.datatype])


def variable(specs: Iterable[TensorSpec]) -> list[str]:
    """Variable axes in order of appearance."""
    return list(dict.fromkeys(dim for spec in specs for dim in spec.shape if isinstance(dim, str)))
