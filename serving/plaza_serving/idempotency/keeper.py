"""Doing a request once: claim its name, do it whatever happens to the client, keep the answer.

    claim ──YOURS──▶ run (renewing the claim) ──▶ keep the answer ──▶ reply
      └──KEPT──▶ the first reply again, marked `idempotency-replayed: true`

Kept is every answer but 429 and 503, which say that nothing was done and nothing charged: their
name is free again. The work goes on when the client leaves, so that its next attempt finds an
answer; it is charged once, by the ledger's rule of one request id, one charge.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from plaza_core.errors import (
    IdempotencyInProgress,
    IdempotencyMismatch,
    IdempotencyNotKept,
    MalformedRequest,
    Overloaded,
    PlazaError,
)
from plaza_core.idempotency import (
    HEADER,
    LONGEST_NAME,
    MOST_BYTES,
    RENEW_S,
    REPLAYED,
    ClaimAsk,
    Claims,
    Done,
    Place,
    State,
    Verdict,
)
from plaza_core.ids import RandomBytes, RequestId
from plaza_serving.idempotency.sealing import Asked, seal, unseal
from plaza_serving.reply import Reply

logger = logging.getLogger(__name__)

Run = Callable[[RequestId], Awaitable[Reply]]
"""Does the request under this id and never raises for what a client or the hub did."""
Sleep = Callable[[float], Awaitable[object]]

MOST_AT_ONCE = 32
"""Requests of one organisation that may be claimed or running here at a time."""
NOTHING_DONE = frozenset({429, 503})
_REPLAYED = (REPLAYED.encode(), b"true")
_KEEP_AGAIN_S = (0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 16.0, 24.0)


def valid_name(value: bytes) -> str:
    """The header's value, as it came. Raises MalformedRequest."""
    if not 0 < len(value) <= LONGEST_NAME or not all(32 < byte < 127 for byte in value):
        raise MalformedRequest(
            f"an idempotency key is 1 to {LONGEST_NAME} printable ASCII characters, no spaces",
            input=HEADER,
        )
    return value.decode("ascii")


class Keeper:
    def __init__(
        self, claims: Claims, random: RandomBytes, *, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._claims = claims
        self._random = random
        self._sleep = sleep
        self._inside: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[tuple[Reply, RequestId]]] = set()
        self._late: set[asyncio.Task[None]] = set()

    async def reply(self, asked: Asked, fingerprint: str, run: Run) -> tuple[Reply, RequestId]:
        """The answer, and the id under which it was worked out.

        Raises IdempotencyMismatch, IdempotencyInProgress, IdempotencyNotKept, Overloaded, and
        Unavailable when the claim cannot be recorded: then nothing was done.
        """
        if self._inside[asked.organisation] >= MOST_AT_ONCE:
            raise Overloaded("too many requests with idempotency keys at once", input=HEADER)
        self._inside[asked.organisation] += 1
        # A task of its own, from the claim on: a client that leaves does not stop half of it.
        task = asyncio.create_task(self._once(asked, fingerprint, run), name="once")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._leave(asked.organisation, done))
        return await asyncio.shield(task)

    def _leave(self, organisation: str, task: asyncio.Task[tuple[Reply, RequestId]]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also where the client left and nobody awaits it
        self._inside[organisation] -= 1
        if not self._inside[organisation]:
            del self._inside[organisation]

    async def _once(self, asked: Asked, fingerprint: str, run: Run) -> tuple[Reply, RequestId]:
        ask = ClaimAsk(
            organisation=asked.organisation,
            key=asked.key,
            name=asked.name,
            token=self._random(12).hex(),
            fingerprint=fingerprint,
            request_id=asked.request_id,
        )
        verdict = await self._claims.claim(ask)
        match verdict.state:
            case State.OTHER:
                raise IdempotencyMismatch("this key came with another request", input=HEADER)
            case State.RUNNING:
                raise IdempotencyInProgress(
                    "the first request with this key is not answered yet",
                    input=HEADER,
                    retry_after=verdict.retry_after_s,
                )
            case State.KEPT:
                return self._replay(asked, verdict), verdict.request_id
        return await self._do(asked, ask, verdict.request_id, run), verdict.request_id

    def _replay(self, asked: Asked, verdict: Verdict) -> Reply:
        if verdict.answer is None or verdict.status is None:
            raise IdempotencyNotKept(
                f"it was done with status {verdict.status}; an answer over {MOST_BYTES} bytes is "
                "not kept",
                input=HEADER,
            )
        first = unseal(asked, verdict.token, verdict.status, verdict.answer, self._random)
        return first._replace(headers=(*first.headers, _REPLAYED))

    async def _do(self, asked: Asked, place: Place, request_id: RequestId, run: Run) -> Reply:
        renewing = asyncio.create_task(self._renew(place))
        try:
            reply = await run(request_id)
        finally:
            renewing.cancel()
        try:
            await self._keep(asked, place, reply)
        except PlazaError:
            # The client shall have its answer. Until the record stands, its retry hears "in
            # progress", and after a minute works under the same id, which is charged once.
            late = asyncio.create_task(self._keep_later(asked, place, reply), name="keep")
            self._late.add(late)
            late.add_done_callback(self._late.discard)
        return reply

    async def _keep(self, asked: Asked, place: Place, reply: Reply) -> None:
        where = Place(**{name: getattr(place, name) for name in Place.model_fields})
        if reply.status in NOTHING_DONE:
            await self._claims.release(where)
            return
        kept = len(reply.body) <= MOST_BYTES
        answer = seal(asked, place, reply, self._random) if kept else None
        await self._claims.complete(Done(**where.model_dump(), status=reply.status, answer=answer))

    async def _keep_later(self, asked: Asked, place: Place, reply: Reply) -> None:
        for wait in _KEEP_AGAIN_S:
            await self._sleep(wait)
            try:
                await self._keep(asked, place, reply)
            except PlazaError:
                continue
            return
        logger.warning("an answer could not be kept", extra={"organisation": place.organisation})

    async def _renew(self, place: Place) -> None:
        while True:
            await self._sleep(RENEW_S)
            try:
                await self._claims.renew(place)
            except PlazaError as error:
                logger.warning("a claim could not be renewed", extra={"code": error.code})

    async def close(self, within_s: float = 2.0) -> None:
        """Let what runs end and be kept; what does not is left to lapse."""
        running = [*self._tasks, *self._late]
        if running:
            _, rest = await asyncio.wait(running, timeout=within_s)
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
