"""The dialect of KServe's time-series forecasts.

    GET  /v1/timeseries/models
    POST /v1/timeseries/forecast   {"model", "inputs": [series …], "options": {horizon, quantiles}}

All series of a request are one inference of family `forecast.quantile`. Where that dialect has a
mean and the model gives none, the answer carries the median; `point` says which. Series of several
variables are refused, and so is a `frequency` that contradicts the model's own step. A forecast
starts one step after the last value; without `start_timestamp` nobody can say when that is, and the
text is empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from plaza_core.errors import InvalidInput, PlazaError
from plaza_core.principal import Right
from plaza_models.tasks import Forecast, Forecasts, ForecastsTask
from plaza_serving.doors.asking import Asking, answered
from plaza_serving.doors.exchange import Exchange
from plaza_serving.doors.fields import Fields
from plaza_serving.doors.problems import OPENAI
from plaza_serving.doors.routes import Route
from plaza_serving.doors.series_body import FAMILY
from plaza_serving.doors.tensors_json import dumps
from plaza_serving.naming import renamed
from plaza_serving.reply import JSON, Reply

MAX_SERIES = 256
_MEDIAN = 0.5
UNIVARIATE, MULTIVARIATE = "univariate_time_series", "multivariate_time_series"

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_SHORT = {"S": "second", "T": "minute", "H": "hour", "D": "day", "W": "week", "M": "month",
          "Q": "quarter", "Y": "year"}  # fmt: skip
FREQUENCIES = (*_SECONDS, *_MONTHS, *_SHORT)


@dataclass(frozen=True, slots=True)
class Series:
    """One of the request's inputs. `frequency` is as it was written."""

    name: str
    values: tuple[float, ...]
    frequency: str
    start: datetime | None


class TimeSeries:
    """Handlers of `/v1/timeseries`."""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking

    def routes(self) -> tuple[Route, ...]:
        read, infer = Right.MODELS_READ, Right.INFER
        return (
            Route("GET", "/v1/timeseries/models", read, self.models, OPENAI),
            Route("POST", "/v1/timeseries/forecast", infer, self.forecast, OPENAI),
        )

    async def models(self, exchange: Exchange) -> Reply:
        views = self._ask.plane.models(exchange.principal)
        return Reply(200, JSON, dumps([v.name for v in views if v.manifest.family == FAMILY]))

    async def forecast(self, exchange: Exchange) -> Reply:
        started = self._ask.begin(exchange)
        fields = await self._ask.fields(exchange, strict=False)
        series = _inputs(fields)
        options = fields.value("options")
        if type(options) is not dict:
            raise InvalidInput("options must be an object", input="options")
        wanted = Fields(options, None, inside="options.")
        asked = wanted.numbers("quantiles") if wanted.has("quantiles") else ()
        step_s = self._step(exchange, fields, series)
        starts = [_start(one, step_s) for one in series]
        levels = tuple(sorted({*asked, _MEDIAN}))
        horizon = wanted.integer("horizon", low=1)
        task = ForecastsTask(tuple(one.values for one in series), horizon, levels)
        outcome = await self._ask.infer(exchange, started, fields, FAMILY, task, named=_named)
        answer: Forecasts = outcome.answer
        content = [
            _told(one, start, forecast, dict(zip(levels, forecast.values, strict=True)), asked)
            for one, start, forecast in zip(series, starts, answer.forecasts, strict=True)
        ]
        identity = str(exchange.request_id)
        return answered(
            outcome,
            {
                "id": identity,
                "created_at": self._ask.plane.clock.unix_us() // 1_000_000,
                "status": "completed",
                "error": None,
                "model": outcome.model,
                "outputs": [
                    {
                        "type": "time_series_forecast",
                        "id": f"{identity}-0",
                        "status": "completed",
                        "content": content,
                        "error": None,
                    }
                ],
                "usage": None,
                "version": outcome.version,
            },
        )

    def _step(self, exchange: Exchange, fields: Fields, series: tuple[Series, ...]) -> int | None:
        """Seconds between the model's values, where it says so. Raises InvalidInput."""
        view = self._ask.plane.model(
            exchange.principal, self._ask.meant(exchange, fields, FAMILY), fields.version()
        )
        step_s = view.manifest.options.get("step_seconds")
        if type(step_s) is not int or step_s not in _SECONDS.values():
            return step_s if type(step_s) is int else None
        for at, one in enumerate(series):
            if _SECONDS.get(_SHORT.get(one.frequency, one.frequency)) != step_s:
                raise InvalidInput(
                    f"this model's values are {step_s} seconds apart",
                    input=f"inputs[{at}].frequency",
                )
        return step_s


