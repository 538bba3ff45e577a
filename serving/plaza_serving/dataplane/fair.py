"""Who is next: a fair queue over organisations, their keys, and deadlines.

    offer ─▶ organisation ─▶ key ─▶ earliest deadline       take: the organisation with the lowest
                                                            tag decides the lane; the batch is
                                                            filled from that lane in fair order

Start-time fair queueing (Goyal, Vin, Cheng 1996) over organisations, with the estimated cost when a
request is taken and the measured one when its batch is done, as in VTC (Sheng et al., 2024). It
conserves work: an idle share is lent by itself and is back within one batch, because a tag is all
that is remembered. Who comes back from idle is lifted to the lowest tag that waits.

For two organisations i, j that always wait, served by one worker, with L the most that one batch
gives an organisation:  |W_i/w_i − W_j/w_j| ≤ L_i/w_i + L_j/w_j  over any interval; twice that where
requests that are joined cost other than estimated. Each further worker adds what it has in hand,
and so does each whose place is taken while it waits for a cell (`substitutes`). An organisation
that has too many of those is held: nothing of it is taken, and it earns no credit meanwhile.
That is why a batch takes guests from its lane only while they are not ahead of somebody who waits
in another lane: joining is cheap, yet it must not become a second way to be served.

A borrowing limit caps an organisation's worker time at c = share × (1 + borrow_percent / 100) of
all threads, also while nobody else waits: in any interval T at most c·threads·(T + 50 ms) plus the
last batch. Its share is its weight / the sum of the weights of all organisations in the table.

Late, hopeless and claimed requests are dropped when met; they cost nothing. Pure but for its one
lock: times are handed in. `offer` and `configure` belong to the event loop, `take` and `settle` to
workers.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from heapq import heapify, heappop, heappush, heapreplace
from math import inf
from operator import attrgetter

from plaza_core.budget import ShareEntry
from plaza_core.principal import Principal
from plaza_core.table import HubTable
from plaza_serving.dataplane.flows import Key, Level, Organisation, Project
from plaza_serving.dataplane.lane import MEASURED_ENOUGH, Lane
from plaza_serving.dataplane.work import Finished, Work

TOLERANCE_NS = 50_000_000
"""How far a capped organisation may run ahead of its cap, so that it need not pause per request."""
_SWEEP_ABOVE = 1024
_NO_LIMIT = 1 << 30
_TAG = attrgetter("tag")


Batch = tuple[Lane, list[Work], bool]
"""Its lane, its requests, and whether anything waits that another worker might take."""


class FairQueue:
    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._serial = itertools.count()
        self._organisations: dict[str, Organisation] = {}
        self._keys: dict[str, Key] = {}
        self._active: dict[Organisation, None] = {}
        self._virtual = 0.0
        self._capped = False
        self._scheduled = False
        self._running = 0
        self._replaced = 0
        self._held: frozenset[str] = frozenset()
        self.resume_ns: int | None = None
        """When all that waits is over a borrowing limit: the moment the first of them is not."""

    # ── the event loop's side ────────────────────────────────────────────────────────────────────
    def configure(self, table: HubTable) -> None:
        """Weights, borrowing limits and priorities of a new table; what waits stays in place."""
        entries = {
            key.organisation: ShareEntry(organisation=key.organisation) for key in table.keys
        }
        entries.update({share.organisation: share for share in table.shares})
        whole = sum(entry.weight for entry in entries.values())
        with self._lock:
            for name, entry in entries.items():
                organisation = self._organisations.setdefault(name, Organisation())
                organisation.weight, organisation.mixed = entry.weight, False
                organisation.pace = self._pace(entry, whole)
            self._capped = any(o.pace is not None for o in self._organisations.values())
            present = {key.id for key in table.keys}
            for gone in [k for k, flow in self._keys.items() if k not in present]:
                if not self._keys[gone].queues:
                    del self._keys[gone]
            for key in table.keys:
                self._place(key.id, key.organisation, key.project, key.priority)

    def offer(self, lane: Lane, work: Work) -> bool:
        """Let `work` wait. True when a worker must be told that there is something to take."""
        key = self._keys.get(work.principal.key) or self._admit(work.principal)
        entry = (work.call.priority, work.deadline_ns, next(self._serial), work)
        with self._lock:
            organisation = key.organisation
            queues = organisation.lanes.get(lane)
            if queues is None:
                if not organisation.lanes:
                    self._arrive(organisation)
                queues = organisation.lanes[lane] = lane.waiting[organisation] = {}
            queue = queues.get(key)
            if queue is None:
                queues[key] = [entry]
                if not key.queues:
                    key.join()
                key.queues += 1
            else:
                heappush(queue, entry)
                if len(queue) > _SWEEP_ABOVE:
                    _sweep(queue)
            wake = not self._scheduled
            self._scheduled = True
        return wake

    def wait_us(self, lane: Lane, work: Work) -> float | None:
        """How long `work` would wait behind what its own key has ahead of it, if it may be known.

        Well founded only where the lane was measured; then it is the time to serve what is ahead
        at the organisation's present share of all threads.
        """
        key = self._keys.get(work.principal.key)
        if key is None or lane.measured < MEASURED_ENOUGH:
            return None
        with self._lock:
            organisation = key.organisation
            queue = organisation.lanes.get(lane, {}).get(key, ())
            mine = (work.call.priority, work.deadline_ns)
            ahead = sum(entry[:2] <= mine for entry in queue)
            whole = sum(o.weight for o in self._active if o is not organisation)
        share = organisation.weight / (organisation.weight + whole)
        return ahead * lane.mean_us / (share * self._threads)

    # ── the workers' side ────────────────────────────────────────────────────────────────────────
    def take(self, now_ns: int, most: int = _NO_LIMIT) -> Batch | None:
        """The next batch, of `most` requests at most. None: nothing waits, or only what `resume_ns`
        tells or is held."""
        with self._lock:
            self.resume_ns = None
            while (head := self._head(now_ns)) is not None:
                self._virtual = head.tag
                lane = next(iter(head.lanes)) if len(head.lanes) == 1 else head.first()
                works = self._fill(lane, head, now_ns, most)
                if works:
                    lane.waited(works, now_ns)
                    self._running += 1
                    self._scheduled = bool(self._active)
                    return lane, works, self._scheduled
            self._scheduled = False
            return None

    def settle(self, lane: Lane, finished: Sequence[Finished]) -> bool:
        """Correct by what the batch has cost. True when a worker should look again.

        A request that failed keeps its estimate: failing must not be a way to run for nothing.
        """
        total, measured = 0, 0
        with self._lock:
            self._running -= 1
            for done in finished:
                work = done.work
                if done.error is None and work.flow is not None:
                    cost = done.bill.compute_us + done.bill.host_us
                    work.flow.correct(work, cost)
                    total += cost
                    measured += 1
            if measured:
                lane.learn(total, measured)
            if measured < len(finished):
                lane.failed()
            wake = self.resume_ns is not None and not self._scheduled
            self._scheduled = self._scheduled or wake
        return wake

    def spare(self) -> bool:
        """Whether nothing waits and a worker is idle: only then may background work begin.

        Without the lock: a request that comes at this moment finds its worker idle all the same,
        because background work has a thread of its own.
        """
        return not self._active and self._running - self._replaced < self._threads

    def idle(self) -> bool:
        """Whether nothing waits and nothing runs. Without the lock: only the loop offers, and what
        ends at this moment makes it no less true."""
        return not self._active and not self._running

    def hold(self, names: frozenset[str], replaced: int) -> bool:
        """Take nothing of the organisations `names` until told otherwise; `replaced` of the running
        batches occupy no worker. True when a worker should look again."""
        with self._lock:
            self._replaced = replaced
            for name in self._held - names:
                organisation = self._organisations[name]
                if organisation in self._active:
                    self._lift(organisation)
                organisation.held = False
            for name in names:
                self._organisations[name].held = True
            released, self._held = self._held - names, names
            wake = bool(released and self._active) and not self._scheduled
            self._scheduled = self._scheduled or wake
        return wake

    def alone(self, now_ns: int) -> bool:
        """Whether the next batch would be smaller than it is worth."""
        with self._lock:
            head = self._head(now_ns)
            if head is None:
                return False
            lane = head.first()
            waiting = sum(len(q) for queues in lane.waiting.values() for q in queues.values())
            return waiting < lane.run.worth_joining()

    # ── inside, under the lock ───────────────────────────────────────────────────────────────────
    def _head(self, now_ns: int) -> Organisation | None:
        """The admissible organisation with the lowest tag."""
        active = self._active
        if not active:
            return None
        if not self._capped and not self._held:
            return min(active, key=_TAG) if len(active) > 1 else next(iter(active))
        free = [o for o in active if self._may(o, now_ns)]
        if free:
            return min(free, key=_TAG)
        earned = [o.free_ns for o in active if not o.held]
        self.resume_ns = min(earned) - TOLERANCE_NS if earned else None
        return None

    def _fill(self, lane: Lane, head: Organisation, now_ns: int, most: int) -> list[Work]:
        enough = min(most, lane.run.worth_joining())
        works: list[Work] = []
        if enough == 1 or (len(self._active) == 1 and head.pace is None):
            while len(works) < enough and (work := self._pop(head, lane, now_ns)):
                works.append(work)
            return works
        others = (o for o in self._active if lane not in o.lanes and self._may(o, now_ns))
        elsewhere = min(map(_TAG, others), default=inf)
        order = [(o.tag, n, o, o.tag) for n, o in enumerate(lane.waiting) if self._may(o, now_ns)]
        heapify(order)
        while order and len(works) < enough:
            _, n, organisation, before = order[0]
            work = None if before > elsewhere else self._pop(organisation, lane, now_ns)
            if work is not None:
                works.append(work)
            if lane in organisation.lanes and work is not None and self._may(organisation, now_ns):
                heapreplace(order, (organisation.tag, n, organisation, before))
                continue
            heappop(order)
            lanes = organisation.lanes
            if lanes and lane not in lanes and self._may(organisation, now_ns):
                elsewhere = min(elsewhere, organisation.tag)
        return works

    def _may(self, organisation: Organisation, now_ns: int) -> bool:
        if organisation.held:
            return False
        return organisation.pace is None or organisation.free_ns <= now_ns + TOLERANCE_NS

    def _pop(self, organisation: Organisation, lane: Lane, now_ns: int) -> Work | None:
        """The organisation's next request in this lane that is still wanted, paid for."""
        queues = organisation.lanes.get(lane)
        if queues is None:
            return None
        taken: Work | None = None
        while queues and taken is None:
            key = next(iter(queues)) if len(queues) == 1 else organisation.pick(queues)
            queue = queues[key]
            while queue:
                work = heappop(queue)[3]
                if not lane.hopeless(work.deadline_ns - now_ns) and work.start():
                    key.charge(work, lane.mean_us, now_ns)
                    taken = work
                    break
            if not queue:
                del queues[key]
                key.queues -= 1
                if not key.queues:
                    key.leave()
        if not queues:
            del organisation.lanes[lane], lane.waiting[organisation]
            if not organisation.lanes:
                del self._active[organisation]
        return taken

    def _arrive(self, organisation: Organisation) -> None:
        """Its first request begins to wait: it starts where the others are, without credit."""
        self._lift(organisation)
        self._active[organisation] = None

    def _lift(self, organisation: Organisation) -> None:
        """No credit for the time that it was away. Who is held is no measure of the others."""
        active = self._active
        tags = (o.tag for o in active if not o.held) if self._held else map(_TAG, active)
        least = min(tags, default=self._virtual)
        if organisation.tag < least:
            organisation.tag = least
            organisation.lifts += 1

    def _admit(self, principal: Principal) -> Key:
        with self._lock:
            return self._place(principal.key, principal.organisation, principal.project, 0)

    def _place(self, key: str, name: str, project: str | None, priority: int) -> Key:
        organisation = self._organisations.setdefault(name, Organisation())
        level = organisation.levels.setdefault(priority, Level(-priority))
        flow = self._keys.get(key)
        if flow is None:
            home = organisation.projects.setdefault(project, Project())
            flow = self._keys[key] = Key(organisation, home, level, -priority)
        elif flow.level is not level:
            flow.level, flow.order = level, -priority
            flow.tag = max(flow.tag, level.virtual)
        organisation.mixed = organisation.mixed or priority != 0
        return flow

    def _pace(self, entry: ShareEntry, whole: int) -> float | None:
        if entry.borrow_percent is None:
            return None
        part = entry.weight / whole * (1 + entry.borrow_percent / 100)
        return None if part >= 1 else 1000 / (part * self._threads)


def _sweep(queue: list[tuple[int, int, int, Work]]) -> None:
    """Drop abandoned requests that were not met yet, so that leaving clients fill no memory."""
    queue[:] = [entry for entry in queue if not entry[3].claimed]
    heapify(queue)
