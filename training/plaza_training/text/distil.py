"""A table of piece vectors whose sums point where the teacher's vectors point.

start   each piece's own vector by the teacher, on the teacher's main directions (PCA), times
        a / (a + p) of how common it is (SIF, Arora et al. 2017)
learn   vectors and weights of the pieces, from sentences: the cosine between sum and teacher,
        and the cosines between the sentences of a step
round   each row to 8-bit integers with a scale of its own
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from plaza_training.recipe import Job

Table = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Choices:
    """Everything that shapes the weights besides sentences, teacher and seed."""

    dimension: int = 256
    commonness: float = 1e-3
    """a of SIF."""
    epochs: int = 8
    rows_per_step: int = 1024
    learning_rate: float = 1e-3
    likeness: float = 5.0
    """Weight of the cosines between sentences."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """Sentences as pieces, and the teacher's vector of each; and of every piece by itself."""

    pieces: Sequence[Sequence[int]]
    vectors: Table
    alone: Table


def directions(vectors: Table, dimension: int) -> Table:
    """(width, dimension): those in which `vectors` extend most. Not centred, so that cosines stay
    what they are."""
    _, found = np.linalg.eigh(vectors.T @ vectors)
    return found[:, ::-1][:, :dimension].astype(np.float32)


def start(lesson: Lesson, choices: Choices) -> tuple[Table, Table]:
    """The table before learning, and the directions that it is on."""
    main = directions(lesson.vectors, choices.dimension)
    counts = np.bincount(
        np.concatenate([np.asarray(p, np.int64) for p in lesson.pieces]),
        minlength=len(lesson.alone),
    )
    share = (counts + 1) / (counts + 1).sum()
    weight = choices.commonness / (choices.commonness + share)
    return (lesson.alone @ main * weight[:, None]).astype(np.float32), main


def learn(lesson: Lesson, choices: Choices, job: Job) -> Table:
    """The table after learning."""
    begin, main = start(lesson, choices)
    random = np.random.default_rng(job.seed)
    table = nn.Parameter(torch.from_numpy(begin))
    weight = nn.Parameter(torch.zeros(len(begin)))
    wanted = functional.normalize(torch.from_numpy(lesson.vectors @ main))
    rate = choices.learning_rate
    optimiser = torch.optim.Adam(
        [{"params": [table], "lr": rate}, {"params": [weight], "lr": 10 * rate}],
        betas=(0.9, 0.99),
    )
    per_epoch = max(1, len(lesson.pieces) // choices.rows_per_step)
    steps = choices.epochs * per_epoch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [rate, 10 * rate], total_steps=steps, pct_start=0.1
    )
    bags = [np.asarray(pieces, np.int64) for pieces in lesson.pieces]
    for step in job.progress.track(range(steps), "learning from the teacher", steps):
        place = step % per_epoch
        if place == 0:
            order = random.permutation(len(bags))
        rows = order[place * choices.rows_per_step : (place + 1) * choices.rows_per_step]
        said = _sums([bags[row] for row in rows], table, weight)
        loss = difference(said, wanted[torch.from_numpy(rows)], choices.likeness)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    learnt: Table = (table * weight.exp()[:, None]).detach().numpy()
    return learnt


def difference(said: Tensor, wanted: Tensor, likeness: float) -> Tensor:
    """1 - cosine, mean over rows, and the squared error of the cosines between rows."""
    said = functional.normalize(said, eps=1e-6)
    apart = 1 - (said * wanted).sum(dim=1).mean()
    between = functional.mse_loss(said @ said.T, wanted @ wanted.T)
    return apart + likeness * between


def _sums(bags: Sequence[NDArray[np.int64]], table: Tensor, weight: Tensor) -> Tensor:
    offsets = np.concatenate(([0], np.cumsum([len(bag) for bag in bags])[:-1]))
    pieces = torch.from_numpy(np.concatenate(bags))
    return functional.embedding_bag(
        pieces,
        table,
        torch.from_numpy(offsets),
        mode="sum",
        per_sample_weights=weight.exp()[pieces],
    )
