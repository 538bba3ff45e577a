"""What all task endpoints share: the fields of a JSON body, one call to the plane, its costs.

Endpoints differ in their words for the same things: model, texts, series. Who names no model means
the only one of its family that the key may use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plaza_core.errors import InvalidInput, MalformedRequest, PlazaError, UnsupportedMedia
from plaza_core.inference import Call, Outcome
from plaza_serving.doors.body import BodyReader, off_loop, parse_json
from plaza_serving.doors.exchange import Exchange
from plaza_serving.doors.fields import Fields
from plaza_serving.doors.sticky import PARAMETER, sticky_of
from plaza_serving.doors.tensors_json import dumps
from plaza_serving.naming import of_sent, renamed
from plaza_serving.plane import ModelView, Plane
from plaza_serving.reply import JSON, Header, Reply

COMMON = ("model", "version", "timeout_us", PARAMETER)
Naming = Callable[[PlazaError], PlazaError]
MAX_TEXTS = 2048
_MOST_NAMED = 5


class Asking:
    """Used by the handlers of all dialects."""

    def __init__(self, plane: Plane, bodies: BodyReader, max_depth: int) -> None:
        self.plane = plane
        self.bodies = bodies
        self._max_depth = max_depth

    def begin(self, exchange: Exchange) -> int:
        """For `infer`: a deadline counts from before the body was read."""
        return exchange.begin(self.plane.clock)

    async def fields(
        self, exchange: Exchange, *known: str, strict: bool = True, also: str = ""
    ) -> Fields:
        """Of the JSON object in the body; `strict`: others than `known` are refused. `also` says
        what else the endpoint takes."""
        media = media_of(exchange)
        if media not in {"", "application/json"}:
            taken = f"this endpoint takes application/json{also}"
            raise UnsupportedMedia(taken, input="content-type")
        body = await self.bodies.read(exchange)
        document = await off_loop(len(body), parse_json, body, self._max_depth)
        if type(document) is not dict:
            raise MalformedRequest("the body must be a JSON object", input="body")
        return Fields(document, (*COMMON, *known) if strict else None, size=len(body))

    async def infer(
        self,
        exchange: Exchange,
        started: int,
        fields: Fields,
        family: str,
        task: Any,
        *,
        named: Naming | None = None,
    ) -> Outcome:
        """The whole path. `named` puts the caller's words into an error that names a field."""
        model = self.meant(exchange, fields, family)
        timeout = fields.integer("timeout_us", low=1, default=0)
        call = Call(
            exchange.request_id,
            model,
            exchange.version if exchange.version is not None else fields.version(),
            task=task,
            family=family,
            deadline_ns=started + timeout * 1000 if timeout else None,
            age_ns=exchange.age_ns,
            sticky=sticky_of(exchange, fields.value(PARAMETER)),
        )
        try:
            return await self.plane.infer(exchange.principal, call)
        except PlazaError as error:
            told = error if named is None else named(error)
            if told is error:
                raise
            raise told from error

    def meant(self, exchange: Exchange, fields: Fields, family: str) -> str:
        """The model of the path, else of the field `model`, else the only one of the family."""
        if exchange.model:
            return exchange.model
        return fields.text("model") if fields.has("model") else self.only(exchange, family).name

    def only(self, exchange: Exchange, family: str) -> ModelView:
        """The caller's one model of `family`. Raises InvalidInput for none and for several."""
        views = self.plane.models(exchange.principal)
        found = [view for view in views if view.manifest.family == family]
        if len(found) == 1:
            return found[0]
        names = ", ".join(view.name for view in found[:_MOST_NAMED])
        said = f"there are several: {names}" if found else "there is none"
        raise InvalidInput(f"name a model of family '{family}'; {said}", input="model")


def media_of(exchange: Exchange) -> str:
    text = exchange.headers.get(b"content-type", b"").decode("latin-1")
    return text.partition(";")[0].strip().lower()


def answered(outcome: Outcome, document: Any, *more: Header) -> Reply:
    """An answer in another server's shape, with what it cost."""
    return Reply(200, JSON, dumps(document), (*cost_headers(outcome), *more))


def timed(outcome: Outcome, answer: dict[str, Any]) -> Reply:
    """An answer in the shape of this hub's own endpoints."""
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
    return answered(outcome, document)


def cost_headers(outcome: Outcome) -> tuple[Header, ...]:
    """What the request used and was charged, and what is left of its budget where that is known."""
    costs = (
        (b"x-plaza-charge", b"%d" % outcome.charge),
        (b"x-plaza-compute-us", b"%d" % outcome.compute_us),
        (b"x-plaza-host-us", b"%d" % outcome.host_us),
        (b"x-plaza-batch-rows", b"%d" % outcome.batch_rows),
    )
    left = outcome.budget_remaining
    return costs if left is None else (*costs, (b"x-plaza-budget-remaining", b"%d" % left))


def texts_of(fields: Fields, name: str) -> tuple[str, ...]:
    """One text or several. Raises InvalidInput, which says so where tokens were sent."""
    value = fields.value(name)
    first = value[0] if type(value) is list and value else None
    if type(first) is int or (type(first) is list and first and type(first[0]) is int):
        raise InvalidInput(
            "send texts: each model of this hub has a tokeniser of its own, so none takes tokens",
            input=fields.called(name),
        )
    return fields.texts(name, most=MAX_TEXTS)


def texts_named(fields: Fields, name: str) -> Naming:
    """Of a model's `texts`, which came as the field `name`."""
    return lambda error: renamed(error, "texts", of_sent(name, fields.value(name)))
