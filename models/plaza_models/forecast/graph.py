"""How a graph of `forecast.quantile` is asked: windows become scaled rows, and its outputs
quantiles in the units of the series.

The graph has float32 inputs, in the order of the signature: the series (batch, context), or, for a
model that reads `series` of them together, (batch, series, context); then, where the options name
covariates, what is known of them (batch, covariates, context + horizon), as it was sent. Its
outputs are quantiles (batch, [series,] levels, horizon) and, where there is a second, the mean
(batch, [series,] horizon), in scaled units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plaza_core.errors import InvalidBundle, InvalidInput, ModelFailed
from plaza_core.tensors import BATCH_AXIS, Array, DType, Signature, TensorSpec
from plaza_models.forecast.options import ForecastOptions, Scaling
from plaza_models.forecast.reading import covariates, numbers

Values = NDArray[np.float64]
_LARGEST = 1e30
"""Squares of it, and float32 copies, are still finite."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How a context was scaled: `(values - offset) / factor`."""

    offset: float
    factor: float

    @staticmethod
    def of(context: Values, scaling: Scaling) -> Scale:
        """A context without any spread (or of zeros) keeps the factor 1."""
        if scaling == "none":
            return Scale(0.0, 1.0)
        if scaling == "mean-abs":
            return Scale(0.0, float(np.mean(np.abs(context))) or 1.0)
        return Scale(float(np.mean(context)), float(np.std(context)) or 1.0)

    def apply(self, values: Values) -> Values:
        return (values - self.offset) / self.factor

    def undo(self, values: Values) -> Values:
        return values * self.factor + self.offset


@dataclass(frozen=True, slots=True)
class Window:
    """What one row of the input is made from."""

    series: Sequence[Sequence[float]]
    """One, or as many as the model reads together; each up to the moment of the forecast."""
    fields: Sequence[str]
    """What each of them is called in an error."""
    known: Sequence[Sequence[float]] = ()


def windows_of(
    series: Sequence[Sequence[float]],
    fields: Sequence[str],
    known: Sequence[Sequence[float]],
    options: ForecastOptions,
) -> list[Window]:
    """A window for each series, or one of all that are read together. Raises InvalidInput."""
    if not series:
        raise InvalidInput("send at least one series", input="series")
    if options.series == 1:
        return [Window((one,), (field,), known) for one, field in zip(series, fields, strict=True)]
    if len(series) != options.series:
        raise InvalidInput(
            f"the model reads {options.series} series together, got {len(series)}", input="series"
        )
    return [Window(series, fields, known)]


@dataclass(frozen=True, slots=True)
class Asked:
    """What undoes the scaling of one run."""

    scales: tuple[tuple[Scale, ...], ...]
    """For each window, one for each of its series."""
    horizon: int


@dataclass(frozen=True, slots=True)
class Answered:
    """In the units of the series; a higher quantile is never below a lower one."""

    quantiles: Values
    """(windows, series, levels, horizon)."""
    means: Values | None
    """(windows, series, horizon), where the model gives them."""


