"""One HTTP request while it is in the house, and the watch over requests that stay long.

A request that is answered at once costs the watch one set insertion and one removal. Only what is
still open after a tick gets a listener for the client's departure, so that the hot path never
starts a second task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from plaza_core.clock import Clock
from plaza_core.ids import RequestId
from plaza_core.principal import Principal

if TYPE_CHECKING:
    from plaza_serving.doors.problems import Wording

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

TICK_S = 0.02
"""How often the watch looks at what is open."""


class Cut(Enum):
    """Why the watch ended a request."""

    GONE = "the client closed the connection"
    SLOW = "the body did not arrive in time"


class ClientGoneError(Exception):
    """The client left while its request was read; nobody is there to answer."""


class Exchange:
    """State of one request. `principal`, `model` and `version` are set by the door's routing.

    What few requests change is the class's until they do: to set it for each took a microsecond.
    """

    principal: Principal
    wording: Wording | None = None
    """How an error is told here; None until the route is found."""
    model = ""
    version: str | None = None
    body: bytes | None = None
    """Set once it was read for somebody who then calls the handler."""
    body_read = False
    pieces: list[bytes] | None = None
    """The body as it came, once it was read."""
    age_ns = 0
    """How long another replica had it, which has forwarded it."""
    began_ns = 0
    """When the hub got it, on the monotonic clock of this replica; 0: not asked yet."""
    held = 0
    """Bytes counted in the body budget."""
    task: asyncio.Task[Any] | None = None
    reading = False
    born = 0
    infers = False
    """Whether it asks for an inference, which has a price."""
    cut: Cut | None = None
    listener: asyncio.Task[None] | None = None

    def __init__(
        self, scope: Scope, receive: Receive, headers: dict[bytes, bytes], request_id: RequestId
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.headers = headers
        self.request_id = request_id

    def begin(self, clock: Clock) -> int:
        """When the hub got it: deadlines count from here, and from before the body was read."""
        self.began_ns = began = clock.monotonic_ns() - self.age_ns
        return began


class Watch:
    """Ends requests whose client left, and those whose body trickles in.

    `body_ticks` is how long a body may take. `tick` is called by a timer that runs only while
    something is open; tests call it themselves.
    """

    def __init__(self, body_seconds: float) -> None:
        self._body_ticks = max(1, round(body_seconds / TICK_S))
        self._open: set[Exchange] = set()
        self._now = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, exchange: Exchange) -> None:
        """From here on `exchange.task` may be cancelled; `exchange.cut` then says why."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        exchange.task = asyncio.current_task(loop)  # unnamed, it is a system call to find out
        exchange.reading = True
        exchange.born = self._now
        self._open.add(exchange)
        if self._timer is None:
            self._timer = loop.call_later(TICK_S, self._on_timer)

    def leave(self, exchange: Exchange) -> None:
        self._open.discard(exchange)
        if exchange.listener is not None:
            exchange.listener.cancel()
            exchange.listener = None

    def _on_timer(self) -> None:
        self._timer = None
        self.tick()
        if self._open:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._on_timer)

    def tick(self) -> None:
        self._now += 1
        for exchange in self._open:
            if exchange.cut is not None:
                continue
            age = self._now - exchange.born
            if exchange.reading:
                if age > self._body_ticks:
                    self._end(exchange, Cut.SLOW)
            elif age > 1 and exchange.listener is None:
                exchange.listener = asyncio.get_running_loop().create_task(self._listen(exchange))

    async def _listen(self, exchange: Exchange) -> None:
        while (await exchange.receive())["type"] != "http.disconnect":
            pass
        self._end(exchange, Cut.GONE)

    @staticmethod
    def _end(exchange: Exchange, cut: Cut) -> None:
        exchange.cut = cut
        if exchange.task is not None:
            exchange.task.cancel()
