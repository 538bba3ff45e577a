"""TF-IDF and what is linear in it: all that few labels need, Chinese titles among them.

    fit_linear   log           multinomial logistic regression
                 hinge         a support vector machine for each label against the others
    fit_bayes                  complement naive Bayes, a closed form

The first two are solved as the convex problems that they are, by L-BFGS over all texts at once. A
table trained step by step with a rate of its own for every number learns rare n-grams by heart; the
penalty here does not let it. A sum of such tables is one more of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from plaza_training.progress import Progress
from plaza_training.text.bags import Bags, Batch

_STEPS = 40
_HISTORY = 8
_TINY = 1e-12
Loss = Literal["log", "hinge"]


def fit_linear(
    bags: Bags,
    targets: NDArray[np.int64],
    rarity: NDArray[np.float32],
    strength: float,
    progress: Progress,
    *,
    rows: NDArray[np.int64] | None = None,
    loss: Loss = "log",
) -> Tensor:
    """(buckets, labels): logits are the sum of a text's rows, by weight. `strength` is the C of
    support vector machines: the larger, the less is held back. `rows`: the texts to learn from;
    None: all. For `hinge`, which is about distances, texts are of length 1."""
    labels = int(targets.max()) + 1
    rows = np.arange(len(bags)) if rows is None else rows
    batch = bags.batch(rows)
    seen, places = torch.unique(batch.indices, return_inverse=True)
    weights = batch.weights * torch.from_numpy(rarity)[batch.indices]
    if loss == "hinge":
        weights = _of_length_one(weights, batch.offsets)
    texts = Batch(places, batch.offsets, weights)
    buckets = _turned(texts)
    truth = torch.from_numpy(targets[rows])
    table = torch.zeros(len(seen), labels)
    penalty = 1 / (2 * strength * len(rows))
    optimiser = torch.optim.LBFGS(
        [table], max_iter=1, history_size=_HISTORY, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        logits = summed(table, texts).requires_grad_()
        found = _LOSSES[loss](logits, truth)
        found.backward()
        table.grad = summed(logits.grad, buckets) + 2 * penalty * table
        return found.detach() + penalty * table.square().sum()

    for _ in progress.track(range(_STEPS), "solving", _STEPS):
        optimiser.step(closure)
    out = torch.zeros(len(rarity), labels)
    out[seen] = table
    return out * torch.from_numpy(rarity)[:, None]


def fit_bayes(
    bags: Bags, targets: NDArray[np.int64], rarity: NDArray[np.float32], smoothing: float
) -> Tensor:
    """(buckets, labels), as `fit_linear`: how much rarer a bucket is in the texts of all other
    labels. Texts are of length 1.

    Rennie and others 2003, "Tackling the poor assumptions of naive Bayes text classifiers".
    """
    batch = bags.batch(range(len(bags)))
    weights = _of_length_one(batch.weights * torch.from_numpy(rarity)[batch.indices], batch.offsets)
    text = torch.repeat_interleave(_lengths(batch.offsets, len(weights)))
    labels = int(targets.max()) + 1
    found = torch.zeros(len(rarity), labels)
    found.index_put_((batch.indices, torch.from_numpy(targets)[text]), weights, accumulate=True)
    others = found.sum(dim=1, keepdim=True) - found + smoothing
    table = -torch.log(others / others.sum(dim=0))
    table -= table.mean(dim=1, keepdim=True)
    return table * torch.from_numpy(rarity)[:, None]


def summed(table: Tensor, batch: Batch) -> Tensor:
    """The logits of every text."""
    found: Tensor = functional.embedding_bag(
        batch.indices, table, batch.offsets, mode="sum", per_sample_weights=batch.weights
    )
    return found


def _hinge(logits: Tensor, truth: Tensor) -> Tensor:
    """Squared: of every label, how far a text is from the right side of its margin."""
    side = 2 * functional.one_hot(truth, logits.shape[1]) - 1
    return functional.relu(1 - side * logits).square().sum(dim=1).mean()


_LOSSES: Mapping[Loss, Callable[[Tensor, Tensor], Tensor]] = {
    "log": functional.cross_entropy,
    "hinge": _hinge,
}


def _turned(texts: Batch) -> Batch:
    """Of each bucket the texts that have it, to sum up gradients with: torch's own way back through
    a bag takes ten times as long. No bucket may be without a text."""
    order = torch.argsort(texts.indices, stable=True)
    text = torch.repeat_interleave(_lengths(texts.offsets, len(texts.weights)))
    counts = torch.bincount(texts.indices)
    return Batch(text[order], torch.cumsum(counts, 0) - counts, texts.weights[order])


def _of_length_one(weights: Tensor, offsets: Tensor) -> Tensor:
    lengths = _lengths(offsets, len(weights))
    text = torch.repeat_interleave(lengths)
    squares = torch.zeros(len(offsets)).index_add_(0, text, weights.square())
    return weights / squares.sqrt().clamp(min=_TINY)[text]


def _lengths(offsets: Tensor, total: int) -> Tensor:
    """Features of every text."""
    return torch.diff(offsets, append=torch.tensor([total]))
