"""Errors as HTTP: the only map from an error class to a status, and the JSON shapes.

    {"error": "…", "code": "invalid_tensor", "input": "x", "request_id": "0190…"}

`error` is prose and may change; `code` is stable. Endpoints in the dialect of another server word
`error` as that one does (`Wording`); the other three fields are there all the same. What is not a
PlazaError becomes `internal` with a fixed text; its type and frames go to the log with the request
id. The message of an unknown exception is not logged, because it may quote the payload.
"""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import orjson

from plaza_core import errors as e
from plaza_core.ids import RequestId
from plaza_core.keys import without_keys
from plaza_serving.reply import JSON, Header, Reply

log = logging.getLogger(__name__)

STATUS: dict[type[e.PlazaError], int] = {
    e.BadRequest: 400,
    e.PayloadTooLarge: 413,
    e.UnsupportedMedia: 415,
    e.InvalidInput: 422,
    e.Unauthenticated: 401,
    e.Forbidden: 403,
    e.NotFound: 404,
    e.MethodNotAllowed: 405,
    e.Conflict: 409,
    e.RateLimited: 429,
    e.QuotaExceeded: 429,
    e.Overloaded: 503,
    e.Unavailable: 503,
    e.PoolLost: 502,
    e.DeadlineExceeded: 504,
    e.PlazaError: 500,
}
"""A class without an entry takes its nearest ancestor's."""

RETRY_AFTER_S = 1
"""Told to those who may try again soon when the error names no time of its own."""

_TRY_AGAIN = (e.RateLimited, e.Overloaded, e.Unavailable)
_INTERNAL = e.PlazaError("the hub failed to answer this request")


Body = dict[str, Any]


class Wording(NamedTuple):
    """How errors of one dialect are told. `statuses` goes before `STATUS`."""

    worded: Callable[[e.PlazaError, Body], Body]
    """The fields that take the place of `error`, or come beside it."""
    statuses: Mapping[type[e.PlazaError], int] = {}


_T = TypeVar("_T")


def _nearest(table: Mapping[type[e.PlazaError], _T], error: e.PlazaError) -> _T | None:
    return next((table[kind] for kind in type(error).__mro__ if kind in table), None)


PLAZA = Wording(lambda _, body: body)

_OPENAI_KINDS: dict[type[e.PlazaError], str] = {
    e.BadRequest: "invalid_request_error",
    e.NotFound: "invalid_request_error",
    e.MethodNotAllowed: "invalid_request_error",
    e.Conflict: "invalid_request_error",
    e.Unauthenticated: "authentication_error",
    e.Forbidden: "permission_error",
    e.RateLimited: "rate_limit_error",
    e.QuotaExceeded: "insufficient_quota",
    e.PlazaError: "server_error",
}


def _as_openai(error: e.PlazaError, body: Body) -> Body:
    said = {"message": body["error"], "type": _nearest(_OPENAI_KINDS, error)}
    return {**body, "error": {**said, "param": body["input"], "code": body["code"]}}


OPENAI = Wording(_as_openai)
"""`{"error": {"message", "type", "param", "code"}}`, which KServe's forecasts use too."""

_TEI_KINDS: dict[type[e.PlazaError], str] = {
    e.BadRequest: "Validation",
    e.Unauthenticated: "Validation",
    e.Forbidden: "Validation",
    e.NotFound: "Validation",
    e.MethodNotAllowed: "Validation",
    e.Conflict: "Validation",
    e.RateLimited: "Overloaded",
    e.QuotaExceeded: "Overloaded",
    e.Overloaded: "Overloaded",
    e.Unavailable: "Unhealthy",
    e.PlazaError: "Backend",
}


def _as_tei(error: e.PlazaError, body: Body) -> Body:
    return {**body, "error_type": _nearest(_TEI_KINDS, error)}


TEI = Wording(_as_tei, {e.ModelFailed: 424, e.Overloaded: 429})
"""`{"error", "error_type"}` of text-embeddings-inference."""


def status_of(error: e.PlazaError, wording: Wording = PLAZA) -> int:
    status = _nearest(wording.statuses, error) or _nearest(STATUS, error)
    assert status is not None, "every PlazaError has an ancestor in STATUS"
    return status


def body_of(error: e.PlazaError, request_id: RequestId, wording: Wording = PLAZA) -> Body:
    """What is quoted of a request (a field's or a model's name) may be a key in a wrong place."""
    body = {
        "error": without_keys(error.message),
        "code": error.code,
        "input": None if error.input is None else without_keys(error.input),
        "request_id": request_id,
    }
    return wording.worded(error, body)


def headers_of(error: e.PlazaError) -> tuple[Header, ...]:
    """Retry-After in whole seconds, rounded up, where trying again can help; the 401 challenge."""
    if isinstance(error, e.Unauthenticated):
        return ((b"www-authenticate", b"Bearer"),)
    if error.retry_after is not None:
        return ((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))),)
    if isinstance(error, _TRY_AGAIN) and not isinstance(error, e.SandboxUnavailable):
        return ((b"retry-after", b"%d" % RETRY_AFTER_S),)
    return ()


def charged(error: e.PlazaError) -> tuple[Header, ...]:
    """What an inference that ended in `error` was charged, where that is certain: a refused or
    failed one nothing. A late one may have been running, one that another pool lost too: what it
    is charged is not known yet."""
    if isinstance(error, e.DeadlineExceeded | e.PoolLost):
        return ()
    return ((b"x-plaza-charge", b"0"),)


def problem(
    error: e.PlazaError, request_id: RequestId, *more: Header, wording: Wording | None = None
) -> Reply:
    """The answer to a request that ended in `error`."""
    wording = wording or PLAZA
    body = orjson.dumps(body_of(error, request_id, wording))
    return Reply(status_of(error, wording), JSON, body, (*headers_of(error), *more))


def internal(error: BaseException, request_id: RequestId, wording: Wording | None = None) -> Reply:
    """The answer to a request that met a bug; writes the log line."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("request %s: %s\n%s", request_id, type(error).__qualname__, frames)
    return problem(_INTERNAL, request_id, wording=wording)
