"""What text-embeddings-inference tells about itself: `/info` and `/health`, in its shapes.

What this hub does not have is told as it is: there is no bound on tokens of a batch but that of a
text (`max_batch_tokens` is what one request may carry), and nothing is cut unless asked for.
"""

from __future__ import annotations

from typing import Any

from plaza_core.errors import InvalidInput
from plaza_core.principal import Right
from plaza_serving.doors.asking import MAX_TEXTS, Asking
from plaza_serving.doors.exchange import Exchange
from plaza_serving.doors.problems import TEI
from plaza_serving.doors.routes import Route
from plaza_serving.doors.tei import CLASSIFY, EMBED
from plaza_serving.doors.tensors_json import dumps
from plaza_serving.plane import ModelView
from plaza_serving.reply import JSON, Reply

_LONGEST = 2_000
"""Characters a text may have where the manifest says nothing; the default of the text families."""


class AboutTextEmbeddings:
    """`slots` is how many requests a replica takes in at once, `threads` its workers."""

    def __init__(self, asking: Asking, version: str, slots: int, threads: int) -> None:
        self._ask = asking
        self._about = {
            "max_concurrent_requests": slots,
            "max_client_batch_size": MAX_TEXTS,
            "max_batch_requests": None,
            "auto_truncate": False,
            "tokenization_workers": threads,
            "version": version,
            "sha": None,
            "docker_label": None,
        }

    def routes(self) -> tuple[Route, ...]:
        read = Right.MODELS_READ
        return (
            Route("GET", "/health", None, self.health, TEI),
            Route("GET", "/info", read, self.info, TEI),
            Route("GET", "/tei/{model}/health", read, self.model_health, TEI),
            Route("GET", "/tei/{model}/info", read, self.info, TEI),
        )

    async def health(self, exchange: Exchange) -> Reply:
        healthy = self._ask.plane.live() and self._ask.plane.ready()
        return _health(healthy=healthy)

    async def model_health(self, exchange: Exchange) -> Reply:
        view = self._ask.plane.model(exchange.principal, exchange.model, None)
        return _health(healthy=view.ready)

    async def info(self, exchange: Exchange) -> Reply:
        if exchange.model:
            view = self._ask.plane.model(exchange.principal, exchange.model, None)
        else:
            view = self._ask.only(exchange, EMBED)
        return Reply(200, JSON, dumps({**_described(view), **self._about}))


def _health(*, healthy: bool) -> Reply:
    return Reply(200 if healthy else 503, JSON, dumps({"healthy": healthy}))


def _described(view: ModelView) -> dict[str, Any]:
    longest = view.manifest.options.get("max_characters", _LONGEST)
    return {
        "model_id": view.name,
        "model_sha": view.digest,
        "model_dtype": "float32",
        "model_type": _kind(view),
        "max_input_length": longest,
        "max_batch_tokens": longest * MAX_TEXTS,
    }


def _kind(view: ModelView) -> dict[str, Any]:
    if view.manifest.family == EMBED:
        return {"embedding": {"pooling": "sum"}}
    if view.manifest.family == CLASSIFY:
        numbered = {str(index): label for index, label in enumerate(view.labels)}
        return {
            "classifier": {
                "id2label": numbered,
                "label2id": {label: int(index) for index, label in numbered.items()},
            }
        }
    raise InvalidInput(f"this model is of family '{view.manifest.family}'", input="model")
