"""What the hub itself costs per request: who asks, may it enter, what is held, spent, recorded.

    python -m benchmarks.admission

Every part is the real one and takes the request in the plane's order (key check, place, slots and
rates of organisation, project and key, reservation, usage line into a file, settlement); there is
no model, no queue and no transport. The bar is 15 µs at p50; `make bench` measures it too.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from plaza_core.clock import SystemClock
from plaza_core.ids import ReplicaId, RequestId
from plaza_core.inference import Call
from plaza_core.table import RateLimit
from plaza_serving.dataplane.access import AccessTable
from plaza_serving.dataplane.admission import Admission
from plaza_serving.dataplane.bills import Bill
from plaza_serving.dataplane.broker import Broker
from plaza_serving.dataplane.budgets import Budgets
from plaza_serving.dataplane.catalogue import Resolved
from plaza_serving.dataplane.fair import FairQueue
from plaza_serving.dataplane.lane import Lane
from plaza_serving.dataplane.prices import PriceList
from plaza_serving.dataplane.rates import Rates
from plaza_serving.dataplane.reservations import Reservations
from plaza_serving.dataplane.reserves import Reserves
from plaza_serving.dataplane.slots import Slots
from plaza_serving.dataplane.spool import Spool
from plaza_serving.dataplane.usage import usage_of
from plaza_serving.dataplane.work import Finished, Work
from tests.serving.dataplane.books import DeskChannel, books_for, desk_over
from tests.serving.dataplane.world import PEPPER, make_key, make_model, make_table

BAR_US = 15.0
_WARM, _ROUNDS = 2_000, 20_000
_COST = 100
_BUDGET = 10**12
_BILL = Bill(rows=1, compute_us=_COST, charge=_COST)
_REPLICA = ReplicaId("bench")

STEPS = (
    ("authenticate, admit, reserve", 0, 1),
    ("usage line into the spool", 1, 2),
    ("settle, leave", 2, 3),
    ("whole", 0, 3),
)
"""Name, and between which readings of the clock."""

Lap = tuple[int, int, int, int]

console = Console(highlight=False)


class _Nothing:
    """What the lane would run: nothing is run here."""

    def worth_joining(self) -> int:
        return 1

    def __call__(self, works: Sequence[Work]) -> list[Finished]:
        raise AssertionError("nothing is run here")


class OnePath:
    """The parts in the order of a request, with the clock read between them."""

    def __init__(self, directory: Path) -> None:
        clock, model = SystemClock(), make_model()
        entry, self.header = make_key(metered=True)
        branch = [entry.organisation, str(entry.project), entry.id]
        rate = RateLimit(per_second=1e6, burst=1_000_000)
        entry = entry.model_copy(
            update={"limits": [(n, rate) for n in branch], "slots": [(n, 64) for n in branch]}
        )
        table = make_table([model], [entry])
        self.clock = clock
        self.access = AccessTable(table, pepper=PEPPER, clock=clock)
        self.budgets = Budgets(clock)
        bank = books_for(clock, [entry], dict.fromkeys(branch, _BUDGET))
        channel = DeskChannel(desk_over(bank, clock))
        self.broker = Broker(self.budgets, channel, replica=_REPLICA, clock=clock)
        self.reservations = Reservations(self.budgets, Reserves())
        self.slots = Slots(clock)
        queue = FairQueue(1)
        self.admission = Admission(
            Rates(clock), self.slots, queue, self.reservations, places=512, threads=1
        )
        for part in (queue, self.admission):
            part.configure(table)
        self.branch = branch
        self.lane = Lane(_Nothing())
        self.prices = PriceList()
        self.spool = Spool(directory, _REPLICA, lambda _: None)
        self.spool.start()
        self.target = Resolved(model, model.versions[0])
        self.loop = asyncio.get_running_loop()

    def beat(self) -> None:
        """What control answers to a heartbeat: the slots are good for another 8 s."""
        self.slots.grant(dict.fromkeys(self.branch, 64), self.clock.monotonic_ns())

    async def request(self, number: int) -> Lap:
        """When it began, was admitted, was written down, and had left; ns."""
        call = Call(RequestId(f"r{number}"), "echo", None)
        began = time.perf_counter_ns()
        principal = self.access.authenticate(self.header).principal
        caller = self.access.caller(principal.key)
        target, now = self.target, self.clock.monotonic_ns()
        work = Work(
            call=call,
            principal=principal,
            target=target,
            provider="cpu",
            deadline_ns=now + 10_000_000_000,
            admitted_ns=now,
            admitted_unix_us=self.clock.unix_us(),
            future=self.loop.create_future(),
            price=self.prices.price(target.model.id, "cpu"),
        )
        async with self.admission.admit(caller, self.lane, work):
            admitted = time.perf_counter_ns()
            work.start()
            work.claim()
            held = work.reservation
            assert held is not None
            now_ns = self.clock.monotonic_ns()
            self.spool.append([usage_of(work, "ok", _BILL, _REPLICA, now_ns)])
            written = time.perf_counter_ns()
            self.reservations.settle(work, min(_COST, held.amount))
            self.reservations.learn(work, _BILL)
        return began, admitted, written, time.perf_counter_ns()


async def _laps(rounds: int) -> list[Lap]:
    with tempfile.TemporaryDirectory() as directory:
        path = OnePath(Path(directory))
        leases = asyncio.create_task(path.broker.run())
        path.beat()
        for number in range(_WARM):
            await path.request(number)
            if number % 100 == 0:
                await asyncio.sleep(0.001)  # the broker learns the pace
        laps = [await path.request(number) for number in range(_WARM, _WARM + rounds)]
        leases.cancel()
        await asyncio.gather(leases, return_exceptions=True)
        path.spool.close()
    return laps


def measure(rounds: int = _ROUNDS) -> dict[str, dict[str, float]]:
    """Step -> its p50 and p99 in µs; the last is the whole."""
    laps = asyncio.run(_laps(rounds))
    steps: dict[str, dict[str, float]] = {}
    for name, start, end in STEPS:
        cuts = statistics.quantiles(((lap[end] - lap[start]) / 1000 for lap in laps), n=100)
        steps[name] = {"p50_us": round(cuts[49], 2), "p99_us": round(cuts[98], 2)}
    return steps


def main() -> int:
    console.print(
        f"load average {os.getloadavg()[0]:.1f}; {_ROUNDS} requests; bar {BAR_US} µs at p50"
    )
    steps = measure()
    for name, cuts in steps.items():
        console.print(f"{name:30} p50 {cuts['p50_us']:7.2f} µs   p99 {cuts['p99_us']:7.2f} µs")
    return 0 if steps["whole"]["p50_us"] <= BAR_US else 1


if __name__ == "__main__":
    sys.exit(main())
