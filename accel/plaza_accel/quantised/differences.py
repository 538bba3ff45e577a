"""How far one model's answers are from another's, over any number of runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from plaza_core.tensors import Array, Signature


class Differences:
    """Of each output: the largest and the mean difference over the largest and the mean magnitude
    of the reference; what is no float counts as equal or not. Told is the output that is worst."""

    def __init__(self, signature: Signature) -> None:
        self._names = [spec.name for spec in signature.outputs]
        self._off = {name: [0.0, 0.0] for name in self._names}
        self._size = {name: [0.0, 0.0] for name in self._names}
        self._labels = [0, 0]

    def add(self, ours: Mapping[str, Array], reference: Mapping[str, Array]) -> None:
        for name in self._names:
            a, b = ours[name], reference[name]
            if a.shape != b.shape:
                raise ValueError(f"'{name}' has another shape")
            if np.issubdtype(b.dtype, np.floating):
                a, b = a.astype(np.float64), b.astype(np.float64)
                off = np.nan_to_num(np.abs(a - b), nan=np.inf, posinf=np.inf)
                _count(self._off[name], off)
                _count(self._size[name], np.abs(b))
            else:
                _count(self._off[name], (a != b).astype(np.float64))
                _count(self._size[name], np.ones(b.shape))
        first = reference[self._names[0]]
        if first.ndim >= 1 and first.shape[-1] > 1:
            same = ours[self._names[0]].argmax(-1) == first.argmax(-1)
            self._labels[0] += int(same.sum())
            self._labels[1] += int(same.size)

    @property
    def largest(self) -> float:
        return max(_part(self._off[n][0], self._size[n][0]) for n in self._names)

    @property
    def mean(self) -> float:
        return max(_part(self._off[n][1], self._size[n][1]) for n in self._names)

    @property
    def agreement(self) -> float:
        """Share of rows whose first output has its largest value at the same place."""
        return self._labels[0] / self._labels[1] if self._labels[1] else 1.0


def _count(so_far: list[float], values: Array) -> None:
    so_far[0] = max(so_far[0], float(values.max(initial=0.0)))
    so_far[1] += float(values.sum())


def _part(off: float, size: float) -> float:
    """Bounded, as it goes through JSON: an infinite difference is one of a thousand times."""
    part = off / size if size > 0 else off
    return min(part, 1000.0) if part == part else 1000.0  # noqa: PLR0124 a NaN is not itself
