"""What the fair queue costs per request, beside a queue that is first come, first served.

Both take the same requests through offer, take and settle on one thread, in turn and several times;
the median of the thread's CPU time counts. The plain queue is a deque per model: what a replica had
before there were shares.

    python -m benchmarks.queueing
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

from rich.console import Console
from rich.table import Table

from plaza_core.ids import KeyId, OrganisationId, ProjectId
from plaza_core.principal import Principal, Role
from plaza_serving.dataplane.bills import Bill
from plaza_serving.dataplane.fair import FairQueue
from plaza_serving.dataplane.lane import Lane
from plaza_serving.dataplane.work import Finished, Work

REQUESTS = 20_000
ROUNDS = 15
BAR_US = 3.0
_FAR_NS = 1 << 60


class AtOnce:
    """What a lane runs, as far as its queue asks."""

    def __init__(self, count: int) -> None:
        self._count = count

    def worth_joining(self) -> int:
        return self._count

    def __call__(self, works: Sequence[Work]) -> list[Finished]:
        raise AssertionError("nothing is run here")


class Plain:
    """First come, first served: one deque and one flag per model."""

    def __init__(self, run: AtOnce) -> None:
        self.run = run
        self.waiting: deque[Work] = deque()
        self.scheduled = False

    def offer(self, work: Work) -> bool:
        self.waiting.append(work)
        if not self.scheduled:
            self.scheduled = True
            return True
        return False

    def take(self, now_ns: int) -> list[Work]:
        taken: list[Work] = []
        enough = self.run.worth_joining()
        while len(taken) < enough:
            try:
                work = self.waiting.popleft()
            except IndexError:
                break
            if not work.claimed and now_ns < work.deadline_ns:
                taken.append(work)
        self.scheduled = bool(self.waiting)
        return taken


def requests(organisations: int) -> list[Work]:
    nothing = cast(Any, None)
    principals = [
        Principal(
            key=KeyId(f"key{n}"),
            organisation=OrganisationId(f"org{n}"),
            organisation_name=f"org{n}",
            project=ProjectId("p"),
            project_name="p",
            role=Role.CONSUMER,
            operator=False,
        )
        for n in range(organisations)
    ]
    return [
        Work(
            call=nothing,
            principal=principals[n % organisations],
            target=nothing,
            provider="none",
            deadline_ns=_FAR_NS + n,
            admitted_ns=0,
            admitted_unix_us=0,
            future=nothing,
        )
        for n in range(REQUESTS)
    ]


def plain(works: list[Work], _: list[Finished], waiting: int, at_once: int) -> float:
    """µs per request: `waiting` are offered, then all are taken, `at_once` in a batch."""
    lane = Plain(AtOnce(at_once))
    begin = time.thread_time_ns()
    for start in range(0, len(works), waiting):
        for work in works[start : start + waiting]:
            lane.offer(work)
        while lane.take(1) and lane.scheduled:
            pass
    return (time.thread_time_ns() - begin) / 1000 / len(works)


def fair(works: list[Work], finished: list[Finished], waiting: int, at_once: int) -> float:
    """The same through the fair queue; what is settled was made beforehand."""
    queue, lane = FairQueue(1), Lane(AtOnce(at_once))
    begin = time.thread_time_ns()
    for start in range(0, len(works), waiting):
        for work in works[start : start + waiting]:
            queue.offer(lane, work)
        at = start
        more = True
        while more and (batch := queue.take(1)):
            _, taken, more = batch
            queue.settle(lane, finished[at : at + len(taken)])
            at += len(taken)
    return (time.thread_time_ns() - begin) / 1000 / len(works)


Measure = Callable[[list[Work], list[Finished], int, int], float]


def compare(organisations: int, waiting: int, at_once: int) -> tuple[float, float]:
    """Medians of the plain and the fair queue, in µs per request."""
    works = requests(organisations)
    finished = [
        Finished(work, None, None, Bill(rows=1, compute_us=20, host_us=5)) for work in works
    ]
    order: tuple[Measure, Measure] = (plain, fair)
    times = [[way(works, finished, waiting, at_once) for way in order] for _ in range(ROUNDS)]
    before, after = zip(*times, strict=True)
    return statistics.median(before), statistics.median(after)


def main() -> int:
    shown = Table("organisations", "waiting", "in a batch", "plain µs", "fair µs", "more µs")
    worst = 0.0
    for organisations, waiting, at_once in [(1, 1, 32), (1, 16, 32), (4, 4, 1), (4, 16, 32)]:
        before, after = compare(organisations, waiting, at_once)
        worst = max(worst, after - before)
        numbers = [f"{x:.2f}" for x in (before, after, after - before)]
        shown.add_row(str(organisations), str(waiting), str(at_once), *numbers)
    Console().print(shown, f"the bar is {BAR_US} µs more per request", sep="\n")
    return 0 if worst <= BAR_US else 1


if __name__ == "__main__":
    sys.exit(main())
