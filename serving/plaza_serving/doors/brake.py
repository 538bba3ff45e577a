"""A brake on refusals: who is told "later" many times a second is told so late.

A refusal costs the machine about 0.2 ms (ingress, parsing, answering), and whoever asks again at
once can turn thousands a second into time that is taken from others. So where others are served of
the refusals of one organisation the first `FREE` of a second leave at once, the others after
`PAUSE_S`: a client has only so many connections, and those that wait send nothing. At most `_MOST`
answers wait here; they hold no body. Who is alone takes time from nobody and is told at once. What
is refused, and why, is decided elsewhere.
"""

from __future__ import annotations

import asyncio

from plaza_core.errors import Overloaded, QuotaExceeded, RateLimited
from plaza_core.ids import OrganisationId
from plaza_core.principal import Principal
from plaza_serving.plane import Plane

FREE = 20
PAUSE_S = 3.0
_MOST = 1024
_LATER = (RateLimited, Overloaded, QuotaExceeded)
_SECOND_NS = 1_000_000_000


class Brake:
    """Used on the loop only."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._second = 0
        self._refused: dict[OrganisationId, int] = {}
        self._waiting = 0

    def holds(self, error: BaseException, principal: Principal) -> bool:
        """Count it where it is a refusal; whether its answer is to leave late."""
        if not isinstance(error, _LATER):
            return False
        second = self._plane.clock.monotonic_ns() // _SECOND_NS
        if second != self._second:
            self._second = second
            self._refused.clear()
        organisation = principal.organisation
        count = self._refused[organisation] = self._refused.get(organisation, 0) + 1
        return count > FREE and self._waiting < _MOST and self._plane.shared(principal)

    async def pause(self) -> None:
        self._waiting += 1
        try:
            await asyncio.sleep(PAUSE_S)
        finally:
            self._waiting -= 1
