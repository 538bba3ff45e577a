"""The endpoints for pictures: detections of one, counts of a sequence, faults of either.

Thin on purpose: what a picture must be, and what is drawn on it, is the family's business.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any
from urllib.parse import parse_qsl

from plaza_core.errors import InvalidInput
from plaza_core.principal import Right
from plaza_models.tasks import DetectTask
from plaza_models.vision.tasks import Counted, CountTask, Line, Quality, QualityTask, Zone
from plaza_serving.doors import vision_answers as answers
from plaza_serving.doors.accept import JSON, form_of
from plaza_serving.doors.asking import COMMON, Asking, cost_headers, media_of, timed
from plaza_serving.doors.body import off_loop
from plaza_serving.doors.exchange import Exchange
from plaza_serving.doors.fields import Fields
from plaza_serving.doors.routes import Route
from plaza_serving.naming import renamed
from plaza_serving.reply import Reply

PICTURES = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
_OR_PICTURES = f", {', '.join(PICTURES[:3])}"
MAX_DETECTIONS = 1000
MAX_FPS = 1000
_QUALITY = "vision.quality"
_PLACE = ("longitude", "latitude")
_ASKED = ("threshold", "max_detections", *_PLACE)
_COUNTED = ("images", "fps", "lines", "zones", "metres_per_pixel", "ground", "threshold", "state")


class Vision:
    """Handlers of `/v1/vision/…`."""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("POST", "/v1/vision/detect", Right.INFER, self.detect),
            Route("POST", "/v1/vision/count", Right.INFER, self.count),
            Route("POST", "/v1/vision/quality", Right.INFER, self.quality),
        )

    async def detect(self, exchange: Exchange) -> Reply:
        started = self._ask.begin(exchange)
        form = form_of(exchange.headers.get(b"accept", b""), answers.FORMS)
        if media_of(exchange) in PICTURES:
            fields, picture = await self._raw(exchange, *_ASKED)
        else:
            fields = await self._ask.fields(exchange, "image", *_ASKED, also=_OR_PICTURES)
            picture = await off_loop(fields.size, _picture, fields.text("image"), "image")
            _require(picture, "image")
        place = _place(fields)
        if form == answers.GEOJSON and place is None:
            raise InvalidInput("GeoJSON takes the camera's place", input="longitude")
        task = DetectTask(
            picture,
            fields.number("threshold", low=0, high=1),
            fields.integer("max_detections", low=1, high=MAX_DETECTIONS, default=300),
            answers.DRAWN.get(form),
        )
        outcome = await self._ask.infer(exchange, started, fields, "vision.detect", task)
        if form == JSON:
            return timed(outcome, answers.plain(outcome.answer))
        return answers.written(form, outcome, place, cost_headers(outcome))

    async def count(self, exchange: Exchange) -> Reply:
        started = self._ask.begin(exchange)
        form = form_of(exchange.headers.get(b"accept", b""), answers.FORMS_OF_SEQUENCES)
        fields = await self._ask.fields(exchange, *_COUNTED)
        fps = fields.number("fps", low=0, high=MAX_FPS)
        if fps is None:
            raise InvalidInput("fps must be a number", input="fps")
        task = CountTask(
            await off_loop(fields.size, _pictures, fields.value("images")),
            fps,
            tuple(Line(n, *p) for n, p in _shapes(fields, "lines", ("start", "end"))),
            tuple(Zone(n, p) for n, (p,) in _shapes(fields, "zones", ("points",))),
            fields.number("metres_per_pixel", low=0, high=1000),
            _rows(fields.value("ground") or [], 4, "ground"),
            fields.number("threshold", low=0, high=1),
            fields.text("state") if fields.has("state") else None,
            answers.DRAWN.get(form),
        )
        outcome = await self._ask.infer(exchange, started, fields, "vision.detect", task)
        found: Counted = outcome.answer
        if found.picture is not None:
            return answers.picture(form, found.picture, cost_headers(outcome))
        return timed(outcome, answers.without_picture(found))

    async def quality(self, exchange: Exchange) -> Reply:
        started = self._ask.begin(exchange)
        form = form_of(exchange.headers.get(b"accept", b""), answers.FORMS_OF_SEQUENCES)
        if media_of(exchange) in PICTURES:
            fields, picture = await self._raw(exchange)
            pictures: tuple[bytes, ...] = (picture,)
        else:
            fields = await self._ask.fields(exchange, "images", also=_OR_PICTURES)
            pictures = await off_loop(fields.size, _pictures, fields.value("images"))
        task = QualityTask(pictures, answers.DRAWN.get(form))
        sent = "images[0]" if fields.has("images") else "image"
        outcome = await self._ask.infer(
            exchange, started, fields, _QUALITY, task,
            named=lambda error: renamed(error, "image", lambda _: sent),
        )  # fmt: skip
        found: Quality = outcome.answer
        if found.picture is not None:
            return answers.judged(form, found, found.picture, cost_headers(outcome))
        return timed(outcome, answers.without_picture(found))

    async def _raw(self, exchange: Exchange, *known: str) -> tuple[Fields, bytes]:
        """The picture is the body; the fields are in the query."""
        pairs = parse_qsl(exchange.scope["query_string"].decode("latin-1"))
        picture = await self._ask.bodies.read(exchange)
        fields = Fields.of_query(pairs, known=(*COMMON, *known))
        _require(picture, "image")
        return fields, picture


def _place(fields: Fields) -> tuple[float, float] | None:
    longitude = fields.number("longitude", low=-180, high=180)
    latitude = fields.number("latitude", low=-90, high=90)
    if (longitude is None) != (latitude is None):
        missing = _PLACE[latitude is None]
        raise InvalidInput("a place has a longitude and a latitude", input=missing)
    return None if longitude is None or latitude is None else (longitude, latitude)


def _pictures(value: Any) -> tuple[bytes, ...]:
    if type(value) is not list or not value or not all(type(each) is str for each in value):
        raise InvalidInput("images must be a list of pictures in base64", input="images")
    return tuple(_picture(each, "images") for each in value)


def _require(picture: bytes, name: str) -> None:
    if not picture:
        raise InvalidInput("there is no picture", input=name)


def _picture(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        message = f"{name} must be base64, without a data: prefix"
        raise InvalidInput(message, input=name) from None


def _shapes(fields: Fields, name: str, parts: tuple[str, ...]) -> list[tuple[str, tuple[Any, ...]]]:
    """Named points: a list of objects with a name and `parts`, one point each or a list of them."""
    value = fields.value(name) or []
    if type(value) is not list:
        raise InvalidInput(f"{name} must be a list", input=name)
    found = []
    for each in value:
        if type(each) is not dict or set(each) != {"name", *parts} or type(each["name"]) is not str:
            raise InvalidInput(f"each of {name} has name, {', '.join(parts)}", input=name)
        rows = [_rows(each[part] if part == "points" else [each[part]], 2, name) for part in parts]
        points = (rows[0],) if parts == ("points",) else tuple(row[0] for row in rows)
        found.append((each["name"], points))
    return found


def _rows(value: Any, width: int, name: str) -> tuple[Any, ...]:
    """Lists of `width` finite numbers."""
    if type(value) is not list or not all(type(row) is list and len(row) == width for row in value):
        raise InvalidInput(f"{name} takes points of {width} numbers", input=name)
    for row in value:
        for number in row:
            if type(number) not in {int, float} or not math.isfinite(number):
                raise InvalidInput(f"{name} takes points of {width} numbers", input=name)
    return tuple(tuple(map(float, row)) for row in value)
