"""What the task endpoints hand to a family and what it answers. Frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from plaza_core.tensors import Array
from plaza_models.forecast.tasks import (  # noqa: F401 as below
    Anomalies,
    AnomalyTask,
    LevelSaid,
    LevelWanted,
    Scored,
    Warned,
    WarnedSeries,
    WarningTask,
)
from plaza_models.vision.tasks import (  # noqa: F401 the vocabulary of all tasks is this module's
    Counted,
    CountedFrame,
    CountTask,
    Crossings,
    Line,
    Stay,
    Tracked,
    TrackedObject,
    Zone,
)


@dataclass(frozen=True, slots=True)
class DetectTask:
    """One picture as encoded bytes (JPEG, PNG or WebP)."""

    image: bytes
    threshold: float | None = None
    """Lowest score to report, 0 to 1; None takes the manifest's."""
    max_detections: int = 300
    draw: Literal["JPEG", "PNG"] | None = None
    """Whether, and how encoded, the picture is wanted with its detections drawn on it."""


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
    faults: tuple[str, ...] = ()
    """Why the picture cannot be counted on (`vision.quality.Fault`): with one of these, no
    detections do not mean an empty road."""
    picture: bytes | None = None
    """As asked for by `draw`."""


@dataclass(frozen=True, slots=True)
class ForecastTask:
    """One series, oldest value first, evenly spaced."""

    values: tuple[float, ...]
    horizon: int
    """Steps ahead, 1 to the model's horizon."""
    quantiles: tuple[float, ...] | None = None
    """Which quantiles to report, of those the model has; None takes all."""
    known: tuple[tuple[float, ...], ...] = ()
    """What is known beside the series, as the model names it: a row each, over the model's context
    and the steps ahead."""
    draw: bool = False
    """Whether a drawing is wanted as well."""


@dataclass(frozen=True, slots=True)
class Forecast:
    quantiles: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    """One row per quantile, `horizon` values each; rows never cross."""
    mean: tuple[float, ...] | None = None
    """Expected values, where the model gives them."""
    picture: bytes | None = None
    """SVG, as asked for by `draw`."""


@dataclass(frozen=True, slots=True)
class ForecastsTask:
    """Several series at once; the other fields are as in `ForecastTask`, for all of them."""

    series: tuple[tuple[float, ...], ...]
    horizon: int
    quantiles: tuple[float, ...] | None = None
    known: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Forecasts:
    """One forecast for each series, in their order."""

    forecasts: tuple[Forecast, ...]


Cut = Literal["no", "end", "beginning"]
"""What becomes of a text that is too long for the model: it is refused, or loses this part."""


@dataclass(frozen=True, slots=True)
class ClassifyTask:
    texts: tuple[str, ...]
    top_k: int = 3
    raw: bool = False
    """Scores as the model gives them, before they become probabilities."""
    cut: Cut = "no"


@dataclass(frozen=True, slots=True)
class Label:
    label: str
    score: float
    """Probability, 0 to 1, unless raw scores were asked for."""


@dataclass(frozen=True, slots=True)
class Classified:
    results: tuple[tuple[Label, ...], ...]
    """For each text its `top_k` labels, best first."""


@dataclass(frozen=True, slots=True)
class EmbedTask:
    texts: tuple[str, ...]
    normalise: bool = True
    """Whether vectors get the length 1."""
    cut: Cut = "no"


@dataclass(frozen=True, slots=True)
class Embedded:
    vectors: Array = field(repr=False)
    """float32, shape (texts, dimension); rows of length 1 unless asked for as they are."""
    tokens: int
    """Tokens read, for `usage`."""
