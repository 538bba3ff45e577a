"""The loop of everything that is trained step by step: curves, early stopping, checkpoints.

A run that was cut off and finds its own checkpoint ends with the same weights as one that was not:
the checkpoint holds the optimiser, the schedule and both random generators too.
"""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from plaza_training.recipe import Job

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class Pace:
    """How long, and when to look up."""

    steps: int
    every: int = 100
    """Steps between two looks at validation, each with a point of the curves and a checkpoint."""
    patience: int | None = None
    """Looks without a better one after which it stops and takes the best; None: never, and the
    last weights are taken."""


@dataclass(slots=True)
class _Best:
    loss: float = float("inf")
    step: int = 0
    waited: int = 0
    weights: Mapping[str, Tensor] | None = None


class Loop:
    """One training run."""

    def __init__(
        self,
        module: nn.Module,
        optimiser: torch.optim.Optimizer,
        schedule: Any,
        random: np.random.Generator,
        *,
        choices: Mapping[str, Any],
    ) -> None:
        """`choices`: what makes a checkpoint this run's own."""
        self._module, self._optimiser, self._schedule = module, optimiser, schedule
        self._random = random
        self._choices = repr(sorted(choices.items()))
        self._best = _Best()

    def run(
        self,
        pace: Pace,
        job: Job,
        step_loss: Callable[[], Tensor],
        valid_loss: Callable[[], float] | None = None,
    ) -> int:
        """Train and return the step whose weights the module has afterwards.

        `step_loss` draws a batch and gives its loss; `valid_loss` is asked in evaluation mode.
        """
        first = self._resume(job.state)
        total = 0.0
        self._module.train()
        for step in job.progress.track(self._steps(first, pace), "training", pace.steps - first):
            loss = step_loss()
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()
            self._schedule.step()
            total += float(loss.detach())
            if (step + 1) % pace.every == 0 or step + 1 == pace.steps:
                job.log.value("loss", total / pace.every, step + 1)
                total = 0.0
                self._look(pace, job, step + 1, valid_loss)
        self._module.eval()
        if pace.patience is None or self._best.weights is None:
            return pace.steps
        self._module.load_state_dict(self._best.weights)
        return self._best.step

    def _steps(self, first: int, pace: Pace) -> Iterator[int]:
        for step in range(first, pace.steps):
            if pace.patience is not None and self._best.waited >= pace.patience:
                return
            yield step

    def _look(
        self, pace: Pace, job: Job, step: int, valid_loss: Callable[[], float] | None
    ) -> None:
        if valid_loss is not None:
            self._module.eval()
            with torch.no_grad():
                found = valid_loss()
            self._module.train()
            job.log.value("validation loss", found, step)
            best = self._best
            if found < best.loss:
                weights = deepcopy(self._module.state_dict()) if pace.patience else None
                self._best = _Best(found, step, 0, weights)
            else:
                best.waited += 1
        if job.state is not None:
            self._save(job.state, step)

    def _save(self, state: Path, step: int) -> None:
        state.mkdir(parents=True, exist_ok=True)
        best = self._best
        content = {
            "choices": self._choices,
            "step": step,
            "module": self._module.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "best": (best.loss, best.step, best.waited, best.weights),
            "torch": torch.get_rng_state(),
            "numpy": repr(self._random.bit_generator.state),
        }
        fresh = state / f"{CHECKPOINT}.new"
        torch.save(content, fresh)
        fresh.replace(state / CHECKPOINT)

    def _resume(self, state: Path | None) -> int:
        """The step to go on from: 0 without a checkpoint of exactly these choices."""
        if state is None or not (state / CHECKPOINT).exists():
            return 0
        # Tensors and plain values alone: a checkpoint runs no code.
        content = torch.load(state / CHECKPOINT, weights_only=True)
        if content["choices"] != self._choices:
            return 0
        self._module.load_state_dict(content["module"])
        self._optimiser.load_state_dict(content["optimiser"])
        self._schedule.load_state_dict(content["schedule"])
        self._best = _Best(*content["best"])
        torch.set_rng_state(content["torch"])
        self._random.bit_generator.state = literal_eval(content["numpy"])
        return int(content["step"])
