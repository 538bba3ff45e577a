"""Joining: which prepared requests may share a run, and at what sizes each of them is run.

    tensors ──next declared size of each axis──▶ padded ──same sizes──▶ one run ──cut──▶ outputs

What a request is padded to depends on it alone. So its answer is the same to the last bit whoever
shares its run, as far as the model's rows do not see one another; so is its part of the run's time,
which the padding that it has is part of; and of what is computed no more is padding than the steps
between declared sizes allow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plaza_core.errors import ModelFailed
from plaza_core.padding import Buckets, Sizes, cut, join, pad, shape_at, variable
from plaza_core.tensors import BATCH_AXIS, Array, Signature

Tensors = dict[str, Array]
Shape = tuple[tuple[int, ...], ...]
"""Of every input but for its rows, as it is run: requests with the same one may be joined."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """One request's tensors and the sizes that they are run at."""

    tensors: Tensors
    rows: int
    shape: Shape
    sizes: Sizes | None = None
    """Its own; None where nothing is padded."""
    padded: Sizes | None = None


class Joiner:
    """For one open version."""

    def __init__(self, signature: Signature, buckets: Mapping[str, Sequence[int]]) -> None:
        self._inputs = signature.inputs
        self._outputs = {spec.name: spec for spec in signature.outputs}
        axes = {axis: tuple(sizes) for axis, sizes in buckets.items()}
        self._buckets = Buckets(signature, axes) if axes else None
        self._cut = {s.name for s in signature.outputs if axes.keys() & set(variable([s]))}

    def fit(self, tensors: Tensors, rows: int) -> Fitted:
        """Raises InvalidTensor beyond the largest declared size."""
        if self._buckets is None:
            return Fitted(tensors, rows, tuple(a.shape[1:] for _, a in sorted(tensors.items())))
        sizes = self._buckets.sizes(tensors)
        padded = self._buckets.fit(sizes)
        shape = tuple((size,) for axis, size in padded.items() if axis != BATCH_AXIS)
        return Fitted(tensors, rows, shape, sizes, padded)

    def inputs(self, group: Sequence[Fitted]) -> Tensors:
        """What one run takes of requests of one shape."""
        first = group[0]
        if first.padded is None:
            if len(group) == 1:
                return first.tensors
            return {n: np.concatenate([one.tensors[n] for one in group]) for n in first.tensors}
        if len(group) == 1:
            return {s.name: pad(first.tensors[s.name], s, first.padded) for s in self._inputs}
        return {
            s.name: join([one.tensors[s.name] for one in group], s, first.padded)
            for s in self._inputs
        }

    def outputs(self, fitted: Fitted, outputs: Tensors, start: int) -> Tensors:
        """The request's own of a run's `outputs`: its rows from `start`, without padding.

        Raises ModelFailed where an output is not of the shape that the manifest promises.
        """
        return {n: self._own(n, array, fitted, start) for n, array in outputs.items()}

    def _own(self, name: str, array: Array, fitted: Fitted, start: int) -> Array:
        spec, sizes, padded = self._outputs[name], fitted.sizes, fitted.padded
        own = array if fitted.rows == len(array) else array[start : start + fitted.rows]
        if name not in self._cut or sizes is None or padded is None:
            return own
        if own.shape != shape_at(spec, padded):
            raise ModelFailed(f"the model gave '{name}' in another shape than it promises")
        return cut(own, spec, sizes)
