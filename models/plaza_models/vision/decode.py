"""Decoders: what the output tensors of a detector mean. One class per convention.

A decoder is made for one signature, says how many classes the model has, and turns the outputs of
one picture (leading axis of one row) into boxes in pixels of the input with a score per class.
Here are the contract and three conventions; the others lie in `decode_*.py`, all by name in
`decoders.py`.

    plaza-nano   boxes (1, N, 4) corners in pixels; scores (1, N, C) in 0..1. Plaza's own export.
    yolox        (1, N, 5+C): centre and log size in cells of the strides 8, 16, 32, objectness,
                 class scores. Option: strides. Source: Megvii-BaseDetection/YOLOX, demo/ of it.
    fastestdet   (1, 5+C, H, W): objectness, tanh centre, logistic size, class scores.
                 Source: dog-qiuqiu/FastestDet, example/onnx-runtime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from plaza_core.errors import InvalidBundle
from plaza_core.tensors import Array, TensorSpec
from plaza_models.options import Options
from plaza_models.vision.fit import Boxes

Size = tuple[int, int]
"""(width, height)."""


@dataclass(frozen=True, slots=True)
class Candidates:
    boxes: Boxes
    """(N, 4) in pixels of the input."""
    scores: NDArray[np.float32]
    """(N, C), 0 to 1."""


class Decoder(Protocol):
    @property
    def classes(self) -> int: ...

    @property
    def apart(self) -> bool:
        """Whether the model has already removed the weaker of two boxes on one object."""

    def __call__(self, outputs: Mapping[str, Array]) -> Candidates: ...


Strides = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, max_length=8)]


class NoChoices(Options):
    """`options.decoding` of conventions that leave nothing to say."""


class GridChoices(Options):
    """`options.decoding` of `yolox`."""

    strides: Strides = (8, 16, 32)


class PlazaNano:
    """Corners and scores, ready to use."""

    apart = False

    def __init__(self, outputs: Sequence[TensorSpec], size: Size) -> None:
        """Raises InvalidBundle when the outputs are not of this convention; so do the others."""
        shapes = {spec.name: spec.shape for spec in outputs}
        boxes, scores = shapes.get("boxes", ()), shapes.get("scores", ())
        if len(boxes) != 3 or len(scores) != 3 or boxes[2] != 4 or boxes[1] != scores[1]:
            raise mismatch("plaza-nano", "'boxes' (batch, N, 4), 'scores' (batch, N, classes)")
        self.classes = count_of(scores[2], 0, "plaza-nano")

    def __call__(self, outputs: Mapping[str, Array]) -> Candidates:
        return Candidates(outputs["boxes"][0], outputs["scores"][0])


class YoloX:
    """Raw offsets on the grids of three strides, finest first."""

    apart = False

    def __init__(
        self, outputs: Sequence[TensorSpec], size: Size, choices: GridChoices | None = None
    ) -> None:
        self._corners, self._strides = grid(size, (choices or GridChoices()).strides)
        points = len(self._corners)
        shape = outputs[0].shape
        if len(outputs) != 1 or len(shape) != 3 or shape[1] != points:
            raise mismatch("yolox", f"one output (1, {points}, 5 + classes)")
        self.classes = count_of(shape[2], 5, "yolox")

    def __call__(self, outputs: Mapping[str, Array]) -> Candidates:
        (raw,) = outputs.values()
        table = raw[0].astype(np.float32)
        centre = (table[:, 0:2] + self._corners) * self._strides
        # exp(20) cells is wider than any picture; the bound keeps infinity out.
        half = np.exp(np.minimum(table[:, 2:4], 20)) * (self._strides / 2)
        return Candidates(corners_of(centre, half), table[:, 4:5] * table[:, 5:])


class FastestDet:
    """One grid; offsets relative to the cell, sizes relative to the picture."""

    apart = False

    def __init__(self, outputs: Sequence[TensorSpec], size: Size) -> None:
        shape = outputs[0].shape
        if len(outputs) != 1 or len(shape) != 4:
            raise mismatch("fastestdet", "one output (1, 5 + classes, rows, columns)")
        self.classes = count_of(shape[1], 5, "fastestdet")
        rows, columns = (count_of(axis, 0, "fastestdet") for axis in shape[2:])
        ys, xs = np.mgrid[0:rows, 0:columns]
        self._cells = np.stack((xs, ys)).astype(np.float32)
        self._cell = np.array(size, dtype=np.float32) / np.array((columns, rows), dtype=np.float32)
        self._half_size = np.array(size, dtype=np.float32) / np.float32(2)

    def __call__(self, outputs: Mapping[str, Array]) -> Candidates:
        (raw,) = outputs.values()
        objectness, offset, extent, classes = np.split(raw[0].astype(np.float32), (1, 3, 5))
        centre = (np.tanh(offset) + self._cells).reshape(2, -1).T * self._cell
        logistic = np.asarray(1 / (1 + np.exp(-extent)), dtype=np.float32)
        half = np.asarray(logistic.reshape(2, -1).T * self._half_size, dtype=np.float32)
        # The published score: a weighted geometric mean of objectness and class probability.
        scores = np.asarray(objectness**0.6 * classes**0.4, dtype=np.float32)
        return Candidates(corners_of(centre, half), scores.reshape(len(classes), -1).T)


def grid(size: Size, strides: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Column and row of every cell (N, 2), and its stride in pixels (N, 1); row by row, stride by
    stride. A stride that does not divide the input has one more, cut-off cell."""
    cells, steps = [], []
    for stride in strides:
        ys, xs = np.mgrid[0 : -(-size[1] // stride), 0 : -(-size[0] // stride)]
        cells.append(np.stack((xs, ys), 2).reshape(-1, 2))
        steps.append(np.full((xs.size, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(steps).astype(np.float32)


def corners_of(centre: NDArray[np.float32], half: NDArray[np.float32]) -> Boxes:
    return np.concatenate((centre - half, centre + half), 1)


def count_of(axis: int | str, less: int, decoder: str) -> int:
    """A fixed axis minus the columns that are no classes."""
    if not isinstance(axis, int) or axis <= less:
        raise mismatch(decoder, "a fixed number of classes and cells, at least 1")
    return axis - less


def mismatch(decoder: str, expected: str) -> InvalidBundle:
    return InvalidBundle(
        f"the decoder '{decoder}' expects {expected}; see signature.outputs",
        input="options.decoder",
    )
