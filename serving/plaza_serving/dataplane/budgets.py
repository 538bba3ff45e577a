"""Budgets of this replica: what each key may still spend here, taken and given back in memory.

    reserve ─▶ (run) ─▶ settle: the charge is spent, the rest is free again
       └─ too little free ─▶ wait ─▶ broker asks control ─▶ served in order, or refused

Of every lease: granted = returned + spent + reserved + free. `reserve`, `wait` and `serve` run on
the loop; `settle` may be called from any thread; one lock guards all numbers. A request spends
from the lease of the period of its admission; a lease whose period is over takes no more requests.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable

from plaza_core.budget import Branch
from plaza_core.clock import Clock
from plaza_core.errors import PlazaError, Unavailable
from plaza_core.ids import KeyId
from plaza_serving.dataplane.access import Caller
from plaza_serving.dataplane.bills import Reservation
from plaza_serving.dataplane.purses import Purse, Waiter


class Budgets:
    """Made and used on one event loop. `on_need` is called there when a purse must be filled."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self.lock = threading.Lock()
        self.purses: dict[KeyId, Purse] = {}
        self.on_need: Callable[[Purse], None] | None = None

    def reserve(self, key: KeyId, amount: int, now_us: int) -> Reservation | None:
        """Hold `amount` at once, or None if it is not free here or others wait already."""
        purse = self.purses.get(key)
        if purse is None or purse.waiters:
            return None
        return self._take(purse, amount, now_us)

    async def wait(self, caller: Caller, amount: int) -> Reservation:
        """Hold `amount` as soon as control has granted enough.

        Raises QuotaExceeded when control says that no more is left, Unavailable when control cannot
        be asked. Cancelling gives everything back.
        """
        purse = self._purse(caller)
        denial = purse.denial
        if denial is not None:
            if amount >= denial.amount and self._clock.monotonic_ns() < denial.until_ns:
                raise _again(denial.error)
            purse.denial = None
        waiter = Waiter(amount, self._loop.create_future())
        purse.waiters.append(waiter)
        self._need(purse)
        try:
            return await waiter.future
        except BaseException:
            if waiter in purse.waiters:
                purse.waiters.remove(waiter)
            done = waiter.future
            if done.done() and not done.cancelled() and done.exception() is None:
                self.settle(done.result(), 0)  # granted in the moment of leaving
            raise

    def settle(self, reservation: Reservation, charge: int) -> None:
        """Spend `charge` of it and free the rest; a second call changes nothing. Any thread."""
        held = reservation.holding
        with self.lock:
            if reservation.settled:
                return
            reservation.settled = True
            if held is None:
                return
            assert 0 <= charge <= reservation.amount
            held.reserved -= reservation.amount
            held.spent += charge
            held.free += reservation.amount - charge
            held.purse.spent += charge
        if held.purse.waiters and charge < reservation.amount:
            self._loop.call_soon_threadsafe(self.serve, held.purse)

    def serve(self, purse: Purse) -> None:
        """Give those who wait what is free; ask for more if that is not enough."""
        if not self.hand_out(purse):
            self._need(purse)

    def hand_out(self, purse: Purse) -> bool:
        """Give those who wait what is free, in their order; whether nobody waits any more."""
        now_us = self._clock.unix_us()
        while purse.waiters:
            waiter = purse.waiters[0]
            if not waiter.future.done():
                reservation = self._take(purse, waiter.amount, now_us)
                if reservation is None:
                    return False
                waiter.future.set_result(reservation)
            purse.waiters.popleft()
        return True

    def free_all(self, purse: Purse) -> None:
        """Those who wait need no lease after all."""
        while purse.waiters:
            waiter = purse.waiters.popleft()
            if not waiter.future.done():
                waiter.future.set_result(Reservation(None, waiter.amount))

    def refuse(self, purse: Purse, waiters: Iterable[Waiter], error: PlazaError) -> None:
        """Refuse those of `waiters` that still wait."""
        for waiter in waiters:
            if not waiter.future.done():
                waiter.future.set_exception(_again(error))
        purse.waiters = deque(w for w in purse.waiters if not w.future.done())

    def _take(self, purse: Purse, amount: int, now_us: int) -> Reservation | None:
        with self.lock:
            held = purse.current
            if held is None or now_us >= held.until_us or held.free < amount:
                return None
            held.free -= amount
            held.reserved += amount
        purse.used_us = now_us
        purse.largest = max(purse.largest, amount)
        return Reservation(held, amount)

    def _purse(self, caller: Caller) -> Purse:
        principal = caller.principal
        purse = self.purses.get(principal.key)
        if purse is None:
            branch = Branch(
                organisation=principal.organisation,
                project=principal.project,
                key=principal.key,
                line=caller.line,
            )
            purse = self.purses[principal.key] = Purse(branch)
        return purse

    def _need(self, purse: Purse) -> None:
        if self.on_need is None:
            self.refuse(purse, purse.waiters, Unavailable("no budget can be asked for here"))
        else:
            self.on_need(purse)


def _again(error: PlazaError) -> PlazaError:
    """The same for another request: an exception that is raised twice grows its traceback."""
    return type(error)(error.message, input=error.input, retry_after=error.retry_after)
