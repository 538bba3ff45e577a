"""Errors as gRPC: the only map from an error class to a status code, beside the HTTP one.

The status carries the message; trailing metadata carry what machines read:

    x-request-id    x-plaza-code    x-plaza-input    retry-after (s)    x-plaza-charge

What the transport itself refuses (an unknown method, a message over the limit) has a status only.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable
from urllib.parse import quote

from grpc import StatusCode

from plaza_core import errors as e
from plaza_core.ids import RequestId
from plaza_core.keys import without_keys
from plaza_serving.doors.problems import charged, headers_of
from plaza_serving.reply import Header

log = logging.getLogger(__name__)

Metadata = tuple[tuple[str, str], ...]

CODE: dict[type[e.PlazaError], StatusCode] = {
    e.BadRequest: StatusCode.INVALID_ARGUMENT,
    e.PayloadTooLarge: StatusCode.RESOURCE_EXHAUSTED,  # what gRPC itself says of a long message
    e.Unauthenticated: StatusCode.UNAUTHENTICATED,
    e.Forbidden: StatusCode.PERMISSION_DENIED,
    e.NotFound: StatusCode.NOT_FOUND,
    e.RouteNotFound: StatusCode.UNIMPLEMENTED,
    e.MethodNotAllowed: StatusCode.UNIMPLEMENTED,
    e.Conflict: StatusCode.FAILED_PRECONDITION,
    e.IdempotencyInProgress: StatusCode.ABORTED,
    e.RateLimited: StatusCode.RESOURCE_EXHAUSTED,
    e.QuotaExceeded: StatusCode.RESOURCE_EXHAUSTED,
    e.Overloaded: StatusCode.UNAVAILABLE,
    e.Unavailable: StatusCode.UNAVAILABLE,
    e.SandboxUnavailable: StatusCode.FAILED_PRECONDITION,
    e.PoolLost: StatusCode.UNKNOWN,  # others are tried again by clients of their own accord
    e.DeadlineExceeded: StatusCode.DEADLINE_EXCEEDED,
    e.PlazaError: StatusCode.INTERNAL,
}
"""A class without an entry takes its nearest ancestor's."""

_INTERNAL = e.PlazaError("the hub failed to answer this request")


def code_of(error: e.PlazaError) -> StatusCode:
    for kind in type(error).__mro__:
        if kind in CODE:
            return CODE[kind]
    raise AssertionError("every PlazaError has an ancestor in CODE")


def details_of(error: e.PlazaError) -> str:
    """What is quoted of a request may be a key in a wrong place."""
    return without_keys(error.message)


def metadata_of(error: e.PlazaError, request_id: RequestId, *, infers: bool) -> Metadata:
    """Trailing metadata of a call that ended in `error`."""
    more = (*headers_of(error), *(charged(error) if infers else ()))
    named: Metadata = ()
    if error.input is not None:  # a tensor's name may be any text, metadata may not
        named = (("x-plaza-input", quote(without_keys(error.input), safe=" /.@-")),)
    return (("x-request-id", request_id), ("x-plaza-code", error.code), *named, *pairs(more))


def pairs(headers: Iterable[Header]) -> Metadata:
    """Headers of the HTTP doors as metadata."""
    return tuple((name.decode("ascii"), value.decode("ascii")) for name, value in headers)


def internal(error: BaseException, request_id: RequestId) -> e.PlazaError:
    """What a caller is told who met a bug; writes the log line. The message of an unknown exception
    is not logged, because it may quote the payload."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("request %s: %s\n%s", request_id, type(error).__qualname__, frames)
    return _INTERNAL