class ForecastGraph:
    """Input and output names and shapes, checked once. Raises InvalidBundle."""

    def __init__(self, options: ForecastOptions, signature: Signature) -> None:
        self.options = options
        wanted = 2 if options.known else 1
        if len(signature.inputs) != wanted or not 1 <= len(signature.outputs) <= 2:
            raise InvalidBundle(
                f"with these options it wants {'two inputs' if options.known else 'one input'} and "
                "one or two outputs",
                input="signature",
            )
        self._values, *self._known = signature.inputs
        self._quantiles, *self._mean = signature.outputs
        rows = (BATCH_AXIS, options.series) if options.series > 1 else (BATCH_AXIS,)
        _require(self._values, (*rows, options.context), "series and context")
        for spec in self._known:
            steps = options.context + options.horizon
            _require(spec, (BATCH_AXIS, len(options.known), steps), "covariates and steps")
        levels = len(options.quantiles)
        _require(self._quantiles, (*rows, levels, options.horizon), "quantiles and horizon")
        for spec in self._mean:
            _require(spec, (*rows, options.horizon), "horizon")

    def inputs(self, windows: Sequence[Window], horizon: int) -> tuple[dict[str, Array], Asked]:
        """Tensors with a row for each window. Raises InvalidInput naming the field."""
        if not 1 <= horizon <= self.options.horizon:
            raise InvalidInput(
                f"the model looks 1 to {self.options.horizon} steps ahead", input="horizon"
            )
        scales, rows = [], []
        for window in windows:
            scaled = [
                self._scaled(one, field)
                for one, field in zip(window.series, window.fields, strict=True)
            ]
            scales.append(tuple(scale for scale, _ in scaled))
            rows.append(np.stack([row for _, row in scaled]))
        values = np.stack(rows)
        together = self.options.series > 1
        tensors: dict[str, Array] = {self._values.name: values if together else values[:, 0]}
        if self._known:
            tensors[self._known[0].name] = self._beside(windows, horizon)
        elif any(window.known for window in windows):
            raise InvalidInput("the model takes nothing beside the series", input="known")
        return tensors, Asked(tuple(scales), horizon)

    def read(self, outputs: Mapping[str, Array], asked: Asked) -> Answered:
        """Raises ModelFailed when the model gave something that is not a number."""
        quantiles = self._undone(outputs[self._quantiles.name], asked)
        # Sorting per step is the rearrangement of Chernozhukov et al. (2010): it removes crossings
        # and can only lower the pinball loss.
        means = [self._undone(outputs[spec.name], asked) for spec in self._mean]
        return Answered(np.sort(quantiles, axis=2), means[0] if means else None)

    def _scaled(self, series: Sequence[float], field: str) -> tuple[Scale, NDArray[np.float32]]:
        """How the last `context` values were scaled, and they so. Raises InvalidInput."""
        options = self.options
        size = options.context
        values = numbers(series, field, fill=options.gaps == "fill")
        least = size if options.shortest is None else min(size, options.shortest)
        if len(values) < least:
            raise InvalidInput(
                f"the model needs at least {least} values, got {len(values)}", input=field
            )
        context = values[-size:]
        context = np.concatenate((np.full(size - len(context), context[0]), context))
        if np.abs(context).max() > _LARGEST:
            raise InvalidInput("values are too large to compute with", input=field)
        scale = Scale.of(context, options.scaling)
        return scale, scale.apply(context).astype(np.float32)

    def _beside(self, windows: Sequence[Window], horizon: int) -> Array:
        """(windows, covariates, context + horizon); what several share is read once."""
        options = self.options
        found: list[Array] = []
        for at, window in enumerate(windows):
            if at and window.known is windows[at - 1].known:
                found.append(found[-1])
                continue
            steps = options.context, horizon, options.horizon
            found.append(covariates(window.known, options.known, *steps))
        return np.stack(found)

    def _undone(self, output: Array, asked: Asked) -> Values:
        """With an axis for the series, the asked steps, in units."""
        found = output[..., : asked.horizon].astype(np.float64)
        if not np.isfinite(found).all():
            raise ModelFailed("the model's forecast is not finite")
        if self.options.series == 1:
            found = found[:, None]
        units = np.array([[(s.offset, s.factor) for s in row] for row in asked.scales])
        units = units.reshape(*units.shape, *[1] * (found.ndim - 2))
        values: Values = found * units[:, :, 1] + units[:, :, 0]
        lower, upper = self.options.lower, self.options.upper
        return values if lower is None and upper is None else np.clip(values, lower, upper)


def _require(spec: TensorSpec, shape: tuple[int | str, ...], options: str) -> None:
    if spec.datatype is not DType.FP32 or spec.shape != shape:
        want = ", ".join(str(dim) for dim in shape)
        raise InvalidBundle(f"with its {options} this must be FP32 ({want})", input=spec.name)
