"""Judging a detector as it is served: encoded frames in, detections out, numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plaza_models.tasks import Detections, DetectTask
from plaza_training.served import Served
from plaza_training.vision.metrics import (
    Judged,
    average_precision,
    count_error,
    counting_threshold,
    mean_average_precision,
    precision_recall,
)
from plaza_training.vision.sets import Frame

LOWEST = 0.02
"""Score from which predictions enter the precision-recall curve."""


def judge(served: Served, frames: Sequence[Frame]) -> list[Judged]:
    """Ask for every frame; boxes and labels in pixels of the frame."""
    return [_judged(served, frame) for frame in frames]


def _judged(served: Served, frame: Frame) -> Judged:
    found: Detections = served.ask(DetectTask(frame.image, threshold=LOWEST))
    return Judged(
        boxes=np.array([d.box for d in found.detections], np.float32).reshape(-1, 4),
        scores=np.array([d.score for d in found.detections], np.float32),
        truth=frame.boxes * np.array([found.width, found.height] * 2, np.float32),
    )


def figures(name: str, judged: Sequence[Judged], threshold: float) -> dict[str, float]:
    """The metrics of one split, each named `metric_split`; `threshold` was chosen elsewhere."""
    precision, recall = precision_recall(judged, threshold)
    return {
        f"ap50_{name}": average_precision(judged),
        f"ap50_95_{name}": mean_average_precision(judged),
        f"precision_{name}": precision,
        f"recall_{name}": recall,
        f"count_mae_{name}": count_error(judged, threshold),
    }


def crossed_count_error(judged: Sequence[Judged]) -> float:
    """Counting error where each half of the pictures is counted with the other half's threshold."""
    halves = judged[0::2], judged[1::2]
    errors = [
        count_error(mine, counting_threshold(others)) * len(mine)
        for mine, others in (halves, halves[::-1])
    ]
    return sum(errors) / len(judged)


def constant_count_error(chosen_on: Sequence[Judged], judged: Sequence[Judged]) -> float:
    """What always answering the median count of other pictures would err."""
    guess = float(np.median([len(p.truth) for p in chosen_on]))
    return float(np.mean([abs(guess - len(p.truth)) for p in judged]))
