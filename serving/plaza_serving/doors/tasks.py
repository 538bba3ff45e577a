"""The hub's own task endpoints for texts: fields of a JSON body to a payload.

Thin on purpose: what a text must be is the family's business. Pictures: `vision.py`, series:
`series.py`.
"""

from __future__ import annotations

from plaza_core.principal import Right
from plaza_models.tasks import (
    Classified,
    ClassifyTask,
)
from plaza_serving.doors.asking import Asking, texts_named, texts_of, timed
from plaza_serving.doors.exchange import Exchange
from plaza_serving.doors.routes import Route
from plaza_serving.reply import Reply


class Tasks:
    """Handlers of `/v1/text/…`."""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking

    def routes(self) -> tuple[Route, ...]:
        return (Route("POST", "/v1/text/classify", Right.INFER, self.classify),)

    async def classify(self, exchange: Exchange) -> Reply:
        started = self._ask.begin(exchange)
        fields = await self._ask.fields(exchange, "input", "top_k")
        texts = texts_of(fields, "input")
        task = ClassifyTask(texts, fields.integer("top_k", low=1, default=3))
        named = texts_named(fields, "input")
        outcome = await self._ask.infer(
            exchange, started, fields, "text.classify", task, named=named
        )
        answer: Classified = outcome.answer
        results = [
            [{"label": one.label, "score": one.score} for one in labels]
            for labels in answer.results
        ]
        return timed(outcome, {"results": results})
