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
from typing import TYPE_CHECKING

import msgspec

from plaza_core.budget import Price
from plaza_core.errors import PlazaError
from plaza_core.inference import Call, Outcome
from plaza_core.principal import Principal
from plaza_serving.dataplane.catalogue import Resolved
from plaza_serving.dataplane.purses import Reservation

if TYPE_CHECKING:
    from plaza_serving.dataplane.flows import Key
    from plaza_serving.dataplane.routes import Route

_claims = threading.Lock()
_PLAIN = Price()


class Bill(msgspec.Struct, frozen=True, gc=False):
    """What a request used and costs. `charge + overrun` is its part of what its batch cost."""

    rows: int = 0
    compute_us: int = 0
    host_us: int = 0
    charge: int = 0
    overrun: int = 0

    def after(self, lost: Bill) -> Bill:
        """Of a request whose earlier attempt cost `lost`, for which nobody is charged."""
        return Bill(
            rows=self.rows,
            compute_us=self.compute_us + lost.compute_us,
            host_us=self.host_us + lost.host_us,
            charge=self.charge,
            overrun=self.overrun + lost.charge + lost.overrun,
        )


class Ran(msgspec.Struct, gc=False):
    """One run of the model, shared by all requests that were joined in it."""

    device_us: int
    rows: int
    host_us: int = 0
    """Of all its requests together."""


FREE = Bill()


class Work(msgspec.Struct, eq=False):
    call: Call
    principal: Principal
    target: Resolved
    provider: str
    deadline_ns: int
    admitted_ns: int
    admitted_unix_us: int
    future: asyncio.Future[Outcome]
    price: Price = _PLAIN
    """In force at admission; what the request will be charged by."""
    rows: int = 1
    """As counted at admission."""
    reservation: Reservation | None = None
    """None where no budget limits the key."""
    route: Route | None = None
    """How it came to its version, where its alias has a split."""
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


class Finished(msgspec.Struct, frozen=True, eq=False):
    """What a worker has to say about one Work: an outcome, or the error instead."""

    work: Work
    outcome: Outcome | None
    error: PlazaError | None
    bill: Bill = FREE
    ran: Ran | None = None
    """None where nothing ran, or it failed."""

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
