"""Errors as the admin API writes them: one JSON shape for every refusal, from whatever layer.

    {"error": "…", "code": "conflict", "input": "name", "request_id": "0190…"}

Frameworks have errors of their own (a body that does not fit, an unknown path); they are turned
into the tree of `plaza_core.errors` here, so that clients meet one shape and stable codes only.
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from plaza_core.errors import (
    InvalidInput,
    MalformedRequest,
    MethodNotAllowed,
    PayloadTooLarge,
    PlazaError,
    RouteNotFound,
)
from plaza_core.ids import RequestId
from plaza_serving.control.patterns import WORDS
from plaza_serving.doors.problems import body_of, headers_of, status_of


class Problem(BaseModel):
    """`error` is for people, `code` is stable; `input` names the offending field."""

    error: str
    code: str
    input: str | None
    request_id: str


def response_to(error: PlazaError, request_id: RequestId) -> JSONResponse:
    """The whole answer. Status, body and headers are those of the inference doors."""
    answer = JSONResponse(body_of(error, request_id), status_of(error))
    for name, value in headers_of(error):
        answer.headers[name.decode()] = value.decode()
    if isinstance(error, PayloadTooLarge):
        answer.headers["connection"] = "close"  # else the server reads the rest to throw it away
    return answer


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
    said = WORDS.get(first.get("ctx", {}).get("pattern"), first["msg"])
    return response_to(InvalidInput(said, input=where), request.state.request_id)


async def _framework_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    answer = response_to(_translate(error), request.state.request_id)
    if error.status_code == 405:
        answer.headers["allow"] = ", ".join(sorted(_methods(request)))
    return answer


def _methods(request: Request) -> set[str]:
    """What the path takes: the framework itself tells only those of the first route at it."""
    here = request.scope["path"]
    return {
        method
        for route in iter_route_contexts(request.app.routes)
        if route.path_regex.match(here)
        for method in route.methods or ()
    }


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