def _named(error: PlazaError) -> PlazaError:
    """In this dialect's words."""
    if error.input in {"horizon", "quantiles"}:
        return renamed(error, error.input, lambda _: f"options.{error.input}")
    return renamed(error, "series", lambda at: "inputs" if at is None else f"inputs[{at}].series")


def _inputs(fields: Fields) -> tuple[Series, ...]:
    value = fields.value("inputs")
    if type(value) is not list or not 0 < len(value) <= MAX_SERIES:
        raise InvalidInput(f"inputs must be a list of 1 to {MAX_SERIES} series", input="inputs")
    return tuple(_one_input(entry, f"inputs[{at}]") for at, entry in enumerate(value))


def _one_input(entry: Any, where: str) -> Series:
    if type(entry) is not dict:
        raise InvalidInput("each of inputs must be an object", input=where)
    try:
        return _series(Fields(entry, None))
    except InvalidInput as error:
        raise InvalidInput(error.message, input=f"{where}.{error.input}") from None


def _series(fields: Fields) -> Series:
    fields.text("type")
    if fields.choice("type", (UNIVARIATE, MULTIVARIATE)) == MULTIVARIATE:
        raise InvalidInput("models of this hub forecast one variable at a time", input="type")
    fields.text("frequency")
    frequency = fields.choice("frequency", FREQUENCIES)
    start = None
    if fields.has("start_timestamp"):
        try:
            start = datetime.fromisoformat(fields.text("start_timestamp"))
        except ValueError:
            raise InvalidInput(
                "start_timestamp must be a time as in ISO 8601", input="start_timestamp"
            ) from None
    return Series(fields.text("name"), fields.numbers("series"), frequency, start)


def _told(
    one: Series,
    start: str,
    forecast: Forecast,
    rows: dict[float, tuple[float, ...]],
    asked: tuple[float, ...],
) -> dict[str, Any]:
    """One forecast; `rows` are its quantiles by their levels."""
    return {
        "type": UNIVARIATE,
        "name": one.name,
        "mean_forecast": rows[_MEDIAN] if forecast.mean is None else forecast.mean,
        "frequency": one.frequency,
        "start_timestamp": start,
        "quantiles": {str(level): rows[level] for level in asked} or None,
        "point": "median" if forecast.mean is None else "mean",
    }


def _start(one: Series, step_s: int | None) -> str:
    """The time of the first value that the series does not have. Raises InvalidInput."""
    if one.start is None:
        return ""
    unit, steps = _SHORT.get(one.frequency, one.frequency), len(one.values)
    try:
        if step_s is None and unit in _MONTHS:
            return _months_later(one.start, _MONTHS[unit] * steps).isoformat()
        seconds = _SECONDS[unit] if step_s is None else step_s
        return (one.start + timedelta(seconds=seconds * steps)).isoformat()
    except (OverflowError, ValueError):
        raise InvalidInput("the calendar ends before the forecast", input="inputs") from None


def _months_later(start: datetime, months: int) -> datetime:
    """The same day of a later month, or its last one where that is shorter."""
    month = start.month - 1 + months
    first = start.replace(year=start.year + month // 12, month=month % 12 + 1, day=1)
    for day in range(start.day, 27, -1):
        try:
            return first.replace(day=day)
        except ValueError:
            continue
    return first.replace(day=min(start.day, 28))
