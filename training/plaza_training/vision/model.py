"""The nano detector: a dense residual backbone, a top-down pyramid and one light head per stride.

    picture (B, 3, S, S), 0 to 1
      stem /2 ─ /4 ─ /8 ──────┬─▶ fuse ─▶ head 8
                     /16 ──┬──┼─▶ fuse ─▶ head 16
                     /32 ──┴──┴─────────▶ head 32

The head is decoupled: one branch scores (the score is trained towards the IoU of its box, so
that it ranks boxes by quality), one regresses the box. Plain 3x3 convolutions instead of
depthwise ones: more multiplications, and faster in both training and inference on a CPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (8, 16, 32)


@dataclass(frozen=True, slots=True)
class Width:
    """Channels of the stages at strides 2, 4, 8, 16, 32 and of the pyramid."""

    stages: tuple[int, int, int, int, int] = (16, 32, 48, 88, 128)
    depths: tuple[int, int, int, int] = (1, 2, 2, 1)
    """Residual blocks at strides 4, 8, 16, 32."""
    pyramid: int = 48


class ConvUnit(nn.Sequential):  # type: ignore[misc]  # torch is untyped here
    """Convolution, batch norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03),
            nn.SiLU(inplace=True),
        )


class Residual(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """x + conv3x3(conv3x3(x)), narrow in the middle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = channels // 2
        self.body = nn.Sequential(ConvUnit(channels, middle), ConvUnit(middle, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class WidePool(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Context at the last stage: the map, and its maximum over 5x5 and 9x9 windows, mixed."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = ConvUnit(channels, channels // 2, 1)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.mix = ConvUnit(channels // 2 * 3, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        near = self.reduce(x)
        wide = self.pool(near)
        return self.mix(torch.cat((near, wide, self.pool(wide)), 1))


class Head(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Scores and boxes of one stride: (B, classes, H, W) logits and (B, 4, H, W) offsets."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.score_branch = ConvUnit(channels, channels)
        self.box_branch = ConvUnit(channels, channels)
        self.score = nn.Conv2d(channels, classes, 1)
        self.box = nn.Conv2d(channels, 4, 1)
        rare = 0.01  # the prior that a grid point holds an object; keeps the first steps calm
        nn.init.constant_(self.score.bias, -math.log((1 - rare) / rare))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.score(self.score_branch(x)), self.box(self.box_branch(x))


class NanoDetector(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Raw predictions at every grid point of every stride.

    forward: (B, 3, S, S) float in 0..1, S a multiple of 32 -> logits (B, N, classes), boxes
    (B, N, 4) as x1, y1, x2, y2 in pixels of the input; N = sum of (S/stride)^2.
    """

    def __init__(self, classes: int = 1, width: Width | None = None) -> None:
        super().__init__()
        width = width or Width()
        c2, c4, c8, c16, c32 = width.stages
        d4, d8, d16, d32 = width.depths
        p = width.pyramid
        self.classes = classes

        def stage(inputs: int, outputs: int, depth: int) -> nn.Sequential:
            blocks = [Residual(outputs) for _ in range(depth)]
            return nn.Sequential(ConvUnit(inputs, outputs, stride=2), *blocks)

        self.stem = ConvUnit(3, c2, stride=2)
        self.stage4 = stage(c2, c4, d4)
        self.stage8 = stage(c4, c8, d8)
        self.stage16 = stage(c8, c16, d16)
        self.stage32 = nn.Sequential(stage(c16, c32, d32), WidePool(c32))
        self.lateral8 = ConvUnit(c8, p, 1)
        self.lateral16 = ConvUnit(c16, p, 1)
        self.lateral32 = ConvUnit(c32, p, 1)
        self.fuse8 = ConvUnit(p, p)
        self.fuse16 = ConvUnit(p, p)
        self.heads = nn.ModuleList(Head(p, classes) for _ in STRIDES)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        x8 = self.stage8(self.stage4(self.stem(picture)))
        x16 = self.stage16(x8)
        p32 = self.lateral32(self.stage32(x16))
        p16 = self.fuse16(self.lateral16(x16) + functional.interpolate(p32, scale_factor=2.0))
        p8 = self.fuse8(self.lateral8(x8) + functional.interpolate(p16, scale_factor=2.0))
        logits, boxes = [], []
        for head, stride, level in zip(self.heads, STRIDES, (p8, p16, p32), strict=True):
            score, offset = head(level)
            logits.append(score.flatten(2).transpose(1, 2))
            boxes.append(_decode(offset, stride))
        return torch.cat(logits, 1), torch.cat(boxes, 1)


def _decode(offset: Tensor, stride: int) -> Tensor:
    """Centre offset in cells and log size in cells -> corners in pixels of the input."""
    height, width = int(offset.shape[2]), int(offset.shape[3])
    points = grid(height, width, stride)
    offset = offset.float()  # bfloat16 has 8 bits: enough for the layers, not for pixels
    dx_dy, log_size = offset.flatten(2).transpose(1, 2).split(2, 2)
    centre = points + dx_dy * stride
    half = torch.exp(log_size.clamp(max=6.0)) * (stride / 2)
    return torch.cat((centre - half, centre + half), 2)


def grid(height: int, width: int, stride: int) -> Tensor:
    """Centres of the cells, row by row: (H*W, 2) as x, y in pixels of the input."""
    ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (torch.stack((xs, ys), 2).reshape(-1, 2).float() + 0.5) * stride


class Scored(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """What is exported: boxes (B, N, 4) and scores (B, N, classes) in 0..1, for RGB in 0..1."""

    def __init__(self, detector: NanoDetector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits, boxes = self.detector(image)
        return boxes, logits.sigmoid()


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
