"""Intersection over union, and non-maximum suppression within each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plaza_models.vision.fit import Boxes


def iou(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Pairwise IoU: (M, 4), (N, 4) -> (M, N). Boxes without area overlap nothing."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.clip(high - low, 0, None)
    shared = sides[..., 0] * sides[..., 1]
    union = _area(a)[:, None] + _area(b)[None] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def _area(boxes: Boxes) -> NDArray[np.float32]:
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return np.asarray(sides[:, 0] * sides[:, 1])


def suppress(
    boxes: Boxes,
    scores: NDArray[np.float32],
    classes: NDArray[np.intp],
    *,
    threshold: float,
    limit: int,
) -> NDArray[np.intp]:
    """Indices of the boxes that stay, best first, at most `limit`.

    A box goes when a better one of its class overlaps it by more than `threshold`. Of equal scores
    the one that comes first is better, so the result is the same on every machine.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size and len(kept) < limit:
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        overlap = iou(boxes[best : best + 1], boxes[rest])[0]
        order = rest[(overlap <= threshold) | (classes[rest] != classes[best])]
    return np.array(kept, dtype=np.intp)
