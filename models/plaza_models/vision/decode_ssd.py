"""Decoder `ssd`: one tensor of boxes (1, N, 4), one of scores (1, N, C), with or without priors.

The one whose last axis is 4 has the boxes; where both are, `scores` names the other. Boxes are
places in the input already (`corners`, `centres`, …), as in exports with the priors worked in and
in detectors that predict sets, or `offsets` to priors, which `priors` then describes as SSD does.
Source: Liu et al., SSD: Single Shot MultiBox Detector, §2.2; weiliu89/caffe, prior_box_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from plaza_core.tensors import Array, TensorSpec
from plaza_models.options import Options
from plaza_models.vision.decode import Candidates, Size, corners_of, count_of, mismatch
from plaza_models.vision.form import Activation, Corners, Units, activated, as_corners

_Positive = Annotated[float, Field(gt=0)]


class PriorLevel(Options):
    """Priors of one feature map; lengths in pixels of the input."""

    step: _Positive
    smallest: _Positive
    largest: _Positive | None = None
    """Adds a square whose side is the geometric mean of both."""
    ratios: tuple[_Positive, ...] = (2.0,)
    """Width by height; the inverse is added to each."""


class BoxChoices(Options):
    """`options.decoding` of `ssd`."""

    boxes: Corners | Literal["offsets"] = "corners"
    units: Units = "fractions"
    activation: Activation = "none"
    background: Literal["first", "last", "none"] = "first"
    scores: str | None = None
    priors: tuple[PriorLevel, ...] = ()
    variances: tuple[_Positive, _Positive] = (0.1, 0.2)

    @model_validator(mode="after")
    def _priors_where_needed(self) -> Self:
        if (self.boxes == "offsets") != bool(self.priors):
            raise ValueError("'priors' belong to boxes that are 'offsets', and only to them")
        return self


class Ssd:
    apart = False

    def __init__(
        self, outputs: Sequence[TensorSpec], size: Size, choices: BoxChoices | None = None
    ) -> None:
        self._how = choices or BoxChoices()
        self._size = size
        expected = "two outputs, boxes (1, N, 4) and scores (1, N, classes)"
        if len(outputs) != 2 or any(len(spec.shape) != 3 for spec in outputs):
            raise mismatch("ssd", expected)
        named = [s for s in outputs if s.name == self._how.scores] or [
            s for s in outputs if s.shape[2] != 4
        ]
        boxes = [s for s in outputs if s not in named]
        if len(named) != 1 or boxes[0].shape[2] != 4:
            raise mismatch("ssd", expected)
        self._scores, self._boxes = named[0].name, boxes[0].name
        less = 0 if self._how.background == "none" else 1
        self.classes = count_of(named[0].shape[2], less, "ssd")
        self._priors = priors(size, self._how.priors)
        if self._how.priors and boxes[0].shape[1] != len(self._priors):
            raise mismatch("ssd", f"as many boxes as there are priors, {len(self._priors)}")

    def __call__(self, outputs: Mapping[str, Array]) -> Candidates:
        table = outputs[self._boxes][0].astype(np.float32, copy=False)
        scores = activated(
            outputs[self._scores][0].astype(np.float32, copy=False), self._how.activation
        )
        if self._how.background == "first":
            scores = scores[:, 1:]
        elif self._how.background == "last":
            scores = scores[:, :-1]
        if self._how.boxes == "offsets":
            return Candidates(self._moved(table), scores)
        return Candidates(as_corners(table, self._how.boxes, self._how.units, self._size), scores)

    def _moved(self, table: NDArray[np.float32]) -> NDArray[np.float32]:
        near, wide = (np.float32(value) for value in self._how.variances)
        centre = self._priors[:, :2] + table[:, :2] * near * self._priors[:, 2:]
        half = self._priors[:, 2:] * np.exp(np.minimum(table[:, 2:] * wide, 20)) / 2
        return corners_of(centre, half)


def priors(size: Size, levels: Sequence[PriorLevel]) -> NDArray[np.float32]:
    """(N, 4): centre and size in pixels; for each cell, row by row: the small square, the square
    between, then each ratio and its inverse."""
    found: list[NDArray[np.float64]] = [np.zeros((0, 4))]
    for level in levels:
        sides = [(level.smallest, level.smallest)]
        if level.largest is not None:
            between = (level.smallest * level.largest) ** 0.5
            sides.append((between, between))
        for ratio in level.ratios:
            root = ratio**0.5
            sides += [
                (level.smallest * root, level.smallest / root),
                (level.smallest / root, level.smallest * root),
            ]
        columns, rows = (int(np.ceil(length / level.step)) for length in size)
        ys, xs = np.mgrid[0:rows, 0:columns]
        centres = (np.stack((xs, ys), 2).reshape(-1, 1, 2) + 0.5) * level.step
        shapes = np.broadcast_to(np.array(sides)[None], (len(centres), len(sides), 2))
        centres = np.broadcast_to(centres, shapes.shape)
        found.append(np.concatenate((centres, shapes), 2).reshape(-1, 4))
    return np.concatenate(found).astype(np.float32)
