"""Reservations: the budget that one request holds from its admission until it is settled.

What a worker has started is settled by that worker, also when its client is gone: the budget stays
reserved until the run is measured. All else is given back when the request leaves.
"""

from __future__ import annotations

import asyncio

from plaza_core.errors import DeadlineExceeded
from plaza_serving.dataplane.access import Caller
from plaza_serving.dataplane.budgets import Budgets
from plaza_serving.dataplane.purses import Reservation
from plaza_serving.dataplane.reserves import Reserves
from plaza_serving.dataplane.work import Work


class Reservations:
    """Used on the loop only, but for `settle`."""

    def __init__(self, budgets: Budgets, reserves: Reserves) -> None:
        self._budgets = budgets
        self._reserves = reserves

    async def hold(self, caller: Caller, work: Work) -> None:
        """Budget for what the request may cost: from memory, else by asking control.

        Nothing where no budget limits the key. Raises QuotaExceeded, Unavailable, DeadlineExceeded;
        then nothing is held.
        """
        if not caller.metered:
            return
        left_ns = work.deadline_ns - work.admitted_ns
        amount = self._reserves.estimate(work.version_key, work.price, work.rows, left_ns // 1000)
        if not amount:
            work.reservation = Reservation(None, 0)
            return
        work.reservation = self._budgets.reserve(
            caller.principal.key, amount, work.admitted_unix_us
        )
        if work.reservation is None:
            try:
                async with asyncio.timeout(left_ns / 1e9):
                    work.reservation = await self._budgets.wait(caller, amount)
            except TimeoutError:
                raise DeadlineExceeded("the deadline passed while waiting for budget") from None

    def leave(self, work: Work) -> None:
        """The request is answered or gone: give back what no worker will settle."""
        if work.reservation is not None and not work.started:
            self._budgets.settle(work.reservation, 0)

    def settle(self, work: Work, charge: int) -> None:
        """A worker has measured a request. Any thread."""
        if work.reservation is not None:
            self._budgets.settle(work.reservation, charge)

    def learn(self, work: Work, cost: int) -> None:
        """What an answered request cost teaches what to reserve for the next. Any thread."""
        self._reserves.observe(work.version_key, work.price, work.rows, cost)
