"""Decoder `nanodet`: detectors that give distances as distributions (generalised focal loss).

    One output (1, N, C + 4(R+1)), class scores first; or two for each stride, scores (1, n, C) and
    distributions (1, n, 4(R+1)), in any order. A distance to the left, top, right or lower side
    is the mean of its distribution over 0 … R, in strides.

Option `centre` says where in its cell a point lies: 0 in NanoDet-Plus (four strides), 0.5 in
NanoDet-m (three). Source: RangiLyu/nanodet, nanodet_plus_head.py and gfl_head.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from plaza_core.tensors import Array, TensorSpec
from plaza_models.options import Options
from plaza_models.vision.decode import Candidates, Size, Strides, count_of, grid, mismatch
from plaza_models.vision.form import Activation, activated


class DistributionChoices(Options):
    """`options.decoding` of `nanodet`."""

    strides: Strides = (8, 16, 32, 64)
    reg_max: int = Field(default=7, ge=1, le=64)
    centre: float = Field(default=0.0, ge=0, le=1)
    activation: Activation = "none"


class NanoDet:
    apart = False

    def __init__(
        self,
        outputs: Sequence[TensorSpec],
        size: Size,
        choices: DistributionChoices | None = None,
    ) -> None:
        self._how = choices or DistributionChoices()
        self._wide = 4 * (self._how.reg_max + 1)
        cells, self._strides = grid(size, self._how.strides)
        self._points = (cells + np.float32(self._how.centre)) * self._strides
        self._pairs: list[tuple[str, str]] = []
        if len(outputs) == 1:
            self.classes = self._whole(outputs[0])
        else:
            self.classes = self._paired(outputs, size)

    def _whole(self, output: TensorSpec) -> int:
        points, shape = len(self._points), output.shape
        if len(shape) != 3 or shape[1] != points:
            raise mismatch("nanodet", f"one output (1, {points}, classes + {self._wide})")
        return count_of(shape[2], self._wide, "nanodet")

    def _paired(self, outputs: Sequence[TensorSpec], size: Size) -> int:
        """Names of scores and distributions of each stride, by their shapes."""
        widths = set()
        for stride in self._how.strides:
            points = len(grid(size, (stride,))[0])
            level = [spec for spec in outputs if len(spec.shape) == 3 and spec.shape[1] == points]
            scores = [spec for spec in level if spec.shape[2] != self._wide]
            sides = [spec for spec in level if spec.shape[2] == self._wide]
            if len(scores) != 1 or len(sides) != 1:
                expected = f"(1, {points}, classes) and (1, {points}, {self._wide})"
                raise mismatch("nanodet", f"{expected} for stride {stride}")
            self._pairs.append((scores[0].name, sides[0].name))
            widths.add(scores[0].shape[2])
        if len(widths) != 1:
            raise mismatch("nanodet", "the same number of classes for every stride")
        return count_of(widths.pop(), 0, "nanodet")

    def __call__(self, outputs: Mapping[str, Array]) -> Candidates:
        scores, table = self._tables(outputs)
        bins = np.arange(self._how.reg_max + 1, dtype=np.float32)
        shares = activated(table.reshape(-1, 4, self._how.reg_max + 1), "softmax")
        sides = (shares @ bins) * self._strides
        boxes = np.concatenate((self._points - sides[:, :2], self._points + sides[:, 2:]), 1)
        return Candidates(boxes, activated(scores, self._how.activation))

    def _tables(
        self, outputs: Mapping[str, Array]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if not self._pairs:
            (raw,) = outputs.values()
            table = raw[0].astype(np.float32, copy=False)
            return table[:, : self.classes], table[:, self.classes :]
        scores = [outputs[name][0] for name, _ in self._pairs]
        sides = [outputs[name][0] for _, name in self._pairs]
        return (
            np.concatenate(scores).astype(np.float32, copy=False),
            np.concatenate(sides).astype(np.float32, copy=False),
        )
