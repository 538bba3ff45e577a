"""Admission: may this request enter, and what does it hold while inside.

    async with admission.admit(caller, works) as lease:   rate of every node, then a slot
        … queue, run, settle …
    the slot is given back on every way out: answer, error, deadline, cancellation

Exact budgets and fair shares will stand behind the same two calls; nothing outside this file knows
how capacity is counted.
"""

from __future__ import annotations

from types import TracebackType

from plaza_core.errors import Overloaded
from plaza_serving.dataplane.access import Caller
from plaza_serving.dataplane.rates import Rates


class Lease:
    """Capacity held by one request. Entering checks and takes, leaving gives back."""

    __slots__ = ("_admission", "_caller")

    def __init__(self, admission: Admission, caller: Caller) -> None:
        self._admission = admission
        self._caller = caller

    async def __aenter__(self) -> None:
        self._admission.enter(self._caller)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._admission.leave()


class Admission:
    def __init__(self, rates: Rates, *, slots: int) -> None:
        self._rates = rates
        self._slots = slots
        self.inside = 0
        """Requests that hold a slot now."""

    def admit(self, caller: Caller) -> Lease:
        return Lease(self, caller)

    def enter(self, caller: Caller) -> None:
        """Raises Overloaded or RateLimited; then nothing is held and nothing was charged."""
        if self.inside >= self._slots:
            raise Overloaded("this replica is full", retry_after=1)
        self._rates.take(caller.limits)
        self.inside += 1

    def leave(self) -> None:
        self.inside -= 1
