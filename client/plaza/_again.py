"""Trying a call again: what passes by itself, what is safe to repeat, how long to wait.

    429, 503 with Retry-After      nothing was done: waited for, while the patience lasts
    409 idempotency_in_progress    the first try still runs at the hub: as above
    no connection                  nothing was sent: once more
    connection lost                once more, where the hub does it only once (see `Safe`)

Everything else is final. No time is known here but what `Pace` gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

import httpx

from plaza.errors import PlazaError

SleepT = TypeVar("SleepT")

PATIENCE_S = 30.0
"""Of reads, administration and everything with an Idempotency-Key, where nothing else is said."""

_NOTHING_DONE = frozenset({429, 503})
_LOST = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError, httpx.CloseError)
_SPREAD = 0.25
"""Up to so much longer than the hub asks for, so that those refused together come back apart."""
_BREATH_S = 0.1
_BREATH_SPREAD_S = 0.4


@dataclass(frozen=True)
class Pace(Generic[SleepT]):
    """Time and chance. `sleep` is awaited by the asynchronous client."""

    monotonic: Callable[[], float]
    sleep: Callable[[float], SleepT]
    random: Callable[[], float]
    """From 0 to 1."""


class Safe(Enum):
    """Why a call whose answer got lost may be sent again."""

    NOT = "it may have had its effect, and would have it again"
    READS = "it changes nothing"
    SAME = "the hub knows its Idempotency-Key, or its content, and does it once"


class Tries:
    """The tries of one call. `patience_s` begins with the first and is for refusals; a call that
    was lost is sent `once_more`."""

    def __init__(self, safe: Safe, pace: Pace[Any], *, patience_s: float, once_more: bool) -> None:
        self._safe = safe
        self._pace = pace
        self._ends = pace.monotonic() + patience_s
        self._once_more = once_more

    def after_refusal(self, error: PlazaError) -> float | None:
        """Seconds until the next try; None: the error is final."""
        passes = error.status in _NOTHING_DONE or error.code == "idempotency_in_progress"
        wait, left = error.retry_after, self._ends - self._pace.monotonic()
        if not passes or wait is None or not 0 <= wait < left:
            return None
        return min(left, max(wait, _BREATH_S) * (1 + _SPREAD * self._pace.random()))

    def after_loss(self, error: httpx.TransportError) -> float | None:
        """As above, for a try without an answer. Timeouts are final: who waited has waited."""
        again = isinstance(error, httpx.ConnectError) or (
            isinstance(error, _LOST) and self._safe is not Safe.NOT
        )
        if not again or not self._once_more:
            return None
        self._once_more = False
        return _BREATH_S + _BREATH_SPREAD_S * self._pace.random()
