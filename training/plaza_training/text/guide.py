"""What a linear classifier on the teacher's vectors thinks of sentences that it did not learn.

A pupil that sees words only learns from these probabilities which labels are near one another and
which sentences are doubtful; labels alone do not say that. Sentences are asked of a classifier that
did not learn them (by fifths), because of its own it is surer than it may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from plaza_training.progress import Progress
from plaza_training.text import memory
from plaza_training.text.teacher import Teacher, Vectors, find_teacher

_FOLDS = 5
_STRETCH = 8.0
"""Vectors have length 1; logits must reach further than that."""
_PENALTY = 2e-5
_STEPS = 60
_LEAST = 1e-6


class LinearHead:
    """Multinomial logistic regression by L-BFGS: the same numbers give the same weights."""

    def __init__(self, vectors: Vectors, targets: NDArray[np.int64], labels: int) -> None:
        rows, truth = torch.from_numpy(vectors) * _STRETCH, torch.from_numpy(targets)
        weight = torch.zeros(rows.shape[1], labels, requires_grad=True)
        bias = torch.zeros(labels, requires_grad=True)
        optimiser = torch.optim.LBFGS(
            [weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe"
        )

        def closure() -> Tensor:
            optimiser.zero_grad()
            loss = functional.cross_entropy(rows @ weight + bias, truth)
            loss = loss + _PENALTY * weight.square().sum()
            loss.backward()
            return loss

        optimiser.step(closure)
        self._weight, self._bias = weight.detach() * _STRETCH, bias.detach()

    def probabilities(self, vectors: Vectors) -> Tensor:
        return torch.softmax(torch.from_numpy(vectors) @ self._weight + self._bias, dim=1)


def unseen(vectors: Vectors, targets: NDArray[np.int64], seed: int) -> Tensor:
    """(texts, labels): probabilities of each text by a head that did not learn from it."""
    labels = int(targets.max()) + 1
    parts = np.array_split(np.random.default_rng(seed).permutation(len(targets)), _FOLDS)
    found = torch.zeros(len(targets), labels)
    for part in parts:
        rest = np.setdiff1d(np.arange(len(targets)), part)
        found[torch.from_numpy(part)] = LinearHead(
            vectors[rest], targets[rest], labels
        ).probabilities(vectors[part])
    return found


def softened(probabilities: Tensor, temperature: float) -> Tensor:
    """Less sure, in the same order: what else a sentence is like, and how much, can be learnt
    better (Hinton et al. 2015)."""
    return torch.softmax(torch.log(probabilities + _LEAST) / temperature, dim=1)


def vectors_of(texts: Sequence[str], data_dir: Path, progress: Progress) -> Vectors:
    """By the teacher, which must be installed: raises TeacherMissing."""
    return memory.ask(Teacher(find_teacher(), fast=True), texts, data_dir, progress)
