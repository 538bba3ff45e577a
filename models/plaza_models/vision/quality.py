"""Whether a camera's picture can be counted on: black, white, foggy, torn, frozen, offline.

A picture that shows nothing is not an empty road. What is looked at is the luma (ITU-R BT.601) of
the picture at no more than 320 pixels a side, and at its full height where rows matter. The limits
were set on frames of road cameras that are fine, by day and night, and on damaged copies of them;
what they miss and what they wrongly name is measured in `plaza_training.vision.quality`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from plaza_models.vision.image import Pixels

Fault = Literal["black", "white", "foggy", "torn", "frozen", "offline", "damaged", "other-size"]
"""`damaged`: cannot be decoded; `other-size`: not of the size of the sequence's first frame;
`offline`: a drawn card in place of a picture; `frozen`: the frame before, once more."""

_SIDE = 320
_Grey = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Measure:
    """One number that a picture is judged by."""

    name: str
    fault: Fault
    """What it speaks for."""
    sign: Literal[-1, 1]
    """1: speaks for it above the limit; -1: below."""
    limit: float


MEASURES: tuple[Measure, ...] = (
    Measure("bright", "black", -1, 32),  # luma that 97 % of the pixels do not exceed
    Measure("dark", "white", 1, 245),  # luma that 10 % do not exceed
    Measure("flat", "offline", 1, 0.8),
    Measure("smeared", "torn", 1, 0.08),
    Measure("slipped", "torn", 1, 2),
    Measure("veil", "foggy", 1, 90),
    Measure("detail", "foggy", -1, 4.2),
    # Dry asphalt fills the picture of a steep camera: as smooth as fog, but darker.
    Measure("median", "foggy", 1, 130),
    # Sensors are never still: even of an empty road no two frames are the same.
    Measure("change", "frozen", -1, 0.01),
)
"""In the order of `Look.values`."""
LIMITS = np.array([measure.limit for measure in MEASURES], np.float32)
SIGNS = np.array([measure.sign for measure in MEASURES], np.float32)


@dataclass(frozen=True, slots=True)
class Look:
    """What one picture is, and what is kept of it to know it again."""

    values: NDArray[np.float32]
    """One for each of MEASURES; `change` is NaN without a picture before it of the same size."""
    grey: _Grey

    @property
    def faults(self) -> tuple[Fault, ...]:
        """By the limits of this module."""
        return faults_of((self.values - LIMITS) * SIGNS)


def look(pixels: Pixels, before: Look | None = None) -> Look:
    """`before`: of the frame before in the same sequence; without it nothing is frozen."""
    small = _small(pixels)
    grey, rows = luma(small), _rows(pixels)
    values = (
        brightness(grey, 0.97),
        brightness(grey, 0.10),
        flatness(grey),
        smeared(rows),
        slipped(rows),
        veil(small),
        detail(grey),
        brightness(grey, 0.5),
        math.nan if before is None else _change(before.grey, grey),
    )
    return Look(np.array(values, np.float32), grey)


def faults_of(excess: NDArray[np.float32]) -> tuple[Fault, ...]:
    """`excess`: how far each of MEASURES is beyond its limit. In a black, white or drawn picture
    nothing else can be told; fog needs all three of its measures, a tear one of two."""
    beyond = {m.name: bool(e > 0) for m, e in zip(MEASURES, excess, strict=True)}  # NaN: no
    found: list[Fault] = []
    if beyond["bright"]:
        found.append("black")
    elif beyond["dark"]:
        found.append("white")
    elif beyond["flat"]:
        found.append("offline")
    else:
        if beyond["smeared"] or beyond["slipped"]:
            found.append("torn")
        if beyond["veil"] and beyond["detail"] and beyond["median"]:
            found.append("foggy")
    if beyond["change"]:
        found.append("frozen")
    return tuple(found)


def luma(pixels: Pixels) -> _Grey:
    return np.asarray(Image.fromarray(pixels).convert("L"), np.float32)


def brightness(grey: _Grey, part: float) -> int:
    """The luma that this part of the pixels does not exceed."""
    counts = np.bincount(grey.astype(np.uint8).ravel(), minlength=256)
    return int(np.searchsorted(counts.cumsum(), part * grey.size))


def _change(before: _Grey, grey: _Grey) -> float:
    """The mean step from one picture to the next."""
    return float(np.abs(grey - before).mean()) if before.shape == grey.shape else math.nan


def _small(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    ratio = min(1.0, _SIDE / max(height, width))
    if ratio == 1.0:
        return pixels
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _rows(pixels: Pixels) -> _Grey:
    """Every row, of every so many columns."""
    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    return grey[:, :: max(1, pixels.shape[1] // _SIDE)].astype(np.float32)


def flatness(grey: _Grey) -> float:
    """Part of the pixels that are the same as the ones to their right and below."""
    across = np.abs(np.diff(grey, axis=1))[:-1]
    down = np.abs(np.diff(grey, axis=0))[:, :-1]
    return float(((across < 1) & (down < 1)).mean()) if across.size else 0.0


def smeared(grey: _Grey) -> float:
    """The longest run of rows, as a part of the height, that say the same as the row above:
    what a decoder shows that has lost the rest of the picture."""
    if min(grey.shape) < 16:
        return 0.0
    down = np.abs(np.diff(grey, axis=0))
    repeated = (down <= 1).mean(1) >= 0.85
    ends = np.flatnonzero(np.diff(np.concatenate(([0], repeated.astype(int), [0]))))
    lengths = [0]
    for start, stop in zip(ends[::2].tolist(), ends[1::2].tolist(), strict=True):
        block = grey[start:stop]
        across = float(np.abs(np.diff(block, axis=1)).mean())
        # Smooth asphalt and clear sky change a little from row to row; a copied row does not.
        streaked = across > 2
        # Black bars above and below belong to many a film.
        filled = across < 0.25 and stop >= len(down) - 2 and block.mean() > 40
        if float(down[start:stop].mean()) < 0.25 and (streaked or filled):
            lengths.append(stop - start)
    return max(lengths) / len(grey)


def slipped(grey: _Grey) -> float:
    """How much better the best row boundary fits when the part below is moved sideways: near 1
    where a picture is whole, large where two parts do not belong together."""
    if grey.shape[0] < 16 or grey.shape[1] < 32:
        return 1.0
    steps = np.abs(np.diff(grey, axis=0))
    # An edge of a car changes few columns between two rows, a tear changes many.
    rough = np.sort(steps, axis=1)[:, int(0.6 * steps.shape[1])]
    usual = float(np.median(rough)) + 1.0
    worst = 1.0
    for row in np.argsort(-rough)[:6].tolist():
        if rough[row] < 2 * usual:
            break
        upper, lower = grey[row], grey[row + 1]
        width = len(upper)
        shifts = np.arange(4, width - 4, 2)
        turned = lower[(np.arange(width) + shifts[:, None]) % width]
        moved = float(np.abs(turned - upper).mean(1).min())
        worst = max(worst, float(steps[row].mean()) / (moved + 1.0))
    return worst


def veil(small: Pixels) -> float:
    """How dark the darkest of each neighbourhood is (its upper quarter left out), 0 to 255: shade
    and tyres are dark in clear air, and grey in fog. Source: He et al., Single Image Haze Removal
    Using Dark Channel Prior (2009)."""
    red, green, blue = Image.fromarray(small).split()
    dark = np.asarray(ImageChops.darker(ImageChops.darker(red, green), blue))
    height, width = (length // 16 * 16 for length in dark.shape)
    if not height or not width:
        return 0.0
    blocks = dark[:height, :width].reshape(height // 16, 16, width // 16, 16).min(3).min(1)
    return float(np.percentile(blocks, 25))


def detail(grey: _Grey) -> float:
    """The mean step from pixel to pixel."""
    return float(np.abs(np.diff(grey, axis=1)).mean()) if grey.shape[1] > 1 else 0.0
