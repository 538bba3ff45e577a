"""`/v1/forecast`: fields of a JSON body to a payload, and forecasts to an answer.

One series in `values`, or several that a model may read together in `series`. A value that is not
there is null; whether a model does with gaps, and what it wants to know, is the family's business.
"""

from __future__ import annotations

import math
from typing import Any

from plaza_core.errors import InvalidInput
from plaza_models.tasks import Forecast, Forecasts, ForecastsTask, ForecastTask
from plaza_serving.doors.fields import Fields

FIELDS = ("values", "series", "horizon", "quantiles", "known")
MAX_SERIES = 2048
MAX_KNOWN = 64


def task_of(fields: Fields) -> ForecastTask | ForecastsTask:
    """Raises InvalidInput naming the field."""
    horizon = fields.integer("horizon", low=1)
    quantiles = fields.numbers("quantiles") if fields.has("quantiles") else None
    known = _rows(fields, "known", MAX_KNOWN) if fields.has("known") else ()
    if not fields.has("series"):
        values = _numbers(fields.value("values"), "values")
        return ForecastTask(values, horizon, quantiles, known)
    if fields.has("values"):
        raise InvalidInput("send either values or series", input="values")
    return ForecastsTask(_rows(fields, "series", MAX_SERIES), horizon, quantiles, known)


def told(answer: Forecast | Forecasts) -> dict[str, Any]:
    if isinstance(answer, Forecast):
        return {"quantiles": answer.quantiles, **_one(answer)}
    forecasts = answer.forecasts
    return {"quantiles": forecasts[0].quantiles, "forecasts": [_one(one) for one in forecasts]}


def _one(forecast: Forecast) -> dict[str, Any]:
    mean = {} if forecast.mean is None else {"mean": forecast.mean}
    return {"values": forecast.values, **mean}


def _rows(fields: Fields, name: str, most: int) -> tuple[tuple[float, ...], ...]:
    rows = fields.value(name)
    if type(rows) is not list or not 0 < len(rows) <= most:
        raise InvalidInput(f"{name} must be a list of 1 to {most} lists of numbers", input=name)
    return tuple(_numbers(row, f"{name}[{at}]") for at, row in enumerate(rows))


def _numbers(value: Any, where: str) -> tuple[float, ...]:
    """JSON numbers are finite; null is what is not there."""
    if type(value) is not list or not value or not set(map(type, value)) <= _NUMBERS:
        raise InvalidInput(f"{where} must be a list of numbers", input=where)
    return tuple(math.nan if one is None else float(one) for one in value)


_NUMBERS = {int, float, type(None)}
