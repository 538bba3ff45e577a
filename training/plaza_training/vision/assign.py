"""Which grid point is responsible for which object: optimal transport, simplified (SimOTA).

Source: Ge et al., "YOLOX: Exceeding YOLO Series in 2021", section "SimOTA". Each object asks for
as many points as the sum of its ten best IoUs and takes the cheapest, cost being the score's
cross-entropy plus a multiple of the box's; a point wanted twice goes to the object it fits best.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_BOX_COST = 3.0
_BEST = 10
_NEAR, _FAR = 0.75, 2.5
"""A candidate lies within the object, at least this and at most that many cells from its centre."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """`points`: indices of the positive points; `objects`: for each the object it stands for;
    `quality`: the IoU its present box has with that object."""

    points: Tensor
    objects: Tensor
    quality: Tensor


def assign(
    logits: Tensor,
    boxes: Tensor,
    points: Tensor,
    strides: Tensor,
    *,
    targets: Tensor,
    labels: Tensor,
) -> Assignment:
    """One picture. logits (N, C), boxes (N, 4), points (N, 2), strides (N,), targets (M, 4) with
    M >= 1, labels (M,); all boxes as corners in pixels. Call without gradients."""
    candidates = torch.nonzero(_candidates(points, strides, targets).any(0)).squeeze(1)
    if candidates.numel() == 0:
        none = candidates.new_zeros(0)
        return Assignment(none, none, boxes.new_zeros(0))
    near = _candidates(points[candidates], strides[candidates], targets)
    overlap = pairwise_iou(targets, boxes[candidates])
    score = logits[candidates].sigmoid().T[labels]
    surprise = -torch.log(score.clamp(min=1e-6)) - torch.log(overlap.clamp(min=1e-6)) * _BOX_COST
    cost = surprise + (~near) * 1e5

    most = min(_BEST, overlap.shape[1])
    asked = overlap.topk(most, 1).values.sum(1).int().clamp(min=1)
    cheapest = cost.topk(most, 1, largest=False).indices
    wanted = torch.zeros_like(near).scatter_(1, cheapest, torch.arange(most) < asked[:, None])
    wanted &= near

    disputed = wanted.sum(0) > 1
    winner = torch.where(wanted, cost, torch.inf).argmin(0)
    wanted[:, disputed] = False
    wanted[winner[disputed], disputed] = True

    objects, columns = torch.nonzero(wanted, as_tuple=True)
    return Assignment(candidates[columns], objects, overlap[objects, columns])


def _candidates(points: Tensor, strides: Tensor, targets: Tensor) -> Tensor:
    """(M, N) bool: the point is close enough to the object's centre to stand for it."""
    centre = (targets[:, :2] + targets[:, 2:]) / 2
    half = (targets[:, 2:] - targets[:, :2]) / 2
    cells = strides[None, :, None]
    reach = torch.minimum(torch.maximum(half[:, None], cells * _NEAR), cells * _FAR)
    return ((points[None] - centre[:, None]).abs() < reach).all(2)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """(M, 4), (N, 4) -> (M, N)."""
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(2)
    area_a = (a[:, 2:] - a[:, :2]).prod(1)
    area_b = (b[:, 2:] - b[:, :2]).prod(1)
    return shared / (area_a[:, None] + area_b[None] - shared).clamp(min=1e-6)
