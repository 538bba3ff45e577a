"""How a model writes boxes and scores down: the words shared by the decoders' options."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plaza_models.vision.fit import Boxes

Corners = Literal["corners", "yx-corners", "centres", "corner-size"]
"""x1 y1 x2 y2 | y1 x1 y2 x2 | centre x y, width, height | x1 y1, width, height."""
Units = Literal["pixels", "fractions"]
"""Of the input's width and height."""
Activation = Literal["none", "sigmoid", "softmax"]
"""What still has to be done to scores to bring them between 0 and 1."""


def as_corners(
    table: NDArray[np.float32], form: Corners, units: Units, size: tuple[int, int]
) -> Boxes:
    """(N, 4) in the model's words to x1, y1, x2, y2 in pixels of the input."""
    first: NDArray[np.float32] = table[:, :2]
    second: NDArray[np.float32] = table[:, 2:]
    if form == "centres":
        half = np.asarray(second / 2, np.float32)
        first, second = first - half, first + half
    elif form == "corner-size":
        second = first + second
    elif form == "yx-corners":
        first, second = first[:, ::-1], second[:, ::-1]
    unit = np.array(size * 2 if units == "fractions" else (1, 1, 1, 1), np.float32)
    return np.asarray(np.concatenate((first, second), 1) * unit, np.float32)


def activated(scores: NDArray[np.float32], how: Activation) -> NDArray[np.float32]:
    """Scores between 0 and 1; the last axis is that of the classes."""
    if how == "sigmoid":
        # Beyond ±80 the result is 0 or 1 in float32; the bound keeps overflow out.
        return np.asarray(1 / (1 + np.exp(-scores.clip(-80, 80))), np.float32)
    if how == "softmax":
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        return np.asarray(powers / powers.sum(-1, keepdims=True), np.float32)
    return scores
