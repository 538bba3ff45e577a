"""Family `forecast.quantile`: series in, quantiles of their next values out.

    values ──last `context`, gaps filled, scaled──▶ model ──▶ quantiles, mean
    ──undo the scaling, sort per step, keep what was asked──▶ Forecast

The graph has float32 inputs, in the order of the signature: the series (batch, context), or, for a
model that reads `series` of them together, (batch, series, context); then, where the options name
covariates, what is known of them (batch, covariates, context + horizon), as it was sent. Its
outputs are quantiles (batch, [series,] levels, horizon) and, where there is a second, the mean
(batch, [series,] horizon), in scaled units. A task is one row, or a row per series, so the batcher
may join tasks.
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
from plaza_models.forecast.reading import covariates, numbers
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
    series: int = Field(default=1, ge=1, le=10_000, description="series it reads together")
    known: list[str] = Field(default=[], max_length=64, description="covariates, in their order")
    shortest: int | None = Field(
        default=None,
        ge=1,
        description="values it can do with; a series this short is continued "
        "backwards with its first value",
    )
    gaps: Literal["refuse", "fill"] = Field(
        default="refuse", description="fill: a value that is not there lies between its neighbours"
    )

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


@dataclass(frozen=True, slots=True)
class Names:
    """Of the graph's tensors."""

    values: str
    known: str | None
    quantiles: str
    mean: str | None


class QuantileFamily:
    """`prepare` takes a ForecastTask, `interpret` gives a Forecast; or both in the plural."""

    def __init__(self, options: ForecastOptions, names: Names) -> None:
        self.options = options
        self._names = names

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
        together = options.series > 1
        if together and len(scaled) != options.series:
            raise InvalidInput(
                f"the model reads {options.series} series together, got {len(scaled)}",
                input="series",
            )
        rows = np.stack([row for _, row in scaled])
        tensors: dict[str, Array] = {self._names.values: rows[None] if together else rows}
        count = 1 if together else len(rows)
        if self._names.known is not None:
            steps = (options.context, payload.horizon, options.horizon)
            known = covariates(payload.known, options.known, *steps)
            tensors[self._names.known] = np.repeat(known[None], count, axis=0)
        elif payload.known:
            raise InvalidInput("the model takes nothing beside the series", input="known")
        scales = tuple(scale for scale, _ in scaled)
        asked = _Asked(scales, payload.horizon, columns, one)
        return Prepared(tensors, rows=count, context=asked)

    def interpret(self, outputs: Mapping[str, Array], context: _Asked) -> Forecast | Forecasts:
        """Quantiles in the units of the series; a higher level is never below a lower one.

        Raises ModelFailed when the model gave something that is not a number.
        """
        quantiles = self._rows(outputs[self._names.quantiles], context.horizon)
        means: list[NDArray[np.float64] | None] = [None] * len(quantiles)
        if self._names.mean is not None:
            means = list(self._rows(outputs[self._names.mean], context.horizon))
        forecasts = tuple(
            self._forecast(row, mean, scale, context.columns)
            for row, mean, scale in zip(quantiles, means, context.scales, strict=True)
        )
        return forecasts[0] if context.one else Forecasts(forecasts)

    def _rows(self, output: Array, horizon: int) -> NDArray[np.float64]:
        """A row per series, the asked steps of it."""
        found = output[..., :horizon].astype(np.float64)
        if not np.isfinite(found).all():
            raise ModelFailed("the model's forecast is not finite")
        return found[0] if self.options.series > 1 else found

    def _scaled(self, series: tuple[float, ...], where: str) -> tuple[Scale, NDArray[np.float32]]:
        """How the last `context` values were scaled, and they so. Raises InvalidInput."""
        size = self.options.context
        values = numbers(series, where, fill=self.options.gaps == "fill")
        least = size if self.options.shortest is None else min(size, self.options.shortest)
        if len(values) < least:
            raise InvalidInput(
                f"the model needs at least {least} values, got {len(values)}", input=where
            )
        context = values[-size:]
        context = np.concatenate((np.full(size - len(context), context[0]), context))
        if np.abs(context).max() > _LARGEST:
            raise InvalidInput("values are too large to compute with", input=where)
        scale = Scale.of(context, self.options.scaling)
        return scale, scale.apply(context).astype(np.float32)

    def _forecast(
        self,
        scaled: NDArray[np.float64],
        mean: NDArray[np.float64] | None,
        scale: Scale,
        columns: tuple[int, ...],
    ) -> Forecast:
        # Sorting per step is the rearrangement of Chernozhukov et al. (2010): it removes crossings
        # and can only lower the pinball loss.
        values = self._bounded(np.sort(scale.undo(scaled), axis=0))
        return Forecast(
            quantiles=tuple(self.options.quantiles[column] for column in columns),
            values=tuple(tuple(values[column].tolist()) for column in columns),
            mean=None if mean is None else tuple(self._bounded(scale.undo(mean)).tolist()),
        )

    def _bounded(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        lower, upper = self.options.lower, self.options.upper
        return values if lower is None and upper is None else np.clip(values, lower, upper)

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
    wanted = 2 if options.known else 1
    if len(signature.inputs) != wanted or not 1 <= len(signature.outputs) <= 2:
        raise InvalidBundle(
            f"with these options it wants {'two inputs' if options.known else 'one input'} and "
            "one or two outputs",
            input="signature",
        )
    values, *known = signature.inputs
    quantiles, *mean = signature.outputs
    rows = (BATCH_AXIS, options.series) if options.series > 1 else (BATCH_AXIS,)
    _require(values, (*rows, options.context), "series and context")
    for spec in known:
        steps = options.context + options.horizon
        _require(spec, (BATCH_AXIS, len(options.known), steps), "covariates and steps")
    levels = len(options.quantiles)
    _require(quantiles, (*rows, levels, options.horizon), "quantiles and horizon")
    for spec in mean:
        _require(spec, (*rows, options.horizon), "horizon")
    names = Names(
        values.name,
        known[0].name if known else None,
        quantiles.name,
        mean[0].name if mean else None,
    )
    return QuantileFamily(options, names)


def _require(spec: TensorSpec, shape: tuple[int | str, ...], options: str) -> None:
    if spec.datatype is not DType.FP32 or spec.shape != shape:
        want = ", ".join(str(dim) for dim in shape)
        raise InvalidBundle(f"with its {options} this must be FP32 ({want})", input=spec.name)


def _series(payload: ForecastTask | ForecastsTask) -> list[tuple[str, tuple[float, ...]]]:
    """Each series with the name of its field."""
    if isinstance(payload, ForecastTask):
        return [("values", payload.values)]
    return [(f"series[{at}]", series) for at, series in enumerate(payload.series)]
