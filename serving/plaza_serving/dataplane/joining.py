"""Joining: which prepared requests may share a run, and at what sizes each of them is run.

    tensors ──next declared size of each axis──▶ padded ──same sizes──▶ one run ──cut──▶ outputs

What a request is padded to depends on it alone. So its answer is the same to the last bit whoever
shares its run, as far as the model's rows do not see one another; so is its part of the run's time,
which the padding that it has is part of; and of what is computed no more is padding than the steps
between declared sizes allow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from plaza_core.errors import ModelFailed
from plaza_core.padding import Buckets, cut, join, shape_at, variable
from plaza_core.tensors import BATCH_AXIS, Array, Signature
from plaza_serving.dataplane.jobs import Fitted, Tensors

_SEEN = 4096


class Joiner:
    """For one open version."""

    def __init__(self, signature: Signature, buckets: Mapping[str, Sequence[int]]) -> None:
        self._inputs = signature.inputs
        self._outputs = {spec.name: spec for spec in signature.outputs}
        self._buckets = Buckets(signature, {a: tuple(sizes) for a, sizes in buckets.items()})
        self._axes = [a for a in variable(signature.inputs) if a != BATCH_AXIS] if buckets else []
        self._where = [_first(signature, axis) for axis in self._axes]
        self._seen: dict[tuple[int, ...], tuple[int, ...]] = {}
        """Sizes that have come before -> what they are padded to."""
        self._cut = {s.name for s in signature.outputs if set(self._axes) & set(variable([s]))}

    def fit(self, tensors: Tensors, rows: int) -> Fitted:
        """Raises InvalidTensor beyond the largest declared size."""
        if not self._axes:
            order = tensors if len(tensors) == 1 else sorted(tensors)
            return Fitted(tensors, rows, tuple([tensors[name].shape[1:] for name in order]))
        own = tuple([tensors[name].shape[place] for name, place in self._where])
        shape = self._seen.get(own)
        if shape is None:
            sizes = self._buckets.fit(dict(zip(self._axes, own, strict=True)))
            shape = self._seen[own] = tuple(sizes.values())
            if len(self._seen) > _SEEN:
                self._seen.clear()
        return Fitted(tensors, rows, shape, own)

    def inputs(self, group: Sequence[Fitted]) -> Tensors:
        """What one run takes of requests of one shape."""
        first = group[0]
        if all(one.own == one.shape for one in group) or not self._axes:
            if len(group) == 1:
                return first.tensors
            return {n: np.concatenate([one.tensors[n] for one in group]) for n in first.tensors}
        sizes = self._sizes(first.shape, sum(one.rows for one in group))
        return {
            s.name: join([one.tensors[s.name] for one in group], s, sizes) for s in self._inputs
        }

    def outputs(self, fitted: Fitted, outputs: Tensors, start: int) -> Tensors:
        """The request's own of a run's `outputs`: its rows from `start`, without padding.

        Raises ModelFailed where an output is not of the shape that the manifest promises.
        """
        return {n: self._own(n, array, fitted, start) for n, array in outputs.items()}

    def _own(self, name: str, array: Array, fitted: Fitted, start: int) -> Array:
        own = array if fitted.rows == len(array) else array[start : start + fitted.rows]
        if name not in self._cut:
            return own
        spec = self._outputs[name]
        if own.shape != shape_at(spec, self._sizes(fitted.shape, fitted.rows)):
            raise ModelFailed(f"the model gave '{name}' in another shape than it promises")
        return cut(own, spec, self._sizes(fitted.own, fitted.rows))

    def _sizes(self, sizes: tuple[int, ...], rows: int) -> dict[str, int]:
        return {BATCH_AXIS: rows, **dict(zip(self._axes, sizes, strict=True))}


def _first(signature: Signature, axis: str) -> tuple[str, int]:
    """The first input that has the axis, and where."""
    return next((s.name, s.shape.index(axis)) for s in signature.inputs if axis in s.shape)
