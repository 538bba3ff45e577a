"""Admission: may this request enter, and what does it hold while inside.

    async with admission.admit(caller, lane, work):   a place, slots, a rate per node, then budget
        … queue, run, settle …
    slot and budget are given back on every way out: answer, error, deadline, cancellation

An organisation may hold its part of the places, and at least 8: `places` × its weight / the weights
of all that are inside and of one more like it. Beyond its part it may go only while a quarter of
the places is free, so nobody fills the replica alone and whoever comes finds room.

Who would wait past the deadline, or so long that the model's latency target is missed, is refused
at once. How long one would wait is foreseen from what is ahead and the mean cost so far, and
corrected by how well that was foreseen for those who have just been taken (`lane.Lane.skew`): it
holds also where a run takes longer than it costs, because others use the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

from plaza_core.errors import ConcurrencyExceeded, Overloaded
from plaza_core.table import HubTable
from plaza_serving.dataplane.access import Caller
from plaza_serving.dataplane.fair import FairQueue
from plaza_serving.dataplane.lane import Lane
from plaza_serving.dataplane.rates import Rates
from plaza_serving.dataplane.reservations import Reservations
from plaza_serving.dataplane.slots import Slots
from plaza_serving.dataplane.work import Work

LEAST_PLACES = 8
_NEVER_NS = -(1 << 62)


class Lease:
    """Capacity held by one request. Entering checks and takes, leaving gives back."""

    __slots__ = ("_admission", "_caller", "_lane", "_work")

    def __init__(self, admission: Admission, caller: Caller, lane: Lane, work: Work) -> None:
        self._admission = admission
        self._caller = caller
        self._lane = lane
        self._work = work

    async def __aenter__(self) -> None:
        admission, caller = self._admission, self._caller
        try:
            admission.enter(caller, self._lane, self._work)
        except ConcurrencyExceeded:
            if not await admission.slots.news(caller.slots):
                raise
            admission.enter(caller, self._lane, self._work)
        try:
            short = admission.reservations.hold(caller, self._work)
            if short:
                await admission.reservations.ask(caller, self._work, short)
        except BaseException:
            admission.leave(caller)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._admission.leave(self._caller)
        self._admission.reservations.leave(self._work)


@dataclass(slots=True)
class _Holder:
    weight: int = 1
    inside: int = 0


class Admission:
    """Used on the loop only."""

    def __init__(
        self,
        rates: Rates,
        slots: Slots,
        queue: FairQueue,
        reservations: Reservations,
        *,
        places: int,
        threads: int,
    ) -> None:
        self.slots = slots
        self.reservations = reservations
        self.inside = 0
        """Requests that hold a place now."""
        self._rates = rates
        self._queue = queue
        self._places = places
        self._threads = threads
        self._holders: dict[str, _Holder] = {}
        self._weights = 0
        self._newest = ""
        """Who was let in last; and when, and when anybody else was: monotonic ns."""
        self._newest_ns = self._before_ns = _NEVER_NS

    def configure(self, table: HubTable) -> None:
        """Weights of a new table. Organisations that left and hold nothing are forgotten."""
        weights: dict[str, int] = {share.organisation: share.weight for share in table.shares}
        present = {key.organisation for key in table.keys}
        self._holders = {
            name: _Holder(weights.get(name, 1), holder.inside)
            for name, holder in self._holders.items()
            if holder.inside or name in present
        }
        for name in present:
            self._holders.setdefault(name, _Holder(weights.get(name, 1)))
        self._weights = sum(h.weight for h in self._holders.values() if h.inside)

    def admit(self, caller: Caller, lane: Lane, work: Work) -> Lease:
        return Lease(self, caller, lane, work)

    def enter(self, caller: Caller, lane: Lane, work: Work) -> None:
        """Raises Overloaded, ConcurrencyExceeded or RateLimited; then nothing is held."""
        if self.inside >= self._places:
            raise Overloaded("this replica is full", retry_after=1)
        holder = self._holders.get(caller.principal.organisation)
        if holder is None:
            holder = self._holders[caller.principal.organisation] = _Holder()
        if holder.inside:
            self._check_part(holder, lane, work)
        if caller.slots:
            self.slots.check(caller.slots)
        self._rates.take(caller.limits)
        if caller.slots:
            self.slots.enter(caller.slots)
        if not holder.inside:
            self._weights += holder.weight
        holder.inside += 1
        self.inside += 1
        if caller.principal.organisation != self._newest:
            self._newest, self._before_ns = caller.principal.organisation, self._newest_ns
        self._newest_ns = work.admitted_ns

    def shared(self, organisation: str, since_ns: int) -> bool:
        """Whether others than `organisation` are inside, or were let in after `since_ns`."""
        holder = self._holders.get(organisation)
        if self.inside > (0 if holder is None else holder.inside):
            return True
        latest = self._before_ns if organisation == self._newest else self._newest_ns
        return latest > since_ns

    def leave(self, caller: Caller) -> None:
        holder = self._holders[caller.principal.organisation]
        holder.inside -= 1
        if not holder.inside:
            self._weights -= holder.weight
        self.inside -= 1
        if caller.slots:
            self.slots.leave(caller.slots)

    def _check_part(self, holder: _Holder, lane: Lane, work: Work) -> None:
        drain_us = holder.inside * lane.mean_us * self._weights / (holder.weight * self._threads)
        if self.inside >= self._places * 3 // 4:
            part = max(
                LEAST_PLACES, self._places * holder.weight // (self._weights + holder.weight)
            )
            if holder.inside >= part:
                raise Overloaded(
                    f"your organisation holds all of its part of this replica's queue: {part}",
                    retry_after=drain_us / 1e6,
                )
        left_us = (work.deadline_ns - work.admitted_ns) / 1000
        patience_us = lane.patience_us(left_us)
        if drain_us * lane.skew <= patience_us / 2:
            return
        foreseen_us = self._queue.wait_us(lane, work)
        if foreseen_us is None:
            return
        wait_us = foreseen_us * lane.skew
        if wait_us > patience_us:
            raise Overloaded(
                "the queue is longer than the time in which this is to be answered",
                retry_after=(wait_us - patience_us) / 1e6,
            )
        work.foreseen_us = foreseen_us
