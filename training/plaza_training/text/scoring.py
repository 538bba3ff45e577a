"""How good and how honest the answers of a classifier are."""

from __future__ import annotations

import numpy as np

from plaza_core.tensors import Array
from plaza_models.tasks import Classified, ClassifyTask
from plaza_training.recipe import Metrics
from plaza_training.served import Served
from plaza_training.text.sets import Examples


def score(served: Served, examples: Examples) -> Metrics:
    """Accuracy, macro F1 and how honest the probabilities are, asked one text at a time."""
    tasks = (ClassifyTask((text,), top_k=3) for text in examples.texts)
    answers: list[Classified] = list(served.ask_all(tasks, joined=64))
    top = [answer.results[0] for answer in answers]
    guess = np.array([choice[0].label for choice in top])
    truth = np.array(examples.labels)
    hit = guess == truth
    sure = np.array([choice[0].score for choice in top])
    among = [label in [c.label for c in choice] for choice, label in zip(top, truth, strict=True)]
    return {
        "accuracy_percent": float(hit.mean() * 100),
        "macro_f1_percent": macro_f1(guess, truth) * 100,
        "top3_percent": float(np.mean(among) * 100),
        "calibration_error_percent": calibration_error(sure, hit) * 100,
    }


def calibration_error(sure: Array, hit: Array, *, bins: int = 15) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over equal bins."""
    place = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [
        abs(float(sure[place == b].mean() - hit[place == b].mean())) * float((place == b).mean())
        for b in np.unique(place)
    ]
    return float(sum(gaps))


def macro_f1(guess: Array, truth: Array) -> float:
    """Mean over the labels that occur."""
    return float(np.mean([_f1(guess == label, truth == label) for label in np.unique(truth)]))


def _f1(guess: Array, truth: Array) -> float:
    both = float((guess & truth).sum())
    return 2 * both / max(float(guess.sum() + truth.sum()), 1.0)
