"""Settling: what was run or dropped is claimed, written down and charged; then it may be told.

Any thread. Usage is durable before any answer of a batch can leave; where it cannot be written the
callers are refused and nobody is charged.
"""

from __future__ import annotations

from collections.abc import Sequence

from plaza_core.clock import Clock
from plaza_core.errors import PlazaError
from plaza_core.ids import ReplicaId
from plaza_core.inference import UsageRecord
from plaza_core.ports import UsageSink
from plaza_serving.dataplane.bills import FREE, Bill
from plaza_serving.dataplane.counting import Counting
from plaza_serving.dataplane.reservations import Reservations
from plaza_serving.dataplane.routes import Router
from plaza_serving.dataplane.usage import usage_of
from plaza_serving.dataplane.work import Finished, Work


class Settling:
    def __init__(
        self,
        replica: ReplicaId,
        sink: UsageSink,
        clock: Clock,
        *,
        router: Router,
        reservations: Reservations,
        counting: Counting,
    ) -> None:
        self._replica = replica
        self._sink = sink
        self._now = clock.monotonic_ns
        self._router = router
        self._reservations = reservations
        self._counting = counting

    def write_down(self, finished: list[Finished]) -> tuple[Sequence[Work], list[Finished]]:
        """One batch. Returns what is to be tried again, and what callers may be told now."""
        again: Sequence[Work] = ()
        if any(done.work.route is not None for done in finished):
            finished, again = self._router.settle(finished, self._now())
        won = [done for done in finished if done.work.claim()]
        now = self._now()
        refusal = self.append([self._usage(d.work, d.told, d.bill, now) for d in finished])
        for done in finished:
            self._reservations.settle(done.work, 0 if refusal else done.bill.charge)
            if done.outcome is not None:
                self._reservations.learn(done.work, done.bill)
        self._counting.note(finished, now)
        if refusal is not None:
            won = [Finished(d.work, None, d.error or refusal) for d in won]
        return again, won

    def dropped(self, work: Work, now_ns: int) -> None:
        """A request that ended at `now_ns` and never started."""
        self._counting.dropped(work, now_ns)
        self.append([self._usage(work, work.dropped_as or "", FREE, now_ns)])

    def append(self, records: Sequence[UsageRecord]) -> PlazaError | None:
        """Why they could not be written, if so."""
        try:
            self._sink.append(records)
        except PlazaError as error:
            return error
        return None

    def _usage(self, work: Work, outcome: str, bill: Bill, now_ns: int) -> UsageRecord:
        return usage_of(work, outcome, bill, self._replica, now_ns)
