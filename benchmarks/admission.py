"""What the hub itself costs per request: who asks, may it enter, what is held, spent, recorded.

    python -m benchmarks.admission

Every part is the real one (key check, GCRA, slot, reservation, settlement, spool file); there is no
model, no queue and no transport. Prints µs per request; the bar is 15 µs at p50.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from plaza_core.clock import SystemClock
from plaza_core.ids import RequestId
from plaza_core.inference import Call, UsageRecord
from plaza_serving.dataplane.access import AccessTable
from plaza_serving.dataplane.admission import Admission
from plaza_serving.dataplane.broker import Broker
from plaza_serving.dataplane.budgets import Budgets
from plaza_serving.dataplane.catalogue import Resolved
from plaza_serving.dataplane.prices import PriceList
from plaza_serving.dataplane.rates import Rates
from plaza_serving.dataplane.reservations import Reservations
from plaza_serving.dataplane.reserves import Reserves
from plaza_serving.dataplane.spool import Spool
from plaza_serving.dataplane.work import Work
from tests.serving.dataplane.books import DeskChannel, books_for, desk_over
from tests.serving.dataplane.world import PEPPER, make_key, make_model, make_table

BAR_US = 15.0
_WARM, _ROUNDS = 2_000, 20_000
_COST = 100
_BUDGET = 10**12

console = Console(highlight=False)


class OnePath:
    """The parts in the order of a request, with the clock read between them."""

    def __init__(self, directory: Path) -> None:
        clock, model = SystemClock(), make_model()
        entry, self.header = make_key(metered=True)
        self.clock = clock
        self.access = AccessTable(make_table([model], [entry]), pepper=PEPPER, clock=clock)
        self.budgets = Budgets(clock)
        bank = books_for(clock, [entry], {entry.organisation: _BUDGET, entry.id: _BUDGET})
        channel = DeskChannel(desk_over(bank, clock))
        self.broker = Broker(self.budgets, channel, replica="bench", clock=clock)
        self.reservations = Reservations(self.budgets, Reserves())
        self.admission = Admission(Rates(clock), self.reservations, slots=512)
        self.prices = PriceList()
        self.spool = Spool(directory, "bench", lambda _: None)
        self.spool.start()
        self.target = Resolved(model, model.versions[0])
        self.loop = asyncio.get_running_loop()

    async def request(self, number: int) -> tuple[int, int, int, int]:
        """When it began, was admitted, was written down, and had left; ns."""
        began = time.perf_counter_ns()
        caller = self.access.authenticate(self.header)
        target, now = self.target, self.clock.monotonic_ns()
        work = Work(
            call=Call(RequestId(f"r{number}"), "echo", None),
            principal=caller.principal,
            target=target,
            provider="cpu",
            deadline_ns=now + 10_000_000_000,
            admitted_ns=now,
            admitted_unix_us=self.clock.unix_us(),
            future=self.loop.create_future(),
            price=self.prices.price(target.model.id, "cpu"),
        )
        async with self.admission.admit(caller, work):
            admitted = time.perf_counter_ns()
            work.start()
            work.claim()
            held = work.reservation
            assert held is not None
            self.spool.append([self.record(work, held.lease)])
            written = time.perf_counter_ns()
            self.reservations.settle(work, min(_COST, held.amount))
            self.reservations.learn(work, _COST)
        return began, admitted, written, time.perf_counter_ns()

    def record(self, work: Work, lease: str | None) -> UsageRecord:
        return UsageRecord(
            organisation=work.principal.organisation,
            project=work.principal.project,
            key=work.principal.key,
            request_id=work.call.request_id,
            model=work.target.model.id,
            version=work.target.version.version,
            digest=work.target.version.digest,
            provider=work.provider,
            rows=work.rows,
            compute_us=_COST,
            host_us=0,
            latency_us=(self.clock.monotonic_ns() - work.admitted_ns) // 1000,
            outcome="ok",
            at_unix_us=work.admitted_unix_us,
            replica="bench",
            charge=_COST,
            lease=lease,
        )


async def measure() -> float:
    with tempfile.TemporaryDirectory() as directory:
        path = OnePath(Path(directory))
        leases = asyncio.create_task(path.broker.run())
        for number in range(_WARM):
            await path.request(number)
            if number % 100 == 0:
                await asyncio.sleep(0.001)  # the broker learns the pace
        laps = [await path.request(number) for number in range(_WARM, _WARM + _ROUNDS)]
        leases.cancel()
        await asyncio.gather(leases, return_exceptions=True)
        path.spool.close()
    admit, write, settle, whole = (
        [(lap[b] - lap[a]) / 1000 for lap in laps] for a, b in ((0, 1), (1, 2), (2, 3), (0, 3))
    )
    for name, times in (
        ("authenticate, admit, reserve", admit),
        ("usage line into the spool", write),
        ("settle, leave", settle),
        ("whole", whole),
    ):
        cuts = statistics.quantiles(times, n=100)
        console.print(f"{name:30} p50 {cuts[49]:7.2f} µs   p99 {cuts[98]:7.2f} µs")
    return statistics.median(whole)


def main() -> int:
    console.print(
        f"load average {os.getloadavg()[0]:.1f}; {_ROUNDS} requests; bar {BAR_US} µs at p50"
    )
    return 0 if asyncio.run(measure()) <= BAR_US else 1


if __name__ == "__main__":
    sys.exit(main())
