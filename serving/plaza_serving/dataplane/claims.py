"""Claims of idempotency keys, as replicas make them: over control's internal API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from plaza_core.idempotency import ClaimAsk, Done, Place, Verdict

Tell = Callable[[str, bytes], Awaitable[bytes]]
"""POST a JSON body to a path of control's internal API; the answer's body. Raises Unavailable,
QuotaExceeded, Conflict."""

_PATH = "/internal/v1/idempotency"


class RemoteClaims:
    """`plaza_core.idempotency.Claims` of a replica."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    async def claim(self, ask: ClaimAsk) -> Verdict:
        answer = await self._tell(f"{_PATH}/claim", ask.model_dump_json().encode())
        return Verdict.model_validate_json(answer)

    async def renew(self, place: Place) -> None:
        await self._tell(f"{_PATH}/renew", place.model_dump_json().encode())

    async def complete(self, done: Done) -> None:
        await self._tell(f"{_PATH}/complete", done.model_dump_json().encode())

    async def release(self, place: Place) -> None:
        await self._tell(f"{_PATH}/release", place.model_dump_json().encode())
