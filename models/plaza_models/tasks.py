"""What the task endpoints hand to a family and what it answers. Frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field

from plaza_core.tensors import Array


@dataclass(frozen=True, slots=True)
class DetectTask:
    """One picture as encoded bytes (JPEG, PNG or WebP)."""

    image: bytes
    threshold: float | None = None
    """Lowest score to report, 0 to 1; None takes the manifest's."""
    max_detections: int = 300


@dataclass(frozen=True, slots=True)
class Detection:
    label: str
    score: float
    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 in pixels of the picture as sent."""


@dataclass(frozen=True, slots=True)
class Detections:
    width: int
    height: int
    detections: tuple[Detection, ...] = field(metadata={"order": False})
    """Which ones there are is the answer; their order is not, when answers are compared."""


@dataclass(frozen=True, slots=True)
class ForecastTask:
    """One series, oldest value first, evenly spaced."""

    values: tuple[float, ...]
    horizon: int
    """Steps ahead, 1 to the model's horizon."""
    quantiles: tuple[float, ...] | None = None
    """Which quantiles to report, of those the model has; None takes all."""


@dataclass(frozen=True, slots=True)
class Forecast:
    quantiles: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    """One row per quantile, `horizon` values each; rows never cross."""


@dataclass(frozen=True, slots=True)
class ClassifyTask:
    texts: tuple[str, ...]
    top_k: int = 3


@dataclass(frozen=True, slots=True)
class Label:
    label: str
    score: float
    """Probability, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Classified:
    results: tuple[tuple[Label, ...], ...]
    """For each text its `top_k` labels, best first."""


@dataclass(frozen=True, slots=True)
class EmbedTask:
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Embedded:
    vectors: Array = field(repr=False)
    """float32, shape (texts, dimension), rows of length 1."""
    tokens: int
    """Tokens read, for `usage`."""
