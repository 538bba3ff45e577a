"""The hub's own task endpoints for texts and series: fields of a JSON body to a payload.

Thin on purpose: what a series or a text must be is the family's business. Pictures: `vision.py`.
"""

from __future__ import annotations

from plaza_core.principal import Right
from plaza_models.tasks import (
    Classified,
    ClassifyTask,
    Forecast,
    Forecasts,
)
from plaza_serving.doors import forecasting
from plaza_serving.doors.asking import Asking, texts_of, timed
from plaza_serving.doors.exchange import Exchange
from plaza_serving.doors.routes import Route
from plaza_serving.reply import Reply


class Tasks:
    """Handlers of `/v1/text/…` and `/v1/forecast`."""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("POST", "/v1/forecast", Right.INFER, self.forecast),
            Route("POST", "/v1/text/classify", Right.INFER, self.classify),
        )

    async def forecast(self, exchange: Exchange) -> Reply:
        started = self._ask.begin(exchange)
        fields = await self._ask.fields(exchange, *forecasting.FIELDS)
        task = forecasting.task_of(fields)
        outcome = await self._ask.infer(exchange, started, fields, "forecast.quantile", task)
        answer: Forecast | Forecasts = outcome.answer
        return timed(outcome, forecasting.told(answer))

    async def classify(self, exchange: Exchange) -> Reply:
        started = self._ask.begin(exchange)
        fields = await self._ask.fields(exchange, "input", "top_k")
        texts = texts_of(fields, "input")
        task = ClassifyTask(texts, fields.integer("top_k", low=1, default=3))
        outcome = await self._ask.infer(exchange, started, fields, "text.classify", task)
        answer: Classified = outcome.answer
        results = [
            [{"label": one.label, "score": one.score} for one in labels]
            for labels in answer.results
        ]
        return timed(outcome, {"results": results})
