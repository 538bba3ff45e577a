"""What surrounds every request: its id, the limit on its body, its log line, its last resort.

Outermost, and plain ASGI: a middleware that buffers would hide disconnects and break streams. Log
lines hold ids, the route's template and numbers; never a body, a key or a query.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import unquote_plus

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plaza_core.clock import Clock
from plaza_core.errors import MalformedRequest, PayloadTooLarge, PlazaError
from plaza_core.ids import RandomBytes, new_request_id
from plaza_core.keys import holds_key
from plaza_serving.control.problems import response_to

logger = logging.getLogger(__name__)

_REST_BYTES = 16 << 20
_REST_S = 2.0
_KEY_IN_URL = MalformedRequest(
    "a key belongs in the Authorization header, never in a URL", input="authorization"
)

BodyLimit = Callable[[str], int]
"""Path -> most bytes of a body."""


class RequestContext:
    def __init__(
        self, app: ASGIApp, *, clock: Clock, random: RandomBytes, body_limit: BodyLimit
    ) -> None:
        self._app = app
        self._clock = clock
        self._random = random
        self._body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = self._clock.monotonic_ns()
        request_id = new_request_id(self._clock.unix_us() // 1000, self._random)
        scope.setdefault("state", {})["request_id"] = request_id
        status: list[int] = []

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                status.append(message["status"])
                if message["status"] == 413:
                    await _let_finish(receive)
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                headers["x-content-type-options"] = "nosniff"
                headers.setdefault("cache-control", "no-store")
            await send(message)

        limited = _limited(receive, self._body_limit(scope["path"]))
        app = self._app if not _key_in_url(scope) else response_to(_KEY_IN_URL, request_id)
        try:
            await app(scope, limited, answer)
        except ClientDisconnect:
            logger.info("client left", extra={"request_id": request_id})
        except Exception:
            # The last resort of the whole API: whatever it is, it becomes one shape and one line.
            logger.exception("request failed", extra={"request_id": request_id})
            if not status:
                error = PlazaError("the request failed here; the log knows more")
                await response_to(error, request_id)(scope, limited, answer)
        finally:
            elapsed = (self._clock.monotonic_ns() - started) // 1000
            logger.log(_level(scope), "request", extra=_facts(scope, request_id, status, elapsed))


def _key_in_url(scope: Scope) -> bool:
    """URLs end up in logs of whoever stands in between, and paths in names of files."""
    return holds_key(scope["path"]) or holds_key(unquote_plus(scope["query_string"].decode()))


def _limited(receive: Receive, limit: int) -> Receive:
    """`receive` that counts, because a header may say anything."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > limit:
                raise PayloadTooLarge(f"the body is larger than {limit} bytes")
        return message

    return counted


async def _let_finish(receive: Receive) -> None:
    """Throw away what a client still sends of a refused body, within bounds.

    Closing under a client that is sending resets the connection, and the refusal is lost with it.
    """
    left = _REST_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(_REST_S):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def _level(scope: Scope) -> int:
    """Heartbeats and polls come every second from every replica."""
    return logging.DEBUG if scope["path"].startswith("/internal/") else logging.INFO


def _facts(scope: Scope, request_id: str, status: list[int], elapsed_us: int) -> dict[str, Any]:
    route = scope.get("route")
    return {
        "request_id": request_id,
        "method": scope["method"],
        "route": getattr(route, "path_format", None),
        "status": status[0] if status else None,
        "elapsed_us": elapsed_us,
        "key": scope["state"].get("key"),
    }
