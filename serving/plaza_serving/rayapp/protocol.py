"""Requests that have come whole start at the door at once: a protocol of uvicorn's, shortened.

    bytes ─▶ parser ─▶ whole, and for the door? ── yes ──▶ the door's task ──▶ one write (`whole`)
                                                 └─ no ──▶ uvicorn's way to Ray Serve's application

Small requests arrive in one piece. What uvicorn and Ray Serve build around each of them costs more
than the parser does: an event, eighteen fields, a layer that reads `X-Forwarded-For`, another that
passes on what is not the door's; so do two writes of an answer and a timer for each
(docs/decisions/0043-whole-answers.md). Whatever is rare goes their way untouched, in the same turn
of the loop: a body in pieces, a request behind one that is not yet answered, `Expect`, an upgrade,
HTTP/1.0, a connection that is to close, a server that logs each request.

All that is known here of uvicorn's insides is inherited from it or named in `_KNOWN`: where a
release lacks one of these nothing is installed, and the test of it fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from inspect import isfunction
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.config import HTTP_PROTOCOLS
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from plaza_serving.reply import BODY, WHOLE, Header

App = Callable[[Any, Any, Any], Awaitable[None]]
"""An application of ASGI."""
Owner = Callable[[dict[str, Any]], App | None]
"""Who answers a request with this scope; None: not the door. The scope has what doors read: type,
method, path, query string, headers, and as `client` the peer itself, whatever it forwards."""

_JOINED_BYTES = 1 << 16
"""Up to here it is cheaper to copy a body behind its head than to hand over two pieces."""
_NAMED = b": ".join
_KNOWN = {
    HttpToolsProtocol: {
        "_start_asgi_task", "_unset_keepalive_if_required", "access_log", "client",
        "connection_lost", "connection_made", "cycle", "data_received", "expect_100_continue",
        "flow", "headers", "limit_concurrency", "logger", "loop", "on_body",
        "on_headers_complete", "on_message_begin", "on_message_complete", "on_response_complete",
        "parser", "pipeline", "root_path", "scope", "server_state", "timeout_keep_alive",
        "timeout_keep_alive_handler", "timeout_keep_alive_task", "transport", "url",
    },
    RequestResponseCycle: {
        "access_log", "body", "chunked_encoding", "default_headers", "disconnected",
        "expected_content_length", "flow", "keep_alive", "logger", "message_event", "more_body",
        "on_response", "receive", "response_complete", "response_started", "run_asgi", "scope",
        "send", "transport", "waiting_for_100_continue",
    },
}  # fmt: skip


class Cycle(RequestResponseCycle):
    """One request that has come whole. What few of them change is the class's until they do."""

    access_log = waiting_for_100_continue = False
    disconnected = response_started = response_complete = False
    keep_alive = True
    chunked_encoding = None
    expected_content_length = 0
    scope: Any
    body: Any = b""
    more_body = True
    """Until the body was asked for."""

    def __init__(self, protocol: Direct, scope: Any) -> None:
        self.scope = scope
        self.transport = protocol.transport
        self.flow = protocol.flow
        self.logger = protocol.logger
        self.default_headers = protocol.server_state.default_headers
        self.message_event = asyncio.Event()
        self.on_response = protocol.on_response_complete

    async def receive(self) -> Any:
        """The body first. Whoever asks again waits until the client has left or has its answer."""
        if self.more_body and not (self.disconnected or self.response_complete):
            self.more_body = False
            body, self.body = self.body, b""
            return {"type": "http.request", "body": body, "more_body": False}
        return await super().receive()

    def whole(self, status: int, headers: Sequence[Header], body: bytes) -> bool:
        """Send a whole answer in one write: the bytes that uvicorn makes of the two messages.

        False: nothing was sent and the usual messages must be. `headers`, in lower case, name the
        length of the body and not the connection. Raises ValueError for one that would end the
        head."""
        if (
            self.response_started
            or self.flow.write_paused
            or not self.keep_alive
            or self.scope["method"] == "HEAD"
        ):
            return False
        if self.disconnected:
            return True
        lines = [STATUS_LINE[status][:-2], *map(_NAMED, (*self.default_headers, *headers))]
        head = b"\r\n".join(lines)
        if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1:
            raise ValueError("a header of the answer holds a line break")
        self.response_started = self.response_complete = True
        if len(body) > _JOINED_BYTES:
            self.transport.writelines((head + b"\r\n\r\n", body))
        else:
            self.transport.write(b"%b\r\n\r\n%b" % (head, body))
        del self.scope[WHOLE]  # which led back here: nothing is left for the garbage collector
        self.message_event.set()
        self.on_response()
        return True


class Direct(HttpToolsProtocol):
    """One connection."""

    owner: Owner
    """The class's; see `install`."""
    _plain = False
    """Whether the server has no settings that ask for uvicorn's way."""
    _coming: tuple[Cycle, App] | None = None
    """A request for the door, while the rest of it may be in the bytes at hand."""
    _idle_since: float | None = None
    """When all was answered that has come; None: since then something came."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._plain = not (self.access_log or self.root_path or self.limit_concurrency is not None)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._coming is not None:
            self._as_usual()

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        parser, before = self.parser, self.cycle
        if (
            self._plain
            and (before is None or before.response_complete)
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.expect_100_continue
        ):
            url = httptools.parse_url(self.url)
            path = url.path.decode("ascii")
            scope = {
                "type": "http",
                "method": parser.get_method().decode("ascii"),
                "path": unquote(path) if "%" in path else path,
                "query_string": url.query or b"",
                "headers": self.headers,
                "client": self.client,
            }
            app = self.owner(scope)
            if app is not None:
                self._coming = Cycle(self, scope), app
                return
        self._as_usual()

    def on_body(self, body: bytes) -> None:
        if self._coming is not None:
            cycle = self._coming[0]
            if not cycle.body:
                cycle.body = body
                return
            self._as_usual()
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._coming is None:
            super().on_message_complete()
            return
        cycle, app = self._coming
        self._coming = None
        cycle.scope[BODY] = cycle.body
        cycle.scope[WHOLE] = cycle.whole
        self.cycle = cycle
        self._start_asgi_task(cycle, app)

    def _as_usual(self) -> None:
        """What uvicorn does once it has seen the headers, and so much of the body."""
        coming, self._coming = self._coming, None
        seen = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = seen
        self.scope["headers"] = self.headers
        super().on_headers_complete()
        if coming is not None and coming[0].body:
            super().on_body(coming[0].body)

    def on_response_complete(self) -> None:
        """As uvicorn's, but a timer that runs is left alone: it looks itself how long is to go."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._close_after(self.timeout_keep_alive)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def _close_after(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return  # the next answer sets it again
        rest = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if rest > 0:
            self._close_after(rest)
        else:
            super().timeout_keep_alive_handler()


def install(owner: Owner) -> bool:
    """Servers that are made in this process from now on speak it. False: this release of uvicorn
    is built otherwise, and nothing was changed."""
    known = all(names <= _names_in(built) for built, names in _KNOWN.items())
    if not known or AutoHTTPProtocol is not HttpToolsProtocol:
        return False
    made = type("Direct", (Direct,), {"owner": staticmethod(owner)})
    HTTP_PROTOCOLS["auto"] = made  # type: ignore[assignment]  # a class passes through as it is
    return True


def _names_in(built: type) -> set[str]:
    """Its methods, and the attributes that they use."""
    methods = [made for made in vars(built).values() if isfunction(made)]
    return {*vars(built)}.union(*(method.__code__.co_names for method in methods))
