"""Family `forecast.quantile`: series in, quantiles of their next values out.

    values ──last `context`──▶ scaled (batch, context) ──▶ model ──▶ (batch, quantile, horizon)
    ──undo the scaling, sort per step, keep what was asked──▶ Forecast

The graph has one float32 input (batch, context) and one float32 output (batch, quantiles,
horizon), both in scaled units. A series is one row, so the batcher may join tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from plaza_core.errors import InvalidBundle, InvalidInput, ModelFailed
from plaza_core.manifest import Manifest
from plaza_core.running import Prepared
from plaza_core.tensors import BATCH_AXIS, Array, DType, TensorSpec
from plaza_models.options import Options, read_options
from plaza_models.tasks import Forecast, Forecasts, ForecastsTask, ForecastTask

Scaling = Literal["none", "mean-abs", "standard"]
_LARGEST = 1e30
"""Squares of it, and float32 copies, are still finite."""
_SAME = 1e-9
"""Two quantile levels closer than this are the same level."""


class ForecastOptions(Options):
    """`options` of the manifest."""

    context: int = Field(ge=1, le=100_000, description="values the model reads")
    horizon: int = Field(ge=1, le=10_000, description="steps it can look ahead")
    quantiles: list[float] = Field(min_length=1, description="levels, ascending, inside (0, 1)")
    scaling: Scaling = Field(
        description="of each context: its mean absolute value, its mean and deviation, or none"
    )
    lower: float | None = Field(default=None, description="no value can be below this")
    upper: float | None = Field(default=None, description="no value can be above this")
    step_seconds: int | None = Field(default=None, ge=1, description="time between two values")
    unit: str = Field(default="", max_length=32, description="of the values, for axis labels")

    @field_validator("quantiles")
    @classmethod
    def _ascending(cls, levels: list[float]) -> list[float]:
        inside = all(0 < level < 1 for level in levels)
        if not inside or any(b - a < _SAME for a, b in pairwise(levels)):
            raise ValueError("quantiles must ascend inside (0, 1)")
        return levels


@dataclass(frozen=True, slots=True)
class Scale:
    """How a context was scaled: `(values - offset) / factor`."""

    offset: float
    factor: float

    @staticmethod
    def of(context: NDArray[np.float64], scaling: Scaling) -> Scale:
        """A context without any spread (or of zeros) keeps the factor 1."""
        if scaling == "none":
            return Scale(0.0, 1.0)
        if scaling == "mean-abs":
            return Scale(0.0, float(np.mean(np.abs(context))) or 1.0)
        return Scale(float(np.mean(context)), float(np.std(context)) or 1.0)

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return (values - self.offset) / self.factor

    def undo(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values * self.factor + self.offset


@dataclass(frozen=True, slots=True)
class _Asked:
    scales: tuple[Scale, ...]
    """One for each series."""
    horizon: int
    columns: tuple[int, ...]
    """Positions of the asked quantiles among the model's, in the order they were asked."""
    one: bool
    """Whether one series was given by itself, and its forecast is wanted so."""


