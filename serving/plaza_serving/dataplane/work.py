"""One admitted request on its way through queue and worker, and who may finish it.

    waiting ──start──▶ running ──▶ settled by the worker: measured, billed, one usage line
       └─ claimed before it started (client left, deadline passed): never runs, charged 0

A request is answered exactly once: by the worker that computed it, or by the loop when its deadline
passed or its client left. Whoever calls `claim` first wins; the other's answer is dropped. Usage is
written by the worker for all it started, by the loop for the rest, so each has one line.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Final

from plaza_core.budget import Price
from plaza_core.errors import PlazaError
from plaza_core.inference import Call, Outcome
from plaza_core.principal import Principal
from plaza_serving.dataplane.bills import FREE, Bill, Ran, Reservation
from plaza_serving.dataplane.catalogue import Resolved

if TYPE_CHECKING:
    from plaza_serving.dataplane.flows import Key
    from plaza_serving.dataplane.routes import Route

_claims = threading.Lock()
_PLAIN = Price()


class Work:
    """What few requests change is the class's until they do."""

    reservation: Reservation | None = None
    """None where no budget limits the key."""
    foreseen_us: float = 0.0
    """How long it would wait, as admission saw it; 0: not so long that it was asked."""
    started: bool = False
    claimed: bool = False
    dropped_as: str | None = None
    """The outcome that the loop gave while a worker was computing."""
    flow: Key | None = None
    """Who pays in the fair queue, since it was taken; the next three are its receipt."""
    estimate_us: float = 0.0
    parts: int = 1
    lifts: int = 0
    lost: Bill = FREE
    """What an attempt before this one cost; the platform bears it."""

    def __init__(
        self,
        *,
        call: Call,
        principal: Principal,
        target: Resolved,
        provider: str,
        deadline_ns: int,
        admitted_ns: int,
        admitted_unix_us: int,
        future: asyncio.Future[Outcome],
        price: Price = _PLAIN,
        rows: int = 1,
        route: Route | None = None,
    ) -> None:
        """`price`: in force at admission, what the request will be charged by; `rows`: as counted
        at admission; `route`: how it came to its version, where its alias has a split."""
        self.call = call
        self.principal = principal
        self.target = target
        self.provider = provider
        self.deadline_ns = deadline_ns
        self.admitted_ns = admitted_ns
        self.admitted_unix_us = admitted_unix_us
        self.future = future
        self.price = price
        self.rows = rows
        self.route = route

    def start(self) -> bool:
        """A worker takes it; False when nobody waits for it any more."""
        with _claims:
            self.started = not self.claimed
            return self.started

    def claim(self, dropped_as: str | None = None) -> bool:
        """True for the first caller only; after that `started` does not change."""
        with _claims:
            if self.claimed:
                return False
            self.claimed = True
            self.dropped_as = dropped_as
        return True

    def again(self, target: Resolved, lost: Bill) -> bool:
        """Wait once more, for another version; False when nobody waits for it any more."""
        with _claims:
            if self.claimed:
                return False
            self.started = False
            self.target = target
            self.lost = lost
        return True


class Finished:
    """What a worker has to say about one Work: an outcome, or the error instead. `ran` is None
    where nothing ran, or it failed."""

    def __init__(
        self,
        work: Work,
        outcome: Outcome | None,
        error: PlazaError | None,
        bill: Bill = FREE,
        ran: Ran | None = None,
    ) -> None:
        self.work: Final = work
        self.outcome: Final = outcome
        self.error: Final = error
        self.bill: Final = bill
        self.ran: Final = ran

    @property
    def told(self) -> str:
        """What the caller was told, also when it was told before the run ended."""
        return self.work.dropped_as or (self.error.code if self.error else "ok")


def deliver(finished: list[Finished]) -> None:
    """Give each caller its answer. On the loop."""
    for done in finished:
        future = done.work.future
        if future.done():
            continue
        if done.error is not None:
            future.set_exception(done.error)
        elif done.outcome is not None:
            future.set_result(done.outcome)
