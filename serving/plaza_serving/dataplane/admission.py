"""Admission: may this request enter, and what does it hold while inside.

    async with admission.admit(caller, work):   a slot, a rate for every node, then budget
        … queue, run, settle …
    all of it is given back on every way out: answer, error, deadline, cancellation

What a worker has started is settled by that worker, also when its client is gone: the budget stays
reserved until the run is measured. Nothing outside this file knows how capacity is counted.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from plaza_core.errors import DeadlineExceeded, Overloaded
from plaza_serving.dataplane.access import Caller
from plaza_serving.dataplane.budgets import Budgets
from plaza_serving.dataplane.purses import Reservation
from plaza_serving.dataplane.rates import Rates
from plaza_serving.dataplane.reserves import Reserves
from plaza_serving.dataplane.work import Work


class Lease:
    """Capacity held by one request. Entering checks and takes, leaving gives back."""

    __slots__ = ("_admission", "_caller", "_work")

    def __init__(self, admission: Admission, caller: Caller, work: Work) -> None:
        self._admission = admission
        self._caller = caller
        self._work = work

    async def __aenter__(self) -> None:
        admission = self._admission
        admission.enter(self._caller)
        if self._caller.metered:
            try:
                self._work.reservation = await admission.reserve(self._caller, self._work)
            except BaseException:
                admission.leave()
                raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._admission.leave()
        work = self._work
        if work.reservation is not None and not work.started:
            self._admission.budgets.settle(work.reservation, 0)


class Admission:
    def __init__(self, rates: Rates, budgets: Budgets, reserves: Reserves, *, slots: int) -> None:
        self.budgets = budgets
        self._rates = rates
        self._reserves = reserves
        self._slots = slots
        self.inside = 0
        """Requests that hold a slot now."""

    def admit(self, caller: Caller, work: Work) -> Lease:
        return Lease(self, caller, work)

    def enter(self, caller: Caller) -> None:
        """Raises Overloaded or RateLimited; then nothing is held and nothing was charged."""
        if self.inside >= self._slots:
            raise Overloaded("this replica is full", retry_after=1)
        self._rates.take(caller.limits)
        self.inside += 1

    def leave(self) -> None:
        self.inside -= 1

    async def reserve(self, caller: Caller, work: Work) -> Reservation:
        """Budget for what the request may cost: from memory, else by asking control.

        Raises QuotaExceeded, Unavailable, DeadlineExceeded; then nothing is held.
        """
        left_ns = work.deadline_ns - work.admitted_ns
        amount = self._reserves.estimate(work.version_key, work.price, work.rows, left_ns // 1000)
        if not amount:
            return Reservation(None, 0)
        budgets = self.budgets
        reservation = budgets.reserve(caller.principal.key, amount, work.admitted_unix_us)
        if reservation is not None:
            return reservation
        try:
            async with asyncio.timeout(left_ns / 1e9):
                return await budgets.wait(caller, amount)
        except TimeoutError:
            raise DeadlineExceeded("the deadline passed while waiting for budget") from None
