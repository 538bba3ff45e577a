"""The dialect of OpenAI's API: models and embeddings, as its clients send and read them.

    GET  /v1/models              GET /v1/models/{model}
    POST /v1/embeddings          {"model", "input", "encoding_format", "dimensions", "user"}

`version` and `timing` are added to its answers, `family`, `version` and `ready` to its models. A
field that is not known is ignored, as there. Its token arrays are refused, and so are `dimensions`
other than the model's own: no model of this hub was trained to have its vectors cut short.
`usage` counts the words that the model's tokeniser read.
"""

from __future__ import annotations

import base64
from typing import Any

from plaza_core.errors import InvalidInput
from plaza_core.inference import Outcome
from plaza_core.principal import Right
from plaza_models.tasks import Embedded, EmbedTask
from plaza_serving.doors.asking import Asking, texts_named, texts_of, timed
from plaza_serving.doors.body import off_loop
from plaza_serving.doors.exchange import Exchange
from plaza_serving.doors.problems import OPENAI
from plaza_serving.doors.routes import Route
from plaza_serving.doors.tensors_json import dumps
from plaza_serving.plane import ModelView, Plane
from plaza_serving.reply import JSON, Reply

FAMILY = "text.embed"


class OpenAI:
    """Handlers of `/v1/models` and `/v1/embeddings`."""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", "/v1/models", Right.MODELS_READ, self.models, OPENAI),
            Route("GET", "/v1/models/{model}", Right.MODELS_READ, self.model, OPENAI),
            Route("POST", "/v1/embeddings", Right.INFER, self.embed, OPENAI),
        )

    async def models(self, exchange: Exchange) -> Reply:
        data = [_model(view) for view in self._ask.plane.models(exchange.principal)]
        return Reply(200, JSON, dumps({"object": "list", "data": data}))

    async def model(self, exchange: Exchange) -> Reply:
        view = self._ask.plane.model(exchange.principal, exchange.model, None)
        return Reply(200, JSON, dumps(_model(view)))

    async def embed(self, exchange: Exchange) -> Reply:
        started = self._ask.begin(exchange)
        fields = await self._ask.fields(exchange, strict=False)
        texts = texts_of(fields, "input")
        encoding = fields.choice("encoding_format", ("float", "base64"))
        if fields.has("dimensions"):
            wanted = fields.integer("dimensions", low=1)
            model = self._ask.meant(exchange, fields, FAMILY)
            check_dimensions(self._ask.plane, exchange, model, fields.version(), wanted)
        task = EmbedTask(texts)
        named = texts_named(fields, "input")
        outcome = await self._ask.infer(exchange, started, fields, FAMILY, task, named=named)
        answer: Embedded = outcome.answer
        return await off_loop(answer.vectors.nbytes, _embedded, outcome, encoding)


def _embedded(outcome: Outcome, encoding: str) -> Reply:
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
    return timed(outcome, {"object": "list", "data": data, "usage": usage})


def check_dimensions(
    plane: Plane, exchange: Exchange, model: str, version: str | None, wanted: int
) -> None:
    """Raises InvalidInput unless the model's vectors have this length anyway."""
    shape = plane.model(exchange.principal, model, version).signature.outputs[0].shape
    if not shape or shape[-1] != wanted:
        raise InvalidInput("this model's vectors have another length", input="dimensions")


def _model(view: ModelView) -> dict[str, Any]:
    return {
        "id": view.name,
        "object": "model",
        "created": 0,  # replicas are not told when a version was made; clients want a number
        "owned_by": "plaza",
        "family": view.manifest.family,
        "version": view.version,
        "ready": view.ready,
    }
