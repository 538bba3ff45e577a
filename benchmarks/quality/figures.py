"""A number with its interval, made from a score and from the cases that it is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from plaza_training.cases import Cases, interval
from plaza_training.recipe import Metrics

SEED = 7


@dataclass(frozen=True, slots=True)
class Figure:
    value: float
    low: float | None = None
    """Ends of the 95 % bootstrap interval; None where there is none."""
    high: float | None = None
    cases: int | None = None
    """What was drawn anew: frames, texts, days."""


Figures = Mapping[str, Figure]


def figures(metrics: Metrics, cases: Mapping[str, Cases]) -> Figures:
    """Raises ValueError where cases do not make the number that training's score made."""
    found = {name: Figure(value) for name, value in metrics.items()}
    for name, made_of in cases.items():
        value = metrics[name]
        if not math.isclose(value, made_of.whole(), rel_tol=1e-6, abs_tol=1e-9):
            raise ValueError(f"{name} is {value}, but its cases make {made_of.whole()}")
        found[name] = Figure(value, *interval(made_of, seed=SEED), made_of.count)
    return found
