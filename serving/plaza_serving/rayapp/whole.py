"""An answer in one write: `scope[WHOLE]`, an extension of ASGI between our edge and our door.

uvicorn writes the head of an answer and its body apart. Each write is a system call and wakes the
ingress, which reads and passes on a piece: together 15 µs of 100 for a small answer. The bytes here
are those that uvicorn sends for the same two messages (a test compares them); what is rare it sends
itself. All that is known here of uvicorn's insides is named in `_KNOWN`: where a release lacks one
of these the extension is not offered, and the test of it fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from plaza_serving.reply import WHOLE, Header

_KNOWN = (
    "default_headers", "disconnected", "flow", "keep_alive", "message_event", "on_response",
    "response_complete", "response_started", "scope", "transport", "waiting_for_100_continue",
)  # fmt: skip
_JOINED_BYTES = 1 << 16
"""Up to here it is cheaper to copy a body behind its head than to hand over two pieces."""
_NAMED = b": ".join
_offered = {*_KNOWN} <= {*RequestResponseCycle.__init__.__code__.co_names}


class Whole:
    """Sends one whole answer of one request, or says that it has not."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: Any) -> None:
        self._cycle = cycle

    def __call__(self, status: int, headers: Sequence[Header], body: bytes) -> bool:
        """False: nothing was sent and the usual messages must be. `headers` name the length of the
        body and not the connection. Raises ValueError for a header that would end the head."""
        cycle = self._cycle
        if (
            cycle.response_started
            or cycle.flow.write_paused
            or not cycle.keep_alive
            or cycle.scope["method"] == "HEAD"
        ):
            return False
        if cycle.disconnected:
            return True
        lines = [STATUS_LINE[status][:-2], *map(_NAMED, (*cycle.default_headers, *headers))]
        head = b"\r\n".join(lines)
        if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1:
            raise ValueError("a header of the answer holds a line break")
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        if len(body) > _JOINED_BYTES:
            cycle.transport.writelines((head + b"\r\n\r\n", body))
        else:
            cycle.transport.write(b"%b\r\n\r\n%b" % (head, body))
        cycle.message_event.set()
        cycle.on_response()
        return True


def offer(scope: Any, send: Any) -> None:
    """Put the extension into the scope of a request, where its server is one that is known."""
    cycle = getattr(send, "__self__", None)
    if _offered and type(cycle) is RequestResponseCycle:
        scope[WHOLE] = Whole(cycle)
