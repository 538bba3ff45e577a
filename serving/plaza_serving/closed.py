"""A replica that cannot run its pool: it says so instead of being started over and over.

    probe refuses ──▶ tell control each second, answer 503 ──probe passes──▶ end: Ray starts another

Ray takes it for healthy. Callers are told that the pool is not usable; why is for the operator, in
`plaza status`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

from plaza_core.clock import Clock
from plaza_core.errors import PlazaError, ProviderUnavailable
from plaza_core.ids import ReplicaId, new_request_id
from plaza_core.table import Heartbeat, HeartbeatReply
from plaza_serving.doors.problems import problem

log = logging.getLogger(__name__)

_BEAT_S = 1.0
_LOOK_AGAIN_NS = 30 * 10**9

Look = Callable[[], str | None]
Beat = Callable[[Heartbeat], Awaitable[HeartbeatReply]]


class ClosedReplica:
    """`look` says again why not, or None; `beat` tells control; `end` lets go of what it had."""

    def __init__(
        self,
        replica: ReplicaId,
        pool: str,
        refusal: str,
        *,
        look: Look,
        beat: Beat,
        end: Callable[[], Awaitable[None]],
        clock: Clock,
    ) -> None:
        log.error("pool '%s' cannot run here: %s", pool, refusal)
        self._said = Heartbeat(
            replica=replica, pool=pool, table_version="", ready={}, failed={}, refusal=refusal
        )
        self._pool = pool
        self._look = look
        self._beat = beat
        self._end = end
        self._clock = clock
        self._looked_ns = clock.monotonic_ns()
        self._usable = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._tell(), name="refusal")

    async def once(self) -> None:
        """Tell control; look again when it is time to."""
        now = self._clock.monotonic_ns()
        if now - self._looked_ns >= _LOOK_AGAIN_NS:
            self._looked_ns = now
            refusal = await asyncio.to_thread(self._look)
            self._usable = refusal is None
            self._said = self._said.model_copy(update={"refusal": refusal or self._said.refusal})
        try:
            await self._beat(self._said)
        except PlazaError as error:
            log.debug("no heartbeat: %s", error.message)

    def live(self) -> bool:
        """False once the pool could run after all: a fresh replica is wanted."""
        return not self._usable

    def mean_wait_ms(self) -> float:
        return 0.0

    @property
    def door(self) -> ClosedReplica:
        return self

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Every request is answered alike, whoever asks."""
        error = ProviderUnavailable(
            f"the pool '{self._pool}' cannot run on its node; its operator sees why in "
            "'plaza status'"
        )
        request_id = new_request_id(self._clock.unix_us() // 1000, os.urandom)
        reply = problem(error, request_id, (b"x-plaza-charge", b"0"))
        length = (b"content-length", b"%d" % len(reply.body))
        headers = [(b"content-type", reply.media), length, *reply.headers]
        headers.append((b"x-request-id", request_id.encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._end()

    async def _tell(self) -> None:
        while True:
            await self.once()
            await asyncio.sleep(_BEAT_S)
