"""Decoder `end-to-end`: graphs that end with their own suppression and give finished detections.

One table whose last axis `columns` names, (1, N, 6) or (N, 7) with the picture's number; or a
tensor each for boxes, scores and classes, and perhaps their count, as `tensors` names them. Rows
beyond the count, and rows of a class or picture that is none, are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from plaza_core.tensors import Array, TensorSpec
from plaza_models.options import Options
from plaza_models.vision.decode import Candidates, Size, mismatch
from plaza_models.vision.form import Corners, Units, as_corners

Column = Literal["box", "score", "class", "picture"]
_WIDTH = {"box": 4, "score": 1, "class": 1, "picture": 1}


class TensorNames(Options):
    boxes: str
    scores: str
    classes: str | None = None
    """None: the model has one class."""
    count: str | None = None


class FinalChoices(Options):
    """`options.decoding` of `end-to-end`."""

    columns: tuple[Column, ...] = ("box", "score", "class")
    tensors: TensorNames | None = None
    boxes: Corners = "corners"
    units: Units = "pixels"
    first_class: int = Field(default=0, ge=0, description="number that the first label has")

    @model_validator(mode="after")
    def _each_column_once(self) -> Self:
        if len(set(self.columns)) < len(self.columns) or not {"box", "score"} <= {*self.columns}:
            raise ValueError("columns are 'box' and 'score', perhaps 'class' and 'picture'")
        return self


class Final:
    """Detections as the graph gives them."""

    apart = True

    def __init__(
        self,
        outputs: Sequence[TensorSpec],
        size: Size,
        choices: FinalChoices | None = None,
        *,
        labels: int,
    ) -> None:
        """`labels`: how many there are; no shape of the signature tells."""
        self._how = choices or FinalChoices()
        self._size = size
        self.classes = labels
        names = {spec.name: spec.shape for spec in outputs}
        if self._how.tensors is None:
            width = sum(_WIDTH[column] for column in self._how.columns)
            shape = outputs[0].shape
            if len(outputs) != 1 or len(shape) not in {2, 3} or shape[-1] != width:
                raise mismatch("end-to-end", f"one output of rows of {width} numbers")
            return
        for field, name in self._how.tensors.model_dump(exclude_none=True).items():
            if name not in names:
                raise mismatch("end-to-end", f"an output '{name}' for tensors.{field}")
        if names[self._how.tensors.boxes][-1:] != (4,):
            raise mismatch("end-to-end", f"four numbers per row of '{self._how.tensors.boxes}'")

    def __call__(self, outputs: Mapping[str, Array]) -> Candidates:
        boxes, scores, classes = self._columns(outputs)
        kinds = np.zeros(len(scores), np.intp)
        known = np.ones(len(scores), np.bool_)
        if classes is not None:
            number = np.round(classes.astype(np.float64)) - self._how.first_class
            known = (number >= 0) & (number < self.classes)
            kinds = np.where(known, number, 0).astype(np.intp)
        spread = np.zeros((len(scores), self.classes), np.float32)
        # What is no number is no detection, whatever the threshold.
        spread[np.arange(len(scores)), kinds] = np.where(known, scores, np.nan)
        return Candidates(as_corners(boxes, self._how.boxes, self._how.units, self._size), spread)

    def _columns(
        self, outputs: Mapping[str, Array]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None]:
        if self._how.tensors is None:
            return self._of_table(outputs)
        names = self._how.tensors
        boxes = _rows(outputs[names.boxes], 2)
        scores = _rows(outputs[names.scores], 1)
        classes = None if names.classes is None else _rows(outputs[names.classes], 1)
        most = len(boxes)
        if names.count is not None:
            most = int(np.clip(outputs[names.count].reshape(-1)[0], 0, most))
        return boxes[:most], scores[:most], None if classes is None else classes[:most]

    def _of_table(
        self, outputs: Mapping[str, Array]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None]:
        (raw,) = outputs.values()
        table, parts, at = _rows(raw, 2), {}, 0
        for column in self._how.columns:
            parts[column] = table[:, at : at + _WIDTH[column]]
            at += _WIDTH[column]
        if "picture" in parts:
            own = parts["picture"][:, 0] == 0
            parts = {column: part[own] for column, part in parts.items()}
        classes = parts["class"][:, 0] if "class" in parts else None
        return parts["box"], parts["score"][:, 0], classes


def _rows(array: Array, axes: int) -> NDArray[np.float32]:
    """Without the axis of the one picture, or other axes of length 1 before the last `axes`."""
    shape = array.shape[max(0, array.ndim - axes) :]
    return array.reshape(shape).astype(np.float32, copy=False)
