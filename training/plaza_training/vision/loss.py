"""The training loss: quality focal loss on every point, generalised IoU on the positive ones.

Sources: Li et al., "Generalized Focal Loss" (the score's target is the IoU of its own box, each
point weighted by the squared error of its score); Rezatofighi et al., "Generalized Intersection
over Union".
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from plaza_training.vision.assign import assign
from plaza_training.vision.model import STRIDES, grid

_BOX_WEIGHT = 2.0


class DetectionLoss:
    """Loss of one batch at one input size."""

    def __init__(self, size: int) -> None:
        maps = [(size // stride, stride) for stride in STRIDES]
        self._points = torch.cat([grid(n, n, stride) for n, stride in maps])
        self._strides = torch.cat([torch.full((n * n,), float(s)) for n, s in maps])

    def __call__(
        self,
        logits: Tensor,
        boxes: Tensor,
        targets: Sequence[Tensor],
        labels: Sequence[Tensor],
    ) -> tuple[Tensor, dict[str, float]]:
        """logits (B, N, C), boxes (B, N, 4); for each picture targets (M, 4) in pixels and labels
        (M,). Returns the scalar to minimise and its parts for the log."""
        quality = torch.zeros_like(logits)
        predicted, wanted, weights = [], [], []
        for row, (aims, kinds) in enumerate(zip(targets, labels, strict=True)):
            if len(aims) == 0:
                continue
            with torch.no_grad():
                found = assign(
                    logits[row],
                    boxes[row],
                    self._points,
                    self._strides,
                    targets=aims,
                    labels=kinds,
                )
            quality[row, found.points, kinds[found.objects]] = found.quality
            predicted.append(boxes[row, found.points])
            wanted.append(aims[found.objects])
            weights.append(found.quality)
        error = (quality - logits.detach().sigmoid()).abs().square()
        crossed = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
        scale = quality.sum().clamp(min=1.0)
        score = (error * crossed).sum() / scale
        box = logits.new_zeros(())
        if predicted:
            weight = torch.cat(weights)
            loss = generalised_iou_loss(torch.cat(predicted), torch.cat(wanted))
            # A floor keeps the first, badly placed boxes learning.
            weight = weight.clamp(min=0.1)
            box = (loss * weight).sum() / weight.sum()
        total = score + _BOX_WEIGHT * box
        return total, {"score": score.item(), "box": box.item()}


def generalised_iou_loss(a: Tensor, b: Tensor) -> Tensor:
    """1 - GIoU of pairs: (K, 4), (K, 4) -> (K,), from 0 (equal) to 2 (far apart)."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - shared
    hull_low, hull_high = torch.minimum(a[:, :2], b[:, :2]), torch.maximum(a[:, 2:], b[:, 2:])
    hull = (hull_high - hull_low).prod(1)
    union, hull = union.clamp(min=1e-6), hull.clamp(min=1e-6)
    return 1 - shared / union + (hull - union) / hull
