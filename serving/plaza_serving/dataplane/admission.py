"""Admission: may this request enter, and what does it hold while inside.

    async with admission.admit(caller, work):   rate of every node, a slot, then budget
        … queue, run, settle …
    slot and budget are given back on every way out: answer, error, deadline, cancellation

Nothing outside this file and `reservations` knows how capacity is counted.
"""

from __future__ import annotations

from types import TracebackType

from plaza_core.errors import Overloaded
from plaza_serving.dataplane.access import Caller
from plaza_serving.dataplane.rates import Rates
from plaza_serving.dataplane.reservations import Reservations
from plaza_serving.dataplane.work import Work


class Lease:
    """Capacity held by one request. Entering checks and takes, leaving gives back."""

    __slots__ = ("_admission", "_caller", "_work")

    def __init__(self, admission: Admission, caller: Caller, work: Work) -> None:
        self._admission = admission
        self._caller = caller
        self._work = work

    async def __aenter__(self) -> None:
        self._admission.enter(self._caller)
        try:
            await self._admission.reservations.hold(self._caller, self._work)
        except BaseException:
            self._admission.leave()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._admission.leave()
        self._admission.reservations.leave(self._work)


class Admission:
    def __init__(self, rates: Rates, reservations: Reservations, *, slots: int) -> None:
        self.reservations = reservations
        self._rates = rates
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
