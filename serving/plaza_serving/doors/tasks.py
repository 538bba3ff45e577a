"""The task endpoints `/v1`: fields of a JSON body (or a picture as it is) to a family's payload.

Thin on purpose: what a picture, a series or a text must be is the family's business. `/v1/models`
and `/v1/embeddings` have the shapes of the OpenAI API, with `version` and `timing` added.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import parse_qsl

from plaza_core.errors import InvalidInput, MalformedRequest, UnsupportedMedia
from plaza_core.inference import Call, Outcome
from plaza_models.tasks import (
    Classified,
    ClassifyTask,
    Detections,
    DetectTask,
    Embedded,
    EmbedTask,
    Forecast,
    ForecastTask,
)
from plaza_serving.doors.body import BodyReader, off_loop, parse_json
from plaza_serving.doors.exchange import JSON, Exchange, Reply
from plaza_serving.doors.fields import Fields
from plaza_serving.doors.oip import cost_headers
from plaza_serving.doors.sticky import PARAMETER, sticky_of
from plaza_serving.doors.tensors_json import dumps
from plaza_serving.plane import Plane

PICTURES = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
MAX_TEXTS = 2048
MAX_DETECTIONS = 1000
_COMMON = ("model", "version", "timeout_us", PARAMETER)


class Tasks:
    """Handlers of `/v1`."""

    def __init__(self, plane: Plane, bodies: BodyReader, max_depth: int) -> None:
        self._plane = plane
        self._bodies = bodies
        self._max_depth = max_depth

    async def models(self, exchange: Exchange) -> Reply:
        data = [
            {
                "id": view.name,
                "object": "model",
                "owned_by": "plaza",
                "family": view.manifest.family,
                "version": view.version,
                "ready": view.ready,
            }
            for view in self._plane.models(exchange.principal)
        ]
        return Reply(200, JSON, dumps({"object": "list", "data": data}))

    async def detect(self, exchange: Exchange) -> Reply:
        started = self._plane.clock.monotonic_ns()
        media = _media(exchange)
        if media in PICTURES:
            pairs = parse_qsl(exchange.scope["query_string"].decode("latin-1"))
            picture = await self._bodies.read(exchange)
            fields = Fields.of_query(pairs, known=(*_COMMON, "threshold", "max_detections"))
        else:
            fields = await self._fields(exchange, "image", "threshold", "max_detections")
            picture = await off_loop(fields.size, _picture, fields.text("image"))
        if not picture:
            raise InvalidInput("there is no picture", input="image")
        task = DetectTask(
            picture,
            fields.number("threshold", low=0, high=1),
            fields.integer("max_detections", low=1, high=MAX_DETECTIONS, default=300),
        )
        outcome = await self._infer(exchange, started, fields, "vision.detect", task)
        answer: Detections = outcome.answer
        return _reply(
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
        started = self._plane.clock.monotonic_ns()
        fields = await self._fields(exchange, "values", "horizon", "quantiles")
        task = ForecastTask(
            fields.numbers("values"),
            fields.integer("horizon", low=1),
            fields.numbers("quantiles") if fields.has("quantiles") else None,
        )
        outcome = await self._infer(exchange, started, fields, "forecast.quantile", task)
        answer: Forecast = outcome.answer
        return _reply(outcome, {"quantiles": answer.quantiles, "values": answer.values})

    async def classify(self, exchange: Exchange) -> Reply:
        started = self._plane.clock.monotonic_ns()
        fields = await self._fields(exchange, "input", "top_k")
        texts = fields.texts("input", most=MAX_TEXTS)
        task = ClassifyTask(texts, fields.integer("top_k", low=1, default=3))
        outcome = await self._infer(exchange, started, fields, "text.classify", task)
        answer: Classified = outcome.answer
        results = [
            [{"label": one.label, "score": one.score} for one in labels]
            for labels in answer.results
        ]
        return _reply(outcome, {"results": results})

    async def embed(self, exchange: Exchange) -> Reply:
        started = self._plane.clock.monotonic_ns()
        fields = await self._fields(
            exchange, "input", "encoding_format", "dimensions", "user", strict=False
        )
        texts = fields.texts("input", most=MAX_TEXTS)
        encoding = fields.choice("encoding_format", ("float", "base64"))
        if fields.has("dimensions"):
            self._check_dimensions(exchange, fields)
        outcome = await self._infer(exchange, started, fields, "text.embed", EmbedTask(texts))
        answer: Embedded = outcome.answer
        vectors = answer.vectors.astype("<f4", order="C", copy=False)
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": vector
                if encoding == "float"
                else base64.b64encode(vector.tobytes()).decode(),
            }
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": answer.tokens, "total_tokens": answer.tokens}
        return _reply(outcome, {"object": "list", "data": data, "usage": usage})

    def _check_dimensions(self, exchange: Exchange, fields: Fields) -> None:
        """Vectors are not shortened: `dimensions` may only repeat what the model gives."""
        wanted = fields.integer("dimensions", low=1)
        view = self._plane.model(exchange.principal, fields.text("model"), fields.version())
        shape = view.signature.outputs[0].shape
        if not shape or shape[-1] != wanted:
            raise InvalidInput("this model's vectors have another length", input="dimensions")

    async def _infer(
        self, exchange: Exchange, started: int, fields: Fields, family: str, task: Any
    ) -> Outcome:
        timeout = fields.integer("timeout_us", low=1, default=0)
        return await self._plane.infer(
            exchange.principal,
            Call(
                exchange.request_id,
                fields.text("model"),
                fields.version(),
                task=task,
                family=family,
                deadline_ns=started + timeout * 1000 if timeout else None,
                sticky=sticky_of(exchange, fields.value(PARAMETER)),
            ),
        )

    async def _fields(self, exchange: Exchange, *known: str, strict: bool = True) -> Fields:
        media = _media(exchange)
        if media not in {"", "application/json"}:
            raise UnsupportedMedia("this endpoint takes application/json", input="content-type")
        body = await self._bodies.read(exchange)
        document = await off_loop(len(body), parse_json, body, self._max_depth)
        if type(document) is not dict:
            raise MalformedRequest("the body must be a JSON object", input="body")
        return Fields(document, (*_COMMON, *known) if strict else None, size=len(body))


def _media(exchange: Exchange) -> str:
    text = exchange.headers.get(b"content-type", b"").decode("latin-1")
    return text.partition(";")[0].strip().lower()


def _picture(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("image must be base64, without a data: prefix", input="image") from None


def _reply(outcome: Outcome, answer: dict[str, Any]) -> Reply:
    timing = outcome.timing
    document = {
        **answer,
        "model": outcome.model,
        "version": outcome.version,
        "timing": {
            "queue_us": timing.queue_us,
            "prepare_us": timing.prepare_us,
            "run_us": timing.run_us,
            "interpret_us": timing.interpret_us,
            "compute_us": outcome.compute_us,
        },
    }
    return Reply(200, JSON, dumps(document), cost_headers(outcome))
