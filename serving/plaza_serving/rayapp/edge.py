"""The bypass: answer in front of Ray Serve's per-request code, in the replica's own HTTP server.

Ray Serve calls `middlewares` in every process that opens an HTTP server (replicas and the
fallback proxy) and puts the result outermost. Where a door is registered it answers what it owns;
`/-/` paths (health, routes) and processes without a door pass through. What has come whole does
not even get here: `protocol`, installed by the same call, starts it at the door. Why and how much
it pays: docs/decisions/0003-bypass.md, 0043-whole-answers.md.

Request headers by which Ray Serve lets clients change timeouts or pick replicas are removed on the
way through; so is the per-request disconnect watcher, because the door watches for itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.middleware import Middleware

from plaza_serving.rayapp import protocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from plaza_serving.doors.http import HttpDoor

_RAY_HEADERS = frozenset(
    {
        b"x-request-timeout-seconds",
        b"x-request-disconnect-disabled",
        b"serve_multiplexed_model_id",
        b"x-session-id",
    }
)
_NO_WATCHER = (b"x-request-disconnect-disabled", b"?1")

_door: HttpDoor | None = None


def register(door: HttpDoor | None) -> None:
    """Set the door of this process; None takes it away before the plane closes."""
    global _door  # noqa: PLW0603 Ray offers no other path from a replica to its HTTP server
    _door = door


def _owner(scope: Scope) -> protocol.App | None:
    door = _door
    return door.answer if door is not None and door.owns(scope) else None


class Edge:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _owner(scope)
        if answer is not None:
            await answer(scope, receive, send)
            return
        if scope["type"] == "http":
            headers = [h for h in scope["headers"] if h[0] not in _RAY_HEADERS]
            scope = {**scope, "headers": [*headers, _NO_WATCHER]}
            send = _with_one_request_id(send)
        await self._app(scope, receive, send)


def _with_one_request_id(send: Send) -> Send:
    """Ray Serve appends a request id of its own (or the client's) behind the door's: drop it."""

    async def relay(message: Message) -> None:
        if message["type"] == "http.response.start":
            ids = [h for h in message["headers"] if h[0].lower() == b"x-request-id"]
            for extra in ids[1:]:
                message["headers"].remove(extra)
        await send(message)

    return relay


def middlewares() -> list[Middleware]:
    """Named by `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`."""
    protocol.install(_owner)
    return [Middleware(Edge)]
