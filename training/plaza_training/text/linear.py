"""TF-IDF and multinomial logistic regression: all that few labels need, Chinese titles among them.

Solved as the convex problem that it is, by L-BFGS over all texts at once. A table trained step by
step with a rate of its own for every number learns rare n-grams by heart; the penalty here does not
let it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from plaza_training.progress import Progress
from plaza_training.text.bags import Bags, Batch

_STEPS = 40
_HISTORY = 8


def fit_linear(
    bags: Bags,
    targets: NDArray[np.int64],
    rarity: NDArray[np.float32],
    strength: float,
    progress: Progress,
    *,
    rows: NDArray[np.int64] | None = None,
) -> Tensor:
    """(buckets, labels): logits are the sum of a text's rows, by weight. `strength` is the C of
    support vector machines: the larger, the less is held back. `rows`: the texts to learn from;
    None: all."""
    labels = int(targets.max()) + 1
    rows = np.arange(len(bags)) if rows is None else rows
    batch = bags.batch(rows)
    seen, places = torch.unique(batch.indices, return_inverse=True)
    weights = batch.weights * torch.from_numpy(rarity)[batch.indices]
    truth = torch.from_numpy(targets[rows])
    table = torch.zeros(len(seen), labels, requires_grad=True)
    penalty = 1 / (2 * strength * len(rows))
    optimiser = torch.optim.LBFGS(
        [table], max_iter=1, history_size=_HISTORY, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        logits = functional.embedding_bag(
            places, table, batch.offsets, mode="sum", per_sample_weights=weights
        )
        loss = functional.cross_entropy(logits, truth) + penalty * table.square().sum()
        loss.backward()
        return loss

    for _ in progress.track(range(_STEPS), "solving", _STEPS):
        optimiser.step(closure)
    out = torch.zeros(len(rarity), labels)
    out[seen] = table.detach()
    return out * torch.from_numpy(rarity)[:, None]


def summed(table: Tensor, batch: Batch) -> Tensor:
    """The logits of every text."""
    found: Tensor = functional.embedding_bag(
        batch.indices, table, batch.offsets, mode="sum", per_sample_weights=batch.weights
    )
    return found
