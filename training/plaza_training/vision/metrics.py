"""How good a detector is, in numpy: average precision and counting error.

Average precision is the area under the precision-recall curve at all of its points, precision
made non-increasing from the right ("all-point" interpolation, as PASCAL VOC does since 2010). A
prediction is right when it overlaps a labelled box, not claimed by a better prediction, by the
given IoU or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plaza_models.vision.nms import iou


@dataclass(frozen=True, slots=True)
class Judged:
    """One picture: what was predicted and what is there, in the same pixels, of one class."""

    boxes: NDArray[np.float32]
    """(P, 4), best first."""
    scores: NDArray[np.float32]
    truth: NDArray[np.float32]
    """(M, 4)."""


@dataclass(frozen=True, slots=True)
class Matched:
    """One picture's predictions against its truth at one overlap."""

    right: NDArray[np.bool_]
    scores: NDArray[np.float32]
    labelled: int


def matched(picture: Judged, overlap: float = 0.5) -> Matched:
    return Matched(_right(picture, overlap), picture.scores, len(picture.truth))


def average_precision(pictures: Sequence[Judged], overlap: float = 0.5) -> float:
    """Over all pictures together; NaN when nothing is labelled."""
    return precision_area([matched(p, overlap) for p in pictures])


def precision_area(pictures: Sequence[Matched]) -> float:
    """`average_precision` of what is matched already."""
    labelled = sum(p.labelled for p in pictures)
    if labelled == 0:
        return float("nan")
    right = np.concatenate([p.right for p in pictures])
    scores = np.concatenate([p.scores for p in pictures])
    right = right[np.argsort(-scores, kind="stable")]
    hits = right.cumsum()
    recall = hits / labelled
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))


def mean_average_precision(pictures: Sequence[Judged]) -> float:
    """The mean over the IoUs .50, .55, … .95, as COCO averages it."""
    return float(np.mean([average_precision(pictures, t) for t in np.arange(0.5, 1.0, 0.05)]))


def _right(picture: Judged, overlap: float) -> NDArray[np.bool_]:
    """For each prediction, best first: does it claim a box that is still free?"""
    right = np.zeros(len(picture.scores), dtype=np.bool_)
    if len(picture.truth) == 0:
        return right
    free = np.ones(len(picture.truth), dtype=np.bool_)
    overlaps = iou(picture.boxes, picture.truth)
    for row, shared in enumerate(overlaps):
        best = int(np.argmax(np.where(free, shared, -1.0)))
        if free[best] and shared[best] >= overlap:
            right[row], free[best] = True, False
    return right


def count_error(pictures: Sequence[Judged], threshold: float) -> float:
    """Mean absolute error of the number of objects per picture at a score threshold."""
    errors = [abs(int((p.scores >= threshold).sum()) - len(p.truth)) for p in pictures]
    return float(np.mean(errors))


def counting_threshold(pictures: Sequence[Judged]) -> float:
    """The threshold, in steps of 0.01, with the smallest counting error on these pictures."""
    steps = np.arange(0.05, 0.96, 0.01)
    errors = [count_error(pictures, float(step)) for step in steps]
    return float(round(steps[int(np.argmin(errors))], 2))


def precision_recall(
    pictures: Sequence[Judged], threshold: float, overlap: float = 0.5
) -> tuple[float, float]:
    """At a score threshold; NaN where the ratio has no denominator."""
    right = np.concatenate([_right(p, overlap)[p.scores >= threshold] for p in pictures])
    labelled = sum(len(p.truth) for p in pictures)
    hits = float(right.sum())
    precision = hits / len(right) if len(right) else float("nan")
    return precision, hits / labelled if labelled else float("nan")
