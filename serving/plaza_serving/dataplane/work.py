"""One admitted request on its way through queue and worker, and who may finish it.

A request is finished exactly once: by the worker that computed it, or by the loop when its deadline
passed or its client left. Whoever calls `claim` first wins; the other's result is dropped. That
keeps ledger and answer equal: a worker writes usage only for what it has claimed.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plaza_core.errors import PlazaError
from plaza_core.inference import Call, Outcome
from plaza_core.principal import Principal
from plaza_serving.dataplane.catalogue import Resolved

if TYPE_CHECKING:
    from plaza_serving.dataplane.flows import Key

_claims = threading.Lock()


@dataclass(slots=True, eq=False)
class Work:
    call: Call
    principal: Principal
    target: Resolved
    provider: str
    deadline_ns: int
    admitted_ns: int
    admitted_unix_us: int
    future: asyncio.Future[Outcome]
    claimed: bool = field(default=False, init=False)
    flow: Key | None = field(default=None, init=False)
    """Who pays in the fair queue, since it was taken; the next three are its receipt."""
    estimate_us: float = field(default=0.0, init=False)
    parts: int = field(default=1, init=False)
    lifts: int = field(default=0, init=False)

    def claim(self) -> bool:
        """True for the first caller only."""
        with _claims:
            if self.claimed:
                return False
            self.claimed = True
        return True


@dataclass(frozen=True, slots=True)
class Finished:
    """What a worker has to say about one Work: an outcome, or the error instead."""

    work: Work
    outcome: Outcome | None
    error: PlazaError | None
    rows: int = 0
    compute_us: int = 0
    host_us: int = 0
