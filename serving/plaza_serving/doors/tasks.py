"""The hub's own task endpoints: fields of a JSON body, or a picture as it is, to a payload.

Thin on purpose: what a picture, a series or a text must be is the family's business.
"""

from __future__ import annotations

import base64
import binascii
from urllib.parse import parse_qsl

from plaza_core.errors import InvalidInput
from plaza_core.principal import Right
from plaza_models.tasks import (
    Classified,
    ClassifyTask,
    Detections,
    DetectTask,
    Forecast,
    Forecasts,
)
from plaza_serving.doors import forecasting
from plaza_serving.doors.asking import COMMON, Asking, media_of, texts_of, timed
from plaza_serving.doors.body import off_loop
from plaza_serving.doors.exchange import Exchange
from plaza_serving.doors.fields import Fields
from plaza_serving.doors.routes import Route
from plaza_serving.reply import Reply

PICTURES = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
_OR_PICTURES = f", {', '.join(PICTURES[:3])}"
MAX_DETECTIONS = 1000


class Tasks:
    """Handlers of `/v1/vision/…`, `/v1/text/…` and `/v1/forecast`."""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("POST", "/v1/vision/detect", Right.INFER, self.detect),
            Route("POST", "/v1/forecast", Right.INFER, self.forecast),
            Route("POST", "/v1/text/classify", Right.INFER, self.classify),
        )

    async def detect(self, exchange: Exchange) -> Reply:
        started = self._ask.begin(exchange)
        media = media_of(exchange)
        if media in PICTURES:
            pairs = parse_qsl(exchange.scope["query_string"].decode("latin-1"))
            picture = await self._ask.bodies.read(exchange)
            fields = Fields.of_query(pairs, known=(*COMMON, "threshold", "max_detections"))
        else:
            known = ("image", "threshold", "max_detections")
            fields = await self._ask.fields(exchange, *known, also=_OR_PICTURES)
            picture = await off_loop(fields.size, _picture, fields.text("image"))
        if not picture:
            raise InvalidInput("there is no picture", input="image")
        task = DetectTask(
            picture,
            fields.number("threshold", low=0, high=1),
            fields.integer("max_detections", low=1, high=MAX_DETECTIONS, default=300),
        )
        outcome = await self._ask.infer(exchange, started, fields, "vision.detect", task)
        answer: Detections = outcome.answer
        return timed(
            outcome,
            {
                "width": answer.width,
                "height": answer.height,
                "detections": [
                    {"label": one.label, "score": one.score, "box": one.box}
                    for one in answer.detections
                ],
            },
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


def _picture(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("image must be base64, without a data: prefix", input="image") from None
