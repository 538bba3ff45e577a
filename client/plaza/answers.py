"""Answers of models, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the hub spent the time of this request, in microseconds."""

    queue_us: int = 0
    prepare_us: int = 0
    run_us: int = 0
    interpret_us: int = 0
    total_us: int = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one answer cost, as its headers say: charged compute units, device µs × weight, host
    µs, rows of the run it shared. `budget_remaining` is of the tightest budget, as the replica
    knows it; None: no budget limits the key."""

    charge: int = 0
    compute_us: int = 0
    host_us: int = 0
    batch_rows: int = 0
    budget_remaining: int | None = None


@dataclass(frozen=True, slots=True)
class Inference:
    """Outputs of a raw call. Numeric arrays are read-only; BYTES arrive as objects of `bytes`."""

    model: str
    version: int
    outputs: Mapping[str, NDArray[Any]] = field(repr=False)
    cost: Cost = Cost()

    def __getitem__(self, output: str) -> NDArray[Any]:
        return self.outputs[output]


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output as the hub describes it; -1 is a variable axis."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Metadata:
    model: str
    versions: tuple[str, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Detection:
    """`box` is x1, y1, x2, y2 in pixels of the picture as sent."""

    label: str
    score: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Detections:
    model: str
    version: int
    timing: Timing
    width: int
    height: int
    detections: tuple[Detection, ...]
    cost: Cost = Cost()
    faults: tuple[str, ...] = ()
    """Why the picture cannot be counted on; with one of these, nothing found is no empty road."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """`values` has shape (quantiles, horizon)."""

    model: str
    version: int
    timing: Timing
    quantiles: tuple[float, ...]
    values: NDArray[np.float64] = field(repr=False)
    cost: Cost = Cost()
    mean: NDArray[np.float64] | None = field(default=None, repr=False)
    """Expected values, (horizon,), where the model gives them."""


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Of several series, in their order: `values` has shape (series, quantiles, horizon)."""

    model: str
    version: int
    timing: Timing
    quantiles: tuple[float, ...]
    values: NDArray[np.float64] = field(repr=False)
    cost: Cost = Cost()
    mean: NDArray[np.float64] | None = field(default=None, repr=False)
    """Expected values, (series, horizon), where the model gives them."""


@dataclass(frozen=True, slots=True)
class Label:
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Classification:
    """For each text its labels, best first."""

    model: str
    version: int
    timing: Timing
    results: tuple[tuple[Label, ...], ...]
    cost: Cost = Cost()


@dataclass(frozen=True, slots=True)
class Embeddings:
    """`vectors` has shape (texts, dimension), float32, rows of length 1."""

    model: str
    version: int
    timing: Timing
    vectors: NDArray[np.float32] = field(repr=False)
    tokens: int
    cost: Cost = Cost()
