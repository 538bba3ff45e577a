"""A pool in simulated time: real fair queues, and workers that are events instead of threads."""

import heapq
import itertools
from dataclasses import dataclass, field

from plaza_core.budget import ShareEntry
from plaza_core.errors import ModelFailed
from plaza_core.ids import RequestId
from plaza_core.inference import Call
from plaza_core.principal import Principal, Role
from plaza_core.table import HubTable
from plaza_serving.dataplane.bills import Bill
from plaza_serving.dataplane.catalogue import Resolved
from plaza_serving.dataplane.fair import TOLERANCE_NS, FairQueue
from plaza_serving.dataplane.lane import Lane
from plaza_serving.dataplane.work import Finished, Work
from tests.serving.dataplane.world import make_key, make_model

FAR_NS = 1 << 60
_MODEL = make_model()
TARGET = Resolved(_MODEL, _MODEL.versions[0])


class Joins:
    """What a lane runs, as far as the queue asks: how many at once."""

    def __init__(self, at_once=1):
        self.at_once = at_once

    def worth_joining(self):
        return self.at_once

    def __call__(self, works, early=None):
        raise AssertionError("the simulation runs nothing")


def lane(at_once=1):
    return Lane(Joins(at_once))


def principal(organisation, key="k", project="p"):
    return Principal(
        key=f"{organisation}/{key}",
        organisation=organisation,
        organisation_name=organisation,
        project=project,
        project_name=project,
        role=Role.CONSUMER,
        operator=False,
    )


def table(weights, borrow=None, priorities=None):
    """Organisations with their weights; `borrow` and `priorities` (by key id) where they differ."""
    keys = []
    names = [(o, f"{o}/k", 0) for o in weights]
    names += [(k.split("/")[0], k, p) for k, p in (priorities or {}).items()]
    for organisation, key, priority in names:
        entry, _ = make_key()
        entry = entry.model_copy(
            update={"id": key, "organisation": organisation, "project": "p", "priority": priority}
        )
        keys.append(entry)
    shares = [
        ShareEntry(organisation=o, weight=w, borrow_percent=(borrow or {}).get(o))
        for o, w in weights.items()
    ]
    return HubTable(version="1", models=[], keys=keys, shares=shares)


def work(organisation, cost_us=1000, *, key="k", project="p", deadline_ns=FAR_NS, priority=5):
    made = Work(
        call=Call(RequestId("r"), "m", None, priority=priority),
        principal=principal(organisation, key, project),
        target=TARGET,
        provider="none",
        deadline_ns=deadline_ns,
        admitted_ns=0,
        admitted_unix_us=0,
        future=None,
    )
    return Costly(made, cost_us)


@dataclass(eq=False)
class Costly:
    """A request that knows what it will cost, which the queue does not. On the clock it takes
    `stretch` times as long."""

    work: Work
    cost_us: int
    stretch: float = 1.0


@dataclass
class Pool:
    """One replica. `served` is worker time by organisation in µs, of finished batches."""

    queue: FairQueue
    threads: int
    now_ns: int = 0
    served: dict[str, int] = field(default_factory=dict)
    batches: list[list[Costly]] = field(default_factory=list)

    def __post_init__(self):
        self._events = []
        self._order = itertools.count()
        self._known = {}
        self._idle = self.threads
        self.on_begin = lambda works: None
        self.on_done = lambda costly: None
        self.on_step = lambda: None

    def at(self, when_ns, action):
        heapq.heappush(self._events, (when_ns, next(self._order), action))

    def offer(self, where, costly):
        self._known[costly.work] = costly
        self.queue.offer(where, costly.work)

    def run(self, until_s):
        """Until that moment, or until nothing happens any more."""
        self._start()
        while self._events and self._events[0][0] <= until_s * 1e9:
            self.now_ns, _, action = heapq.heappop(self._events)
            action()
            if not (self._events and self._events[0][0] == self.now_ns):
                self._start()
                self.assert_no_slot_idles()
                self.on_step()

    def _start(self):
        while self._idle and (batch := self.queue.take(self.now_ns)):
            works = [self._known[w] for w in batch[1]]
            for costly in works:
                assert not costly.work.claimed
                assert self.now_ns < costly.work.deadline_ns
            self.batches.append(works)
            self.on_begin(works)
            self._idle -= 1
            took_ns = round(1000 * sum(w.cost_us * w.stretch for w in works))
            self.at(self.now_ns + took_ns, lambda b=batch, w=works: self._finish(b, w))
        if self._idle and self.queue.resume_ns is not None:
            self.at(max(self.now_ns + 1, self.queue.resume_ns), lambda: None)

    def _finish(self, batch, works):
        self._idle += 1
        self.queue.settle(
            batch[0],
            [Finished(w.work, None, None, Bill(rows=1, compute_us=w.cost_us)) for w in works],
        )
        for costly in works:
            name = costly.work.principal.organisation
            self.served[name] = self.served.get(name, 0) + costly.cost_us
            costly.work.claim()
            self.on_done(costly)

    def assert_no_slot_idles(self):
        """I13: no worker is free while a request waits that may run."""
        if not self._idle:
            return
        for organisation in self.queue._active:
            live = [
                entry[3]
                for queues in organisation.lanes.values()
                for queue in queues.values()
                for entry in queue
                if not entry[3].claimed and self.now_ns < entry[3].deadline_ns
            ]
            capped = organisation.pace and organisation.free_ns > self.now_ns + TOLERANCE_NS
            assert not live or capped


def pool(weights, threads=1, borrow=None, priorities=None):
    queue = FairQueue(threads)
    queue.configure(table(weights, borrow, priorities))
    return Pool(queue, threads)


def failed(costly):
    return Finished(costly.work, None, ModelFailed("it failed"))


def jain(parts):
    """1 when all are equal, 1/n when one has everything."""
    return sum(parts) ** 2 / (len(parts) * sum(p * p for p in parts))
