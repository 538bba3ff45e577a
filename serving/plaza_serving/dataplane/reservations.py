"""Reservations: the budget that one request holds from its admission until it is settled.

What a worker has started is settled by that worker, also when its client is gone: the budget stays
reserved until the run is measured. All else is given back when the request leaves.
"""

from __future__ import annotations

import asyncio

from plaza_core.errors import DeadlineExceeded
from plaza_serving.dataplane.access import Caller
from plaza_serving.dataplane.bills import Bill, Reservation
from plaza_serving.dataplane.budgets import Budgets
from plaza_serving.dataplane.reserves import Reserves
from plaza_serving.dataplane.work import Work


class Reservations:
    """Used on the loop only, but for `settle`."""

    def __init__(self, budgets: Budgets, reserves: Reserves) -> None:
        self._budgets = budgets
        self._reserves = reserves

    def hold(self, caller: Caller, work: Work) -> int:
        """Hold budget for what the request may cost, out of memory.

        Returns 0, also where no budget limits the key; else the amount to `ask` for.
        """
        if not caller.metered:
            return 0
        left_us = (work.deadline_ns - work.admitted_ns) // 1000
        amount = self._reserves.estimate(work.target.key, work.price, work.rows, left_us)
        if not amount:
            work.reservation = Reservation(None, 0)
            return 0
        work.reservation = self._budgets.reserve(
            caller.principal.key, amount, work.admitted_unix_us
        )
        return amount if work.reservation is None else 0

    async def ask(self, caller: Caller, work: Work, amount: int) -> None:
        """Hold `amount` once control has granted it.

        Raises QuotaExceeded, Unavailable, DeadlineExceeded; then nothing is held.
        """
        try:
            async with asyncio.timeout((work.deadline_ns - work.admitted_ns) / 1e9):
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

    def learn(self, work: Work, bill: Bill) -> None:
        """What an answered request was charged teaches what to reserve for the next. Any thread.

        Where the reserve cut the charge, all that it cost does.
        """
        held = work.reservation
        cut = held is not None and bill.charge >= held.amount
        cost = bill.charge + bill.overrun if cut else bill.charge
        self._reserves.observe(work.target.key, work.price, work.rows, cost)
