"""What training sees: random crops at random scales, four to a mosaic, mirrored and recoloured.

Every picture is a pure function of (data, seed, step, row): a run that is interrupted and resumed
sees the same pictures as one that is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plaza_training.vision.samples import Sample

_KEPT_AREA = 0.3
"""An object of which less than this fraction is left after a crop is forgotten,"""
_SMALLEST = 4.0
"""and one whose shorter side is under this many pixels."""
GREY = 114


@dataclass(frozen=True, slots=True)
class Augmentation:
    """`mosaic`: chance of four crops instead of one. `zoom`: range of the scale, where 1 fits the
    whole picture into the input; `zoom_mosaic` for the crops of a mosaic. `stretch`: largest
    change of aspect ratio. `colour`: largest change of brightness, contrast and log gamma."""

    mosaic: float = 0.6
    zoom: tuple[float, float] = (0.75, 1.8)
    zoom_mosaic: tuple[float, float] = (0.5, 1.6)
    stretch: float = 1.7
    colour: float = 0.35


Picture = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]


def draw_weights(samples: Sequence[Sample]) -> NDArray[np.float64]:
    """Chance of each sample: a camera with n frames weighs sqrt(n), so that none dominates."""
    cameras = [s.camera for s in samples]
    count = {name: cameras.count(name) for name in set(cameras)}
    weights = np.array([count[name] ** -0.5 for name in cameras])
    return np.asarray(weights / weights.sum())


def training_picture(
    samples: Sequence[Sample],
    weights: NDArray[np.float64],
    size: int,
    how: Augmentation,
    rng: np.random.Generator,
) -> Picture:
    """One augmented square picture of side `size`, with its boxes in pixels and their labels."""
    canvas = np.full((size, size, 3), GREY, dtype=np.uint8)
    if rng.random() < how.mosaic:
        split_x, split_y = (int(v) for v in rng.uniform(0.3, 0.7, 2) * size)
        xs, ys = (0, split_x, size), (0, split_y, size)
        tiles = [(xs[i], ys[j], xs[i + 1], ys[j + 1]) for j in (0, 1) for i in (0, 1)]
    else:
        tiles = [(0, 0, size, size)]
    chosen = rng.choice(len(samples), len(tiles), p=weights)
    boxes, labels = [], []
    for tile, index in zip(tiles, chosen, strict=True):
        zoom = how.zoom if len(tiles) == 1 else how.zoom_mosaic
        tile_boxes, tile_labels = _paste(
            canvas, tile, samples[int(index)], size=size, reach=(zoom, how.stretch), rng=rng
        )
        boxes.append(tile_boxes)
        labels.append(tile_labels)
    all_boxes, all_labels = np.concatenate(boxes), np.concatenate(labels)
    if rng.random() < 0.5:
        canvas = canvas[:, ::-1]
        all_boxes[:, [0, 2]] = size - all_boxes[:, [2, 0]]
    return _recolour(canvas, how.colour, rng), all_boxes, all_labels


def _paste(
    canvas: NDArray[np.uint8],
    tile: tuple[int, int, int, int],
    sample: Sample,
    *,
    size: int,
    reach: tuple[tuple[float, float], float],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Fill the tile with a crop of the sample; what lies outside the sample stays grey."""
    x1, y1, x2, y2 = tile
    height, width = sample.pixels.shape[:2]
    zoom_range, stretch = reach
    zoom = np.exp(rng.uniform(*np.log(zoom_range))) * size / max(height, width)
    skew = np.exp(rng.uniform(-0.5, 0.5) * np.log(stretch))
    zoom_x, zoom_y = zoom * skew, zoom / skew
    # The tile as a window on the source; a window wider than the source is centred at random.
    span_x, span_y = (x2 - x1) / zoom_x, (y2 - y1) / zoom_y
    left, top = rng.random(2) * (width - span_x, height - span_y)

    a = max(x1, round(x1 - left * zoom_x)), max(y1, round(y1 - top * zoom_y))
    b = (
        min(x2, round(x1 + (width - left) * zoom_x)),
        min(y2, round(y1 + (height - top) * zoom_y)),
    )
    window = (
        max(0.0, left + (a[0] - x1) / zoom_x),
        max(0.0, top + (a[1] - y1) / zoom_y),
        min(float(width), left + (b[0] - x1) / zoom_x),
        min(float(height), top + (b[1] - y1) / zoom_y),
    )
    picture = Image.fromarray(sample.pixels)
    crop = picture.resize((b[0] - a[0], b[1] - a[1]), Image.Resampling.BILINEAR, window)
    canvas[a[1] : b[1], a[0] : b[0]] = np.asarray(crop)

    scale = np.array([zoom_x, zoom_y] * 2, dtype=np.float32)
    shift = np.array([x1 - left * zoom_x, y1 - top * zoom_y] * 2, dtype=np.float32)
    moved = sample.boxes * scale + shift
    clipped = np.clip(moved, (x1, y1, x1, y1), (x2, y2, x2, y2)).astype(np.float32)
    sides = clipped[:, 2:] - clipped[:, :2]
    before = np.prod(moved[:, 2:] - moved[:, :2], axis=1)
    kept = (sides.min(1, initial=np.inf) >= _SMALLEST) & (sides.prod(1) >= _KEPT_AREA * before)
    return clipped[kept], sample.labels[kept]


def _recolour(
    pixels: NDArray[np.uint8], strength: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Brightness, contrast, colour cast and gamma as one table per channel; sometimes grey."""
    levels = np.linspace(0, 1, 256)
    gamma = np.exp(rng.uniform(-strength, strength))
    contrast = 1 + rng.uniform(-strength, strength)
    casts = (1 + rng.uniform(-strength, strength)) * (1 + rng.uniform(-0.12, 0.12, 3))
    curve = (levels**gamma - 0.5) * contrast + 0.5
    tables = np.clip(curve[:, None] * casts * 255, 0, 255).astype(np.uint8)
    if rng.random() < 0.1:
        grey = pixels @ np.array([0.299, 0.587, 0.114])
        pixels = np.repeat(grey.astype(np.uint8)[..., None], 3, 2)
    return np.stack([tables[:, c][pixels[..., c]] for c in range(3)], axis=2)
