"""The training run: schedule, optimiser, averaged weights, checkpoints.

Repeatable: one thread, one seed, and pictures that depend on (seed, step, row) alone. A run that
finds its own checkpoint goes on from there to the same end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plaza_training.progress import Progress
from plaza_training.vision.augment import Augmentation, draw_weights, training_picture
from plaza_training.vision.loss import DetectionLoss
from plaza_training.vision.model import NanoDetector
from plaza_training.vision.samples import Sample


@dataclass(frozen=True, slots=True)
class Choices:
    """Everything that shapes the weights, besides the data."""

    seed: int = 7
    epochs: int = 160
    batch: int = 16
    size: int = 384
    """Side of the input the detector is made for, pixels."""
    size_early: int = 288
    """Side during the first `early` of the steps: cheaper, and a first look at coarser scales."""
    early: float = 0.5
    calm: float = 0.15
    """Last fraction of the steps without mosaics and with milder colours."""
    rate: float = 2e-3
    decay: float = 0.05
    warm_up: int = 200
    """Steps."""
    average: float = 0.998
    """Decay of the averaged weights, which are the ones that ship."""


def train(
    samples: Sequence[Sample],
    choices: Choices,
    progress: Progress,
    *,
    classes: int = 1,
    state: Path | None = None,
) -> NanoDetector:
    """Train from random weights and return the averaged model in eval mode.

    `state` is a directory for the checkpoint; None keeps none. Sets the number of torch threads
    of this process to 1.
    """
    torch.set_num_threads(1)
    torch.manual_seed(choices.seed)
    model = NanoDetector(classes)
    model.to(memory_format=torch.channels_last)
    averaged = deepcopy(model)
    averaged.eval()
    optimiser = torch.optim.AdamW(_groups(model, choices.decay), lr=choices.rate)
    run = _Run(model, averaged, optimiser, choices)
    epoch = math.ceil(len(samples) / choices.batch)
    steps = choices.epochs * epoch
    first = run.resume(state)
    weights = draw_weights(samples)
    shown = {"score": 0.0, "box": 0.0}
    for step in progress.track(range(first, steps), "steps", steps - first):
        latest = run.step(samples, weights, step, steps)
        shown = {name: shown[name] + latest[name] / epoch for name in latest}
        if (step + 1) % epoch == 0:
            parts = ", ".join(f"{name} {value:.4f}" for name, value in shown.items())
            progress.note(f"epoch {(step + 1) // epoch} of {choices.epochs}: loss of {parts}")
            shown = dict.fromkeys(shown, 0.0)
            if state is not None and ((step + 1) % (5 * epoch) == 0 or step + 1 == steps):
                run.save(state, step + 1)
    return averaged


class _Run:
    """One optimiser, the model it moves and the average that follows."""

    def __init__(
        self,
        model: NanoDetector,
        averaged: NanoDetector,
        optimiser: torch.optim.Optimizer,
        choices: Choices,
    ) -> None:
        self._model, self._averaged, self._optimiser = model, averaged, optimiser
        self._choices = choices
        self._losses = {size: DetectionLoss(size) for size in {choices.size, choices.size_early}}

    def step(
        self, samples: Sequence[Sample], weights: NDArray[np.float64], step: int, steps: int
    ) -> dict[str, float]:
        choices = self._choices
        done = step / steps
        size = choices.size_early if done < choices.early else choices.size
        how = Augmentation()
        if done >= 1 - choices.calm:
            how = replace(how, mosaic=0.0, colour=how.colour / 2)
        pictures, boxes, labels = batch_of(samples, weights, choices, step=step, size=size, how=how)
        for group in self._optimiser.param_groups:
            group["lr"] = choices.rate * _schedule(step, steps, choices.warm_up)
        self._model.train()
        with torch.autocast("cpu", torch.bfloat16):
            logits, predicted = self._model(pictures)
        loss, parts = self._losses[size](logits.float(), predicted.float(), boxes, labels)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), 5.0)
        self._optimiser.step()
        self._follow(step)
        return parts

    def _follow(self, step: int) -> None:
        decay = min(self._choices.average, (1 + step) / (20 + step))
        mine = self._averaged.state_dict()
        with torch.no_grad():
            for name, value in self._model.state_dict().items():
                if value.dtype.is_floating_point:
                    mine[name].lerp_(value, 1 - decay)
                else:
                    mine[name].copy_(value)

    def save(self, state: Path, step: int) -> None:
        state.mkdir(parents=True, exist_ok=True)
        content = {
            "choices": asdict(self._choices),
            "step": step,
            "model": self._model.state_dict(),
            "averaged": self._averaged.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        fresh = state / "checkpoint.new"
        torch.save(content, fresh)
        fresh.replace(state / "checkpoint.pt")

    def resume(self, state: Path | None) -> int:
        """The step to go on from: 0 without a checkpoint of exactly these choices."""
        path = state / "checkpoint.pt" if state else None
        if path is None or not path.exists():
            return 0
        content = torch.load(path, weights_only=True)
        if content["choices"] != asdict(self._choices):
            return 0
        self._model.load_state_dict(content["model"])
        self._averaged.load_state_dict(content["averaged"])
        self._optimiser.load_state_dict(content["optimiser"])
        return int(content["step"])


def batch_of(
    samples: Sequence[Sample],
    weights: NDArray[np.float64],
    choices: Choices,
    *,
    step: int,
    size: int,
    how: Augmentation,
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """The batch of one step: pictures (B, 3, size, size) in 0..1, and boxes and labels of each."""
    rows = [
        training_picture(
            samples, weights, size, how, np.random.default_rng((choices.seed, step, row))
        )
        for row in range(choices.batch)
    ]
    pixels = torch.from_numpy(np.stack([picture for picture, _, _ in rows]))
    pictures = pixels.permute(0, 3, 1, 2).float() / 255  # channels last already
    return (
        pictures,
        [torch.from_numpy(boxes) for _, boxes, _ in rows],
        [torch.from_numpy(labels) for _, _, labels in rows],
    )


def _schedule(step: int, steps: int, warm_up: int) -> float:
    """Linear warm-up, then a half cosine down to 2 % of the full rate."""
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def _groups(model: nn.Module, decay: float) -> list[dict[str, object]]:
    """Weight decay for the convolution kernels only, not for norms and biases."""
    kernels = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": kernels, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
