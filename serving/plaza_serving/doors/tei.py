"""The dialect of text-embeddings-inference: embed, similarity, rerank, predict, info, health.

That server holds one model, so its clients name none: their base address does it here,
`/tei/{model}`. Without it, at the root, the field `model` is read, else the only model of the
family is meant that the key may use.

    /embed       text.embed      vectors; `normalize` false gives them as the model does
    /similarity  text.embed      cosines of one sentence with others
    /rerank      text.embed      no family here reads a query and a text together, so a text's score
                                 is the cosine of its vector with the query's, `raw_scores` or not
    /predict     text.classify   probabilities of all labels; with `raw_scores` what the model gave
    POST /tei/{model}            what the model's family can do, by what the body has

`truncate` drops words from the end, or with `truncation_direction` `Left` from the beginning. Pairs
of sentences, prompts and tokens are refused. Fields that are not known are ignored, as there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np

from plaza_core.errors import InvalidInput, PayloadTooLarge, PlazaError
from plaza_core.inference import Outcome
from plaza_core.principal import Right
from plaza_models.tasks import Classified, ClassifyTask, Cut, Embedded, EmbedTask
from plaza_serving.doors.asking import MAX_TEXTS, Asking, Naming, answered, texts_named, texts_of
from plaza_serving.doors.body import off_loop
from plaza_serving.doors.exchange import Exchange
from plaza_serving.doors.fields import Fields
from plaza_serving.doors.openai import check_dimensions
from plaza_serving.doors.problems import TEI
from plaza_serving.doors.routes import Handler, Route
from plaza_serving.naming import of_sent, renamed
from plaza_serving.reply import Header, Reply

EMBED, CLASSIFY = "text.embed", "text.classify"
_ALL_LABELS = 1 << 20


class TextEmbeddings:
    """Handlers of `/tei/{model}/…` and of the same verbs at the root."""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking

    def routes(self) -> tuple[Route, ...]:
        verbs: dict[str, Handler] = {
            "embed": self.embed,
            "similarity": self.similarity,
            "rerank": self.rerank,
            "predict": self.predict,
        }
        return tuple(self._routes(verbs))

    def _routes(self, verbs: dict[str, Handler]) -> Iterator[Route]:
        yield Route("POST", "/tei/{model}", Right.INFER, self.whatever, TEI)
        for name, handler in verbs.items():
            for head in ("", "/tei/{model}"):
                yield Route("POST", f"{head}/{name}", Right.INFER, handler, TEI)

    async def whatever(self, exchange: Exchange) -> Reply:
        """What the model is for: clients of hosted endpoints send everything to one address."""
        family = self._ask.plane.model(exchange.principal, exchange.model, None).manifest.family
        if family == CLASSIFY:
            return await self.predict(exchange)
        started = self._ask.begin(exchange)
        fields = await self._fields(exchange)
        if fields.has("query"):
            return await self._rerank(exchange, started, fields)
        if type(fields.value("inputs")) is dict:
            return await self._similarity(exchange, started, fields)
        return await self._embed(exchange, started, fields)

    async def embed(self, exchange: Exchange) -> Reply:
        started = self._ask.begin(exchange)
        return await self._embed(exchange, started, await self._fields(exchange))

    async def similarity(self, exchange: Exchange) -> Reply:
        started = self._ask.begin(exchange)
        return await self._similarity(exchange, started, await self._fields(exchange))

    async def rerank(self, exchange: Exchange) -> Reply:
        started = self._ask.begin(exchange)
        return await self._rerank(exchange, started, await self._fields(exchange))

    async def predict(self, exchange: Exchange) -> Reply:
        started = self._ask.begin(exchange)
        fields = await self._fields(exchange)
        inputs = fields.value("inputs")
        texts, alone = _sentences(inputs)
        task = ClassifyTask(texts, _ALL_LABELS, raw=fields.flag("raw_scores"), cut=_cut(fields))
        inner = "" if alone else "[0]"
        outcome = await self._ask.infer(
            exchange,
            started,
            fields,
            CLASSIFY,
            task,
            named=lambda error: _sentence(error, inputs, inner),
        )
        answer: Classified = outcome.answer
        lists = [[{"label": one.label, "score": one.score} for one in r] for r in answer.results]
        return answered(outcome, lists[0] if alone else lists, *_times(outcome, texts))

    # ── inside ───────────────────────────────────────────────────────────────────────────────────
    async def _embed(self, exchange: Exchange, started: int, fields: Fields) -> Reply:
        texts = texts_of(fields, "inputs")
        if fields.has("dimensions"):
            model = self._ask.meant(exchange, fields, EMBED)
            wanted = fields.integer("dimensions", low=1)
            version = exchange.version or fields.version()
            check_dimensions(self._ask.plane, exchange, model, version, wanted)
        normalise = fields.flag("normalize", default=True)
        outcome, vectors = await self._vectors(
            exchange,
            started,
            fields,
            EmbedTask(texts, normalise, _cut(fields)),
            texts_named(fields, "inputs"),
        )
        return await off_loop(
            vectors.nbytes, answered, outcome, list(vectors), *_times(outcome, texts)
        )

    async def _similarity(self, exchange: Exchange, started: int, fields: Fields) -> Reply:
        inputs = fields.value("inputs")
        if type(inputs) is not dict:
            raise InvalidInput("inputs must have source_sentence and sentences", input="inputs")
        asked = Fields(inputs, None, inside="inputs.")
        texts = (asked.text("source_sentence"), *_several(asked, "sentences"))
        parameters = fields.value("parameters")
        how = fields
        if type(parameters) is dict:
            how = Fields(parameters, None, inside="parameters.")
        outcome, vectors = await self._vectors(
            exchange,
            started,
            fields,
            EmbedTask(texts, cut=_cut(how)),
            _behind("inputs", "inputs.source_sentence", "inputs.sentences"),
        )
        return answered(outcome, vectors[1:] @ vectors[0], *_times(outcome, texts))

    async def _rerank(self, exchange: Exchange, started: int, fields: Fields) -> Reply:
        texts = _several(fields, "texts")
        with_text = fields.flag("return_text")
        fields.flag("raw_scores")  # a cosine has no other form
        whole = (fields.text("query"), *texts)
        outcome, vectors = await self._vectors(
            exchange,
            started,
            fields,
            EmbedTask(whole, cut=_cut(fields)),
            _behind("texts", "query", "texts"),
        )
        scores = vectors[1:] @ vectors[0]
        ranks = [
            {"index": index, "score": float(scores[index])}
            | ({"text": texts[index]} if with_text else {})
            for index in np.argsort(-scores, kind="stable").tolist()
        ]
        return answered(outcome, ranks, *_times(outcome, whole))

    async def _vectors(
        self, exchange: Exchange, started: int, fields: Fields, task: EmbedTask, named: Naming
    ) -> tuple[Outcome, Any]:
        outcome = await self._ask.infer(exchange, started, fields, EMBED, task, named=named)
        return outcome, cast("Embedded", outcome.answer).vectors

    async def _fields(self, exchange: Exchange) -> Fields:
        fields = await self._ask.fields(exchange, strict=False)
        if fields.has("prompt_name"):
            raise InvalidInput("models of this hub have no prompts", input="prompt_name")
        return fields


def _cut(fields: Fields) -> Cut:
    direction = fields.choice("truncation_direction", ("Right", "Left", "right", "left"))
    if not fields.flag("truncate"):
        return "no"
    return "beginning" if direction.lower() == "left" else "end"


def _several(fields: Fields, name: str) -> tuple[str, ...]:
    value = fields.value(name)
    if type(value) is list and len(value) >= MAX_TEXTS:
        raise PayloadTooLarge(
            f"{name} has more than {MAX_TEXTS - 1} texts", input=fields.called(name)
        )
    if type(value) is not list:
        raise InvalidInput(f"{name} must be a list of strings", input=fields.called(name))
    return texts_of(fields, name)


def _sentences(inputs: Any) -> tuple[tuple[str, ...], bool]:
    """The texts of `inputs`, and whether it is one by itself, whose answer is not in a list."""
    if type(inputs) is str:
        return (inputs,), True
    if type(inputs) is not list or not inputs:
        raise InvalidInput("inputs must be a text, or a list of lists of one text", input="inputs")
    if len(inputs) > MAX_TEXTS:
        raise PayloadTooLarge(f"inputs has more than {MAX_TEXTS} texts", input="inputs")
    alone = type(inputs[0]) is str
    batch = [inputs] if alone else inputs
    for sentence in batch:
        if type(sentence) is not list or set(map(type, sentence)) != {str}:
            raise InvalidInput("each of a batch must be a list of one text", input="inputs")
        if len(sentence) != 1:
            raise InvalidInput(
                "models of this hub read one text at a time: for several send [[…], […]]",
                input="inputs",
            )
    return tuple(sentence[0] for sentence in batch), alone


def _sentence(error: PlazaError, inputs: Any, inner: str) -> PlazaError:
    """`inner`: where in each of a batch its text is."""
    words = of_sent("inputs", inputs)
    return renamed(error, "texts", lambda at: words(at) + ("" if at is None else inner))


def _behind(whole: str, first: str, others: str) -> Naming:
    """Of texts the first of which came as a field of its own."""

    def words(place: int | None) -> str:
        if place is None:
            return whole
        return f"{others}[{place - 1}]" if place else first

    return lambda error: renamed(error, "texts", words)


def _times(outcome: Outcome, texts: tuple[str, ...]) -> tuple[Header, ...]:
    """Milliseconds, under that server's names."""
    timing = outcome.timing
    phases = {
        b"x-tokenization-time": timing.prepare_us,
        b"x-queue-time": timing.queue_us,
        b"x-inference-time": timing.run_us,
        b"x-total-time": sum(
            (timing.prepare_us, timing.queue_us, timing.run_us, timing.interpret_us)
        ),
    }
    told = [(name, b"%d" % (us // 1000)) for name, us in phases.items()]
    if isinstance(outcome.answer, Embedded):
        told.append((b"x-compute-tokens", b"%d" % outcome.answer.tokens))
    return (*told, (b"x-compute-characters", b"%d" % sum(map(len, texts))))