class QuantileFamily:
    """`prepare` takes a ForecastTask, `interpret` gives a Forecast; or both in the plural."""

    def __init__(self, options: ForecastOptions, input: str, output: str) -> None:
        self.options = options
        self._input = input
        self._output = output

    def prepare(self, payload: ForecastTask | ForecastsTask) -> Prepared:
        """Tensors for the last `context` values. Raises InvalidInput naming the field."""
        options = self.options
        if not 1 <= payload.horizon <= options.horizon:
            raise InvalidInput(
                f"the model looks 1 to {options.horizon} steps ahead", input="horizon"
            )
        columns = self._columns(payload.quantiles)
        one = isinstance(payload, ForecastTask)
        named = _series(payload)
        scaled = [self._scaled(series, where) for where, series in named]
        if not scaled:
            raise InvalidInput("send at least one series", input="series")
        rows = np.stack([row for _, row in scaled])
        scales = tuple(scale for scale, _ in scaled)
        asked = _Asked(scales, payload.horizon, columns, one)
        return Prepared({self._input: rows}, rows=len(rows), context=asked)

    def interpret(self, outputs: Mapping[str, Array], context: _Asked) -> Forecast | Forecasts:
        """Quantiles in the units of the series; a higher level is never below a lower one.

        Raises ModelFailed when the model gave something that is not a number.
        """
        scaled = outputs[self._output][:, :, : context.horizon].astype(np.float64)
        if not np.isfinite(scaled).all():
            raise ModelFailed("the model's forecast is not finite")
        pairs = zip(scaled, context.scales, strict=True)
        forecasts = tuple(self._forecast(row, scale, context.columns) for row, scale in pairs)
        return forecasts[0] if context.one else Forecasts(forecasts)

    def _scaled(self, series: tuple[float, ...], where: str) -> tuple[Scale, NDArray[np.float32]]:
        """How the last `context` values were scaled, and they so. Raises InvalidInput."""
        values = _finite(series, where)
        if len(values) < self.options.context:
            raise InvalidInput(
                f"the model needs at least {self.options.context} values, got {len(values)}",
                input=where,
            )
        context = values[-self.options.context :]
        if np.abs(context).max() > _LARGEST:
            raise InvalidInput("values are too large to compute with", input=where)
        scale = Scale.of(context, self.options.scaling)
        return scale, scale.apply(context).astype(np.float32)

    def _forecast(
        self, scaled: NDArray[np.float64], scale: Scale, columns: tuple[int, ...]
    ) -> Forecast:
        # Sorting per step is the rearrangement of Chernozhukov et al. (2010): it removes crossings
        # and can only lower the pinball loss.
        values = np.sort(scale.undo(scaled), axis=0)
        if self.options.lower is not None or self.options.upper is not None:
            values = np.clip(values, self.options.lower, self.options.upper)
        return Forecast(
            quantiles=tuple(self.options.quantiles[column] for column in columns),
            values=tuple(tuple(values[column].tolist()) for column in columns),
        )

    def _columns(self, asked: tuple[float, ...] | None) -> tuple[int, ...]:
        have = self.options.quantiles
        if asked is None:
            return tuple(range(len(have)))
        if not asked:
            raise InvalidInput("ask for at least one quantile", input="quantiles")
        columns = []
        for level in asked:
            near = [i for i, known in enumerate(have) if abs(known - level) < _SAME]
            if not near:
                raise InvalidInput(
                    f"the model has no quantile {level:g}; it has "
                    + ", ".join(f"{known:g}" for known in have),
                    input="quantiles",
                )
            columns.append(near[0])
        if any(b <= a for a, b in pairwise(columns)):
            raise InvalidInput("quantiles must ascend without repeats", input="quantiles")
        return tuple(columns)


def open_family(directory: Path, manifest: Manifest) -> QuantileFamily:  # noqa: ARG001 port
    """Entry point `forecast.quantile`. Raises InvalidBundle when options and signature disagree."""
    options = read_options(ForecastOptions, manifest.options)
    signature = manifest.signature_spec()
    if len(signature.inputs) != 1 or len(signature.outputs) != 1:
        raise InvalidBundle("the family wants one input and one output", input="signature")
    (source,), (answer,) = signature.inputs, signature.outputs
    levels = len(options.quantiles)
    _require(source, (BATCH_AXIS, options.context), "context")
    _require(answer, (BATCH_AXIS, levels, options.horizon), "quantiles and horizon")
    return QuantileFamily(options, source.name, answer.name)


def _require(spec: TensorSpec, shape: tuple[int | str, ...], options: str) -> None:
    if spec.datatype is not DType.FP32 or spec.shape != shape:
        want = ", ".join(str(dim) for dim in shape)
        raise InvalidBundle(f"with its {options} this must be FP32 ({want})", input=spec.name)


def _series(payload: ForecastTask | ForecastsTask) -> list[tuple[str, tuple[float, ...]]]:
    """Each series with the name of its field."""
    if isinstance(payload, ForecastTask):
        return [("values", payload.values)]
    return [(f"series[{at}]", series) for at, series in enumerate(payload.series)]


def _finite(values: tuple[float, ...], where: str) -> NDArray[np.float64]:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput("values must be numbers", input=where) from None
    if array.ndim != 1:
        raise InvalidInput("values must be one flat list of numbers", input=where)
    if not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        raise InvalidInput("values must be finite numbers", input=f"{where}[{bad}]")
    return array
