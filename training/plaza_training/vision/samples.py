"""Frames as training keeps them: decoded once, at most 512 pixels wide or high, as uint8."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plaza_training.vision.sets import Frame

_SIDE = 512


@dataclass(frozen=True, slots=True)
class Sample:
    """`pixels` (H, W, 3) uint8 RGB; `boxes` (M, 4) float32 corners in pixels; `labels` (M,)."""

    camera: str
    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]


def decode_sample(frame: Frame) -> Sample:
    with Image.open(io.BytesIO(frame.image)) as file:
        picture = file.convert("RGB")
    longest = max(picture.size)
    if longest > _SIDE:
        ratio = _SIDE / longest
        size = (round(picture.width * ratio), round(picture.height * ratio))
        picture = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    scale = np.array([picture.width, picture.height] * 2, dtype=np.float32)
    return Sample(frame.camera, np.asarray(picture), frame.boxes * scale, frame.labels)
