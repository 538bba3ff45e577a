"""Errors as the admin API writes them: one JSON shape for every refusal, from whatever layer.

    {"error": {"code", "message", "input", "request_id", "retry_after"?}}

Frameworks have errors of their own (a body that does not fit, an unknown path); they are turned
into the tree of `plaza_core.errors` here, so that clients meet one shape and stable codes only.
"""

from __future__ import annotations

import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from plaza_core.errors import (
    BadRequest,
    Conflict,
    DeadlineExceeded,
    Forbidden,
    InvalidInput,
    InvalidTensor,
    MalformedRequest,
    MethodNotAllowed,
    ModelFailed,
    NotFound,
    Overloaded,
    PayloadTooLarge,
    PlazaError,
    QuotaExceeded,
    RateLimited,
    RouteNotFound,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
)

_STATUS: dict[type[PlazaError], int] = {
    PlazaError: 500,
    BadRequest: 400,
    MalformedRequest: 400,
    InvalidTensor: 400,
    PayloadTooLarge: 413,
    UnsupportedMedia: 415,
    InvalidInput: 422,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    Conflict: 409,
    RateLimited: 429,
    QuotaExceeded: 429,
    Overloaded: 503,
    Unavailable: 503,
    DeadlineExceeded: 504,
    ModelFailed: 500,
}


class Refusal(BaseModel):
    """`code` is stable; `input` names the offending field; `retry_after` is in seconds."""

    code: str
    message: str
    input: str | None
    request_id: str
    retry_after: float | None = None


class Problem(BaseModel):
    error: Refusal


def status_of(error: PlazaError) -> int:
    """The status of the nearest listed class."""
    return next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)


def response_to(error: PlazaError, request_id: str) -> JSONResponse:
    """The whole answer, with the headers that belong to its status."""
    body: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "input": error.input,
        "request_id": request_id,
    }
    headers = {}
    if error.retry_after is not None:
        body["retry_after"] = error.retry_after
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    if isinstance(error, Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, PayloadTooLarge):
        headers["connection"] = "close"  # else the server reads the rest to throw it away
    return JSONResponse({"error": body}, status_of(error), headers)


def install(app: FastAPI) -> None:
    """Answer every error that a route or the framework raises. The unforeseen ones are answered
    by `context.RequestContext`, which is outermost."""
    app.add_exception_handler(PlazaError, _plaza_error)
    app.add_exception_handler(RequestValidationError, _does_not_fit)
    app.add_exception_handler(HTTPException, _framework_error)


async def _plaza_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PlazaError)
    return response_to(error, request.state.request_id)


async def _does_not_fit(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return response_to(MalformedRequest("the body is not JSON"), request.state.request_id)
    where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return response_to(InvalidInput(first["msg"], input=where), request.state.request_id)


async def _framework_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    answer = response_to(_translate(error), request.state.request_id)
    if error.status_code == 405 and error.headers and "Allow" in error.headers:
        answer.headers["allow"] = error.headers["Allow"]
    return answer


def _translate(error: HTTPException) -> PlazaError:
    if isinstance(error.__cause__, PlazaError):  # raised while the framework read the body
        return error.__cause__
    match error.status_code:
        case 404:
            return RouteNotFound("there is nothing at this path")
        case 405:
            return MethodNotAllowed("this path does not take this method")
        case status if 400 <= status < 500:
            return MalformedRequest("the body cannot be read")
    return PlazaError("the request failed here; the log knows more")
