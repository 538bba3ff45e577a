"""The endpoints for series: their next values, how strange the last ones were, what to warn of.

All three ask a model of family `forecast.quantile`, in JSON or CSV, and answer in what `Accept`
asks for: JSON, CSV, or an SVG drawing. Thin on purpose: what is computed is the family's business.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from plaza_core.errors import InvalidInput, MalformedRequest
from plaza_core.inference import Outcome
from plaza_core.principal import Right
from plaza_models.forecast.tasks import AnomalyTask, LevelWanted, WarningTask
from plaza_models.tasks import Forecast, Forecasts, ForecastsTask, ForecastTask
from plaza_serving.doors import series_answers as answers
from plaza_serving.doors import series_body
from plaza_serving.doors.accept import form_of
from plaza_serving.doors.asking import Asking
from plaza_serving.doors.body import off_loop, parse_json
from plaza_serving.doors.exchange import Exchange
from plaza_serving.doors.fields import Fields
from plaza_serving.doors.routes import Route
from plaza_serving.doors.series_body import FAMILY, Sheet
from plaza_serving.reply import Reply

MAX_LEVELS = 10
_DEPTH = 4
_CELL_JSON, _CELL_CSV = 16, 160
"""Bytes of JSON that take as long to read as one number takes to be written."""
_FORECAST = ("horizon", "quantiles")
_SCORED = ("steps", "every", "draw")
_WARNED = ("horizon", "levels", "state", "at", "draw")


class Series:
    """Handlers of `/v1/forecast`, `/v1/anomaly/score` and `/v1/warning/level`."""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("POST", "/v1/forecast", Right.INFER, self.forecast),
            Route("POST", "/v1/anomaly/score", Right.INFER, self.score),
            Route("POST", "/v1/warning/level", Right.INFER, self.warn),
        )

    async def forecast(self, exchange: Exchange) -> Reply:
        started, form = self._ask.begin(exchange), _form(exchange)
        sheet = await series_body.read(self._ask, exchange, *_FORECAST)
        fields, drawn = sheet.fields, form == answers.SVG
        context, reach = self._model(exchange, sheet)
        horizon = fields.integer("horizon", low=1, default=sheet.ahead or reach)
        asked = Fields({"quantiles": _listed(fields, "quantiles")}, None)
        quantiles = asked.numbers("quantiles") if asked.has("quantiles") else None
        known = sheet.known_from(context)
        task: ForecastTask | ForecastsTask
        if sheet.one:
            task = ForecastTask(sheet.series[0], horizon, quantiles, known, drawn)
        elif drawn:
            where = "body" if sheet.names else "series"
            raise InvalidInput("a drawing is of one series", input=where)
        else:
            task = ForecastsTask(sheet.series, horizon, quantiles, known)
        outcome = await self._ask.infer(
            exchange, started, fields, FAMILY, task, named=partial(sheet.named, context=context)
        )
        answer: Forecast | Forecasts = outcome.answer
        many = answer.forecasts if isinstance(answer, Forecasts) else (answer,)
        return await _written(form, outcome, answers.ForecastTold(many, sheet.one), sheet)

    async def score(self, exchange: Exchange) -> Reply:
        started, form = self._ask.begin(exchange), _form(exchange)
        sheet = await series_body.read(self._ask, exchange, *_SCORED)
        fields = sheet.fields
        count = len(sheet.series[0])
        task = AnomalyTask(
            sheet.series,
            _integer(fields, "steps"),
            _integer(fields, "every"),
            tuple(row[:count] for row in sheet.known) if sheet.names else sheet.known,
            _drawn(fields, form),
        )
        outcome = await self._ask.infer(exchange, started, fields, FAMILY, task, named=sheet.named)
        told = answers.AnomaliesTold(outcome.answer, sheet.series, sheet.one)
        return await _written(form, outcome, told, sheet)

    async def warn(self, exchange: Exchange) -> Reply:
        started, form = self._ask.begin(exchange), _form(exchange)
        sheet = await series_body.read(self._ask, exchange, *_WARNED)
        fields = sheet.fields
        context, _ = self._model(exchange, sheet)
        task = WarningTask(
            sheet.series,
            self._at(sheet),
            _integer(fields, "horizon") or sheet.ahead or None,
            sheet.known_from(context),
            _levels(fields),
            fields.text("state") if fields.has("state") else None,
            _drawn(fields, form),
        )
        outcome = await self._ask.infer(
            exchange, started, fields, FAMILY, task, named=partial(sheet.named, context=context)
        )
        return await _written(form, outcome, answers.WarnedTold(outcome.answer, sheet.one), sheet)

    def _at(self, sheet: Sheet) -> str:
        """When the last values were measured: as said, else as the table says, else now."""
        if sheet.fields.has("at"):
            return sheet.fields.text("at")
        if sheet.times:
            return sheet.times[len(sheet.series[0]) - 1]
        return datetime.fromtimestamp(self._ask.plane.clock.unix_us() // 1_000_000, UTC).isoformat()

    def _model(self, exchange: Exchange, sheet: Sheet) -> tuple[int, int | None]:
        """Of a table: the values the model reads, and the steps it can look ahead."""
        if not sheet.names:
            return 0, None
        fields = sheet.fields
        model = self._ask.meant(exchange, fields, FAMILY)
        view = self._ask.plane.model(exchange.principal, model, fields.version())
        options = view.manifest.options
        return options.get("context", 0), options.get("horizon")


async def _written(form: str, outcome: Outcome, told: answers.Told, sheet: Sheet) -> Reply:
    """A long answer is written in a thread."""
    each = _CELL_CSV if form == series_body.CSV else _CELL_JSON
    return await off_loop(told.cells() * each, answers.written, form, outcome, told, sheet)


def _form(exchange: Exchange) -> str:
    return form_of(exchange.headers.get(b"accept", b""), answers.FORMS)


def _integer(fields: Fields, name: str) -> int | None:
    return fields.integer(name, low=1) if fields.has(name) else None


def _drawn(fields: Fields, form: str) -> int | None:
    wanted = fields.integer("draw", low=0, default=0)
    return wanted if form == answers.SVG else None


def _listed(fields: Fields, name: str) -> Any:
    """A list; in a query string it is written as JSON."""
    value = fields.value(name)
    if type(value) is not str:
        return value
    try:
        return parse_json(value.encode(), _DEPTH)
    except MalformedRequest as error:
        raise MalformedRequest(f"{name}: {error.message}", input=name) from None


def _levels(fields: Fields) -> tuple[LevelWanted, ...] | None:
    """A list of objects."""
    value = _listed(fields, "levels")
    if value is None:
        return None
    if type(value) is not list or not 0 < len(value) <= MAX_LEVELS:
        raise InvalidInput(f"levels must be a list of 1 to {MAX_LEVELS}", input="levels")
    return tuple(_level(one) for one in value)


def _threshold(level: Fields) -> tuple[float, ...]:
    """One, or one for each series."""
    value = level.value("threshold")
    if type(value) is list:
        return level.numbers("threshold")
    if type(value) not in {int, float}:
        raise InvalidInput("threshold must be a number", input="threshold")
    return (float(value),)


def _level(entry: Any) -> LevelWanted:
    if type(entry) is not dict:
        raise InvalidInput("each of levels must be an object", input="levels")
    try:
        one = Fields(entry, ("name", "threshold", "above", "enter", "leave"))
        return LevelWanted(
            one.text("name"),
            _threshold(one),
            one.flag("above", default=True),
            one.number("enter", low=0, high=1),
            one.number("leave", low=0, high=1),
        )
    except InvalidInput as error:
        raise InvalidInput(f"{error.input}: {error.message}", input="levels") from None
