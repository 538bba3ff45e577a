"""A label for what fits no label, in the graph: one more logit, from the others.

    o = m + k (log t - log p)        m the largest logit, p its probability

It is the largest where p < t, and then the answer is that the text is about something else. The
odds of that answer against the best label are (t / p)^k. Both numbers are chosen on validation
sentences.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from plaza_core.tensors import Array

OUTSIDE = "out-of-scope"
_THRESHOLDS = np.linspace(0.02, 0.98, 193)
_SLOPES = np.geomspace(0.5, 20, 41)


@dataclass(frozen=True, slots=True)
class Rejection:
    threshold: float
    """t: the lowest probability of the best label that is believed."""
    slope: float
    """k"""

    def described(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}

    def logit(self, logits: Tensor) -> Tensor:
        """(rows, 1)"""
        largest = logits.amax(dim=1, keepdim=True)
        sure = largest - torch.logsumexp(logits, dim=1, keepdim=True)
        return largest + self.slope * (float(np.log(self.threshold)) - sure)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Shares to reach: of the sentences of a label, those that are answered rightly; of the others,
    those that are rejected."""

    inside: float
    outside: float


def choose(inside: Tensor, truth: Array, outside: Tensor, wanted: Wanted) -> Rejection:
    """The threshold that is farthest from missing either share, in standard errors of the shares of
    these sentences; and the slope of least log loss, both kinds weighing alike."""
    sure, best = (found.numpy() for found in torch.softmax(inside, dim=1).max(dim=1))
    strange = torch.softmax(outside, dim=1).amax(dim=1).numpy()
    right = best == truth

    def margin(threshold: float) -> float:
        answered = float((right & (sure >= threshold)).mean())
        rejected = float((strange < threshold).mean())
        return min(
            (answered - wanted.inside) / _error(wanted.inside, len(right)),
            (rejected - wanted.outside) / _error(wanted.outside, len(strange)),
        )

    threshold = float(max(_THRESHOLDS, key=margin))
    losses = [_loss(Rejection(threshold, float(k)), inside, truth, outside) for k in _SLOPES]
    return Rejection(threshold, float(_SLOPES[int(np.argmin(losses))]))


def _error(share: float, count: int) -> float:
    """Standard error of a share of `count`."""
    return float(np.sqrt(share * (1 - share) / count))


def _loss(rejection: Rejection, inside: Tensor, truth: Array, outside: Tensor) -> float:
    none = torch.full((len(outside),), inside.shape[1])
    parts = ((inside, torch.from_numpy(truth)), (outside, none))
    return sum(
        float(functional.cross_entropy(torch.cat([z, rejection.logit(z)], dim=1), wanted))
        for z, wanted in parts
    )


class ServedRejecting(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """As the bag inside, with the logit of `OUTSIDE` behind the others."""

    def __init__(self, inner: nn.Module, rejection: Rejection) -> None:
        super().__init__()
        self.inner = inner
        self._rejection = rejection

    def forward(self, indices: Tensor, weights: Tensor) -> Tensor:
        logits = self.inner(indices, weights)
        return torch.cat([logits, self._rejection.logit(logits)], dim=1)
