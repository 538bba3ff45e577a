"""Decoders of detectors that give one row, or one column, per candidate.

    yolov5   (1, N, 5+C): box, objectness, class scores; a score is objectness times class score.
             YOLOv5, v6, v7, and YOLOX exported with its grids worked in.
    yolov8   (1, 4+C, N): box, class scores. YOLOv8 and later of the same project, raw exports.

Boxes are centres and sizes in pixels of the input unless `options.decoding` says otherwise.
Source: ultralytics, non_max_suppression (utils/ops.py), for the layout of both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from plaza_core.tensors import Array, TensorSpec
from plaza_models.options import Options
from plaza_models.vision.decode import Candidates, Size, count_of, mismatch
from plaza_models.vision.form import Activation, Corners, Units, activated, as_corners


class RowChoices(Options):
    """`options.decoding` of `yolov5`."""

    candidates: Literal["rows", "columns"] = "rows"
    boxes: Corners = "centres"
    units: Units = "pixels"
    activation: Activation = "none"


class ColumnChoices(RowChoices):
    """`options.decoding` of `yolov8`."""

    candidates: Literal["rows", "columns"] = "columns"


class YoloV5:
    """Box, objectness, classes."""

    apart = False
    _name = "yolov5"
    _before = 5
    """Columns before the classes."""
    _choices: type[RowChoices] = RowChoices

    def __init__(
        self, outputs: Sequence[TensorSpec], size: Size, choices: RowChoices | None = None
    ) -> None:
        self._how = choices or self._choices()
        self._size = size
        shape = outputs[0].shape
        if len(outputs) != 1 or len(shape) != 3:
            raise mismatch(self._name, "one output of three axes")
        features = shape[2 if self._how.candidates == "rows" else 1]
        self.classes = count_of(features, self._before, self._name)

    def __call__(self, outputs: Mapping[str, Array]) -> Candidates:
        (raw,) = outputs.values()
        table = raw[0].astype(np.float32, copy=False)
        if self._how.candidates == "columns":
            table = table.T
        boxes = as_corners(table[:, :4], self._how.boxes, self._how.units, self._size)
        scores = activated(table[:, self._before :], self._how.activation)
        if self._before == 5:
            sure = activated(table[:, 4:5], "none" if self._how.activation == "none" else "sigmoid")
            scores = np.asarray(scores * sure, np.float32)
        return Candidates(boxes, scores)


class YoloV8(YoloV5):
    """Box, classes."""

    _name = "yolov8"
    _before = 4
    _choices = ColumnChoices
