"""Detectors of other projects, answered as their own demonstrations do, straight in ONNX Runtime.

Shares nothing with how the hub reads them: resizing between the four nearest pixels, outputs taken
apart in loops, boxes mapped back by division. A row is (score, class, x1, y1, x2, y2) in pixels;
of the classes of `coco.names` only vehicles are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""(H, W, 3), red first."""
Row = tuple[float, int, float, float, float, float]
Way = Callable[[Any, Pixels], list[Row]]

WANTED = {"car": 2, "bus": 5, "truck": 7}
"""Rows of coco.names."""
LOWEST = 0.02
_NOTHING = np.zeros(80)


def opened(model: Path, way: Way) -> Callable[[Pixels], list[Row]]:
    """The answers of a file, suppressed, best first."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options)
    return lambda pixels: apart(way(session, pixels))


def nearest_four(pixels: NDArray[Any], width: int, height: int) -> NDArray[np.float64]:
    """Bilinear between pixel centres, without smoothing."""
    xs = ((np.arange(width) + 0.5) * pixels.shape[1] / width - 0.5).clip(0, pixels.shape[1] - 1)
    ys = ((np.arange(height) + 0.5) * pixels.shape[0] / height - 0.5).clip(0, pixels.shape[0] - 1)
    x, y = xs.astype(int), ys.astype(int)
    right, low = (x + 1).clip(max=pixels.shape[1] - 1), (y + 1).clip(max=pixels.shape[0] - 1)
    a, b = (xs - x)[None, :, None], (ys - y)[:, None, None]
    table = pixels.astype(np.float32)
    upper = table[y][:, x] * (1 - a) + table[y][:, right] * a
    lower = table[low][:, x] * (1 - a) + table[low][:, right] * a
    found: NDArray[np.float64] = upper * (1 - b) + lower * b
    return found


def yolox(session: Any, pixels: Pixels) -> list[Row]:
    canvas, ratio = _in_corner(pixels)
    found = []
    for x, y, stride, row in _cells(session, canvas):
        scores = row[4] * row[5:] if row[4] >= LOWEST else _NOTHING
        kind = int(scores.argmax())
        if kind in WANTED.values() and scores[kind] >= LOWEST:
            found.append((scores[kind], kind, *_corners(x, y, stride / ratio, row)))
    return found


def ddddocr(session: Any, pixels: Pixels) -> list[Row]:
    """Characters, its one class; it resizes to whole numbers."""
    canvas, ratio = _in_corner(pixels)
    found = []
    for x, y, stride, row in _cells(session, np.rint(canvas)):
        if row[4] * row[5] >= LOWEST:
            found.append((row[4] * row[5], 0, *_corners(x, y, stride / ratio, row)))
    return found


def _in_corner(pixels: Pixels) -> tuple[NDArray[np.float32], float]:
    """A square of 416 with the picture at its upper left, and the picture's new size over its
    old."""
    ratio = min(416 / pixels.shape[0], 416 / pixels.shape[1])
    height, width = int(pixels.shape[0] * ratio), int(pixels.shape[1] * ratio)
    canvas = np.full((416, 416, 3), 114, np.float32)
    canvas[:height, :width] = nearest_four(pixels, width, height)
    return canvas, ratio


def _cells(
    session: Any, canvas: NDArray[np.float32]
) -> Iterator[tuple[int, int, int, NDArray[np.float32]]]:
    """(column, row, stride, what the graph says there)."""
    (table,) = session.run(None, {"images": canvas[..., ::-1].transpose(2, 0, 1)[None].copy()})
    rows = iter(table[0])
    for stride in (8, 16, 32):
        for y in range(416 // stride):
            for x in range(416 // stride):
                yield x, y, stride, next(rows)


def _corners(
    x: int, y: int, step: float, row: NDArray[np.float32]
) -> tuple[float, float, float, float]:
    """In pixels of the picture, of which a cell is `step` wide."""
    cx, cy = (float(row[0]) + x) * step, (float(row[1]) + y) * step
    w, h = float(np.exp(row[2])) * step, float(np.exp(row[3])) * step
    return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2


def fastestdet(session: Any, pixels: Pixels) -> list[Row]:
    image = nearest_four(pixels, 352, 352)[..., ::-1].transpose(2, 0, 1)[None] / 255
    (grid,) = session.run(None, {"input.1": image.astype(np.float32)})
    height, width = pixels.shape[:2]
    found = []
    for y in range(22):
        for x in range(22):
            cell = grid[0, :, y, x]
            if cell[0] ** 0.6 < LOWEST:
                continue
            kind = int(cell[5:].argmax())
            score = cell[0] ** 0.6 * cell[5 + kind] ** 0.4
            if kind in WANTED.values() and score >= LOWEST:
                cx, cy = (np.tanh(cell[1]) + x) / 22 * width, (np.tanh(cell[2]) + y) / 22 * height
                w, h = (1 / (1 + np.exp(-cell[3:5]))) * (width, height)
                found.append((score, kind, cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
    return found


def apart(found: Sequence[Row], overlap: float = 0.45) -> list[Row]:
    """Greedy suppression within each class, one pair at a time."""
    kept: list[Row] = []
    for row in sorted(found, key=lambda row: -row[0]):
        if all(row[1] != other[1] or _shared(row[2:], other[2:]) <= overlap for other in kept):
            kept.append(row)
    return kept


def _shared(a: Sequence[float], b: Sequence[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = width * height
    return area / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - area)
