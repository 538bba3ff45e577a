"""How a picture is fitted into a model's input, and how boxes find their way back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plaza_models.vision.image import Pixels

Boxes = NDArray[np.float32]
"""(N, 4): x1, y1, x2, y2."""

Resize = Literal["smooth", "linear"]
"""Averaging all pixels that become one, or interpolating between the nearest four, which many
detectors were trained with. The two differ where a picture is shrunk by much."""


Rounding = Literal["nearest", "down"]
"""To whole pixels, of the size that a letterboxed picture has in the input."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The affine map from picture to input: input = picture * scale + offset, per axis.

    Scales are those of the rounded size that is really pasted, so the inverse is exact.
    """

    width: int
    """Of the picture."""
    height: int
    inner: tuple[int, int]
    """Width and height of the resized picture inside the input."""
    offset: tuple[int, int]
    """Where its left upper corner lies."""

    def to_input(self, boxes: Boxes) -> Boxes:
        return (boxes * self._scale() + self._shift()).astype(np.float32)

    def to_picture(self, boxes: Boxes) -> Boxes:
        """Back to pixels of the picture, clipped to it."""
        back = (boxes - self._shift()) / self._scale()
        limit = np.array([self.width, self.height] * 2)
        return np.clip(back, 0, limit).astype(np.float32)

    def _scale(self) -> NDArray[np.float64]:
        return np.array([self.inner[0] / self.width, self.inner[1] / self.height] * 2)

    def _shift(self) -> NDArray[np.float64]:
        return np.array(self.offset * 2, dtype=np.float64)


def stretch(width: int, height: int, size: tuple[int, int]) -> Fit:
    """Fill the input (width, height) and forget the picture's proportions."""
    return Fit(width, height, size, (0, 0))


def letterbox(
    width: int,
    height: int,
    size: tuple[int, int],
    anchor: Literal["centre", "corner"] = "centre",
    rounding: Rounding = "nearest",
) -> Fit:
    """The largest size of the same proportions that the input holds, in its centre or its left
    upper corner."""
    ratio = min(size[0] / width, size[1] / height)
    whole = round if rounding == "nearest" else math.floor
    inner = (
        min(size[0], max(1, whole(width * ratio))),
        min(size[1], max(1, whole(height * ratio))),
    )
    spare = (size[0] - inner[0], size[1] - inner[1])
    return Fit(
        width, height, inner, (spare[0] // 2, spare[1] // 2) if anchor == "centre" else (0, 0)
    )


def paste(
    pixels: Pixels, fit: Fit, size: tuple[int, int], fill: int, resize: Resize = "smooth"
) -> Pixels:
    """The input picture (size[1], size[0], 3): resized pixels on a ground of `fill`."""
    resized = _resized(Image.fromarray(pixels), fit.inner, resize)
    if fit.inner == size:
        return np.asarray(resized)
    canvas = np.full((size[1], size[0], 3), fill, dtype=np.uint8)
    left, top = fit.offset
    canvas[top : top + fit.inner[1], left : left + fit.inner[0]] = np.asarray(resized)
    return canvas


def _resized(picture: Image.Image, size: tuple[int, int], how: Resize) -> Image.Image:
    if picture.size == size:
        return picture
    if how == "smooth":
        return picture.resize(size, Image.Resampling.BILINEAR)
    across, down = picture.width / size[0], picture.height / size[1]
    return picture.transform(
        size, Image.Transform.AFFINE, (across, 0, 0, 0, down, 0), Image.Resampling.BILINEAR
    )
