"""The data plane: the whole path of one request, free of transport.

    authenticate ─▶ resolve ─▶ check ─▶ admit ─▶ lane ─▶ worker: prepare, batch, run, interpret
                                                              └─▶ settle: spool ─▶ answer

Everything here but `_settle` runs on the event loop and takes microseconds. What was run is settled
where it was run, by a worker thread or, for the shortest, by the loop: usage is durable before any
answer of its batch can leave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from plaza_core.budget import Price
from plaza_core.certificate import Environment
from plaza_core.clock import Clock
from plaza_core.errors import DeadlineExceeded, ModelLoading, ModelNotFound
from plaza_core.ids import ModelId, RandomBytes, ReplicaId, RequestId, RequestIds
from plaza_core.inference import Call, Outcome
from plaza_core.ports import UsageSink
from plaza_core.principal import Principal, Right
from plaza_core.table import Heartbeat, HeartbeatReply, HubTable
from plaza_serving.dataplane.access import AccessTable, Caller
from plaza_serving.dataplane.admission import Admission
from plaza_serving.dataplane.background import Background
from plaza_serving.dataplane.budgets import Budgets
from plaza_serving.dataplane.catalogue import Catalogue, Resolved
from plaza_serving.dataplane.counting import Counting
from plaza_serving.dataplane.fair import FairQueue
from plaza_serving.dataplane.hosted import Hosted
from plaza_serving.dataplane.hosting import ModelHost
from plaza_serving.dataplane.prices import PriceList
from plaza_serving.dataplane.rates import Rates
from plaza_serving.dataplane.reservations import Reservations
from plaza_serving.dataplane.reserves import Reserves, rows_of
from plaza_serving.dataplane.routes import Route, Router
from plaza_serving.dataplane.settling import Settling
from plaza_serving.dataplane.shadows import Means, Shadows
from plaza_serving.dataplane.sightings import Sightings
from plaza_serving.dataplane.slots import Slots
from plaza_serving.dataplane.views import view_of
from plaza_serving.dataplane.work import Finished, Work, deliver
from plaza_serving.dataplane.workers import Here, Workers
from plaza_serving.plane import ModelView
from plaza_serving.pools import Elsewhere
from plaza_serving.statistics import VersionStatistics

_SWEEP_LEAST_S = 0.005
"""Deadlines closer together than this are answered by one sweep."""
_NEVER = 1 << 62
_LATELY_NS = 2_000_000_000
_EMPTY = HubTable(version="", models=[], keys=[])


@dataclass(frozen=True, slots=True)
class PlaneOptions:
    """What the settings say to the plane."""

    pool: str
    slots: int
    default_deadline_ms: int
    worker_threads: int
    batch_delay_us: int
    weight: int = 1
    """Of the provider: what a µs of its device costs where no price says otherwise."""
    at_once: bool = False
    """Whether the event loop may run what takes a few µs: then `sink` must not wait for anybody."""
    environment: Environment | None = None
    """Where this replica runs: what certificates must be for. None: not a pool of a hub."""


class DataPlane:
    """Implements `plaza_serving.plane.Plane`. Made and used on one event loop."""

    def __init__(
        self,
        *,
        replica: ReplicaId,
        options: PlaneOptions,
        host: ModelHost,
        sink: UsageSink,
        pepper: bytes,
        clock: Clock,
        random: RandomBytes,
    ) -> None:
        self.clock = clock
        self.rates = Rates(clock)
        self.budgets = Budgets(clock)
        self._replica = replica
        self._options = options
        self._host = host
        self._pepper = pepper
        self._ids = RequestIds(random)
        self._access = AccessTable(_EMPTY, pepper=pepper, clock=clock)
        self.catalogue = Catalogue(_EMPTY)
        self.slots = Slots(clock)
        self._beats = 0
        self._queue = FairQueue(options.worker_threads)
        self._reserves = Reserves()
        self._reservations = Reservations(self.budgets, self._reserves)
        self._prices = PriceList(weight=options.weight)
        self._admission = Admission(
            self.rates,
            self.slots,
            self._queue,
            self._reservations,
            places=options.slots,
            threads=options.worker_threads,
        )
        self._inside: set[Work] = set()
        self._loop = asyncio.get_running_loop()
        self._workers = Workers(
            options.worker_threads,
            self._settle,
            clock,
            queue=self._queue,
            delay_s=options.batch_delay_us / 1e6,
            here=Here(self._loop.call_soon, self._settle_here) if options.at_once else None,
        )
        self._sweeper: asyncio.TimerHandle | None = None
        self._sweep_ns = _NEVER
        self._counting = Counting()
        self._sightings = Sightings(self._beat_soon)
        self._router = Router(host, self._sightings)
        self._settling = Settling(
            replica,
            sink,
            clock,
            router=self._router,
            reservations=self._reservations,
            counting=self._counting,
        )
        self._background = Background(self._queue.spare)
        self._workers.on_spare = self._background.nudge
        self._shadows = Shadows(host, self._sightings, self._background, self._means())

    # ── tables ───────────────────────────────────────────────────────────────────────────────────
    def admit_table(self, table: HubTable) -> None:
        """Keys, limits and prices take effect now."""
        self._access = AccessTable(table, pepper=self._pepper, clock=self.clock)
        self._prices = PriceList(table.prices, weight=self._options.weight)
        self._reserves.keep_only(table)
        self._queue.configure(table)
        self._admission.configure(table)
        self.rates.forget_except({node for key in table.keys for node, _ in key.limits})

    async def publish_table(self, table: HubTable) -> None:
        """Open what the table's aliases name, then let callers see its names."""
        await self._host.prepare(table)
        self._background.keep_only(self._sightings.keep_only(table))
        self.catalogue = Catalogue(table)
        self._host.keep_only(table)
        self._counting.keep_only(table)
        self.slots.due.set()  # a promotion waits until control has heard of it

    def heartbeat(self) -> Heartbeat:
        """What control should know now. Counts since the last one begin anew."""
        self._beats += 1
        self._host.sweep()
        return Heartbeat(
            replica=self._replica,
            pool=self._options.pool,
            table_version=self.catalogue.table.version,
            ready=self._host.ready(),
            failed=self._host.failed(),
            arrivals=self.rates.arrivals(),
            inside=self.slots.wanted(),
            held=self.slots.held(),
            rollouts=self._sightings.observations(),
            environment=self._options.environment,
            sequence=self._beats,
        )

    def heed(self, reply: HeartbeatReply, sent_ns: int) -> None:
        """Control's answer to the heartbeat that was sent at `sent_ns`."""
        self.rates.share_among(reply.live_replicas, reply.rate_shares)
        self.slots.grant(reply.slots, sent_ns)

    # ── verbs of the doors ───────────────────────────────────────────────────────────────────────
    def new_request_id(self) -> RequestId:
        return self._ids.new(self.clock.unix_us() // 1000)

    def authenticate(self, authorization: str | None) -> Principal:
        return self._access.authenticate(authorization).principal

    def model(self, principal: Principal, name: str, version: str | None) -> ModelView:
        principal.require(Right.MODELS_READ)
        return self._view(name, self.catalogue.resolve(principal, name, version))

    def models(self, principal: Principal) -> list[ModelView]:
        principal.require(Right.MODELS_READ)
        return [self._view(r.model.name, r) for r in self.catalogue.visible(principal)]

    def elsewhere(self, principal: Principal, name: str, version: str | None) -> Elsewhere | None:
        try:
            target = self.catalogue.resolve(principal, name, version)
        except ModelNotFound:  # whoever is asked for it says so, in words of its own
            return None
        return self._host.elsewhere(target.key, target.version)

    def statistics(
        self, principal: Principal, name: str | None, version: str | None
    ) -> list[VersionStatistics]:
        principal.require(Right.MODELS_READ)
        return self._counting.asked(self.catalogue, principal, name, version)

    def shared(self, principal: Principal) -> bool:
        since = self.clock.monotonic_ns() - _LATELY_NS
        return self._admission.shared(principal.organisation, since)

    def live(self) -> bool:
        return self._workers.alive()

    def mean_wait_ms(self) -> float:
        """How long requests waited for a worker since this was asked last."""
        return self._workers.waits.mean_ms()

    def ready(self) -> bool:
        return bool(self.catalogue.table.version) and self.live()

    async def infer(self, principal: Principal, call: Call) -> Outcome:
        principal.require(Right.INFER)
        caller = self._access.caller(principal.key)
        target = self.catalogue.resolve(principal, call.model, call.version)
        if target.divided is not None:
            chosen = await self._router.choose(target, target.divided, call, self._hosted)
            outcome = await self._serve(caller, chosen.target, call, chosen.hosted, chosen.route)
            if chosen.route is not None and chosen.route.shadows:
                # Soon, not now: the answer leaves in this turn of the loop.
                self._loop.call_soon(self._shadows.compute, principal, call, chosen.route, outcome)
            return outcome
        # Nearly always it is open: a coroutine for that would be a microsecond of each request.
        hosted = self._host.get(target.key) or await self._hosted(target)
        hosted.check(call)
        return await self._serve(caller, target, call, hosted)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────
    async def _serve(
        self,
        caller: Caller,
        target: Resolved,
        call: Call,
        hosted: Hosted,
        route: Route | None = None,
    ) -> Outcome:
        now = self.clock.monotonic_ns()
        provider = hosted.runner.provider
        work = Work(
            call=call,
            principal=caller.principal,
            target=target,
            provider=provider,
            deadline_ns=self._deadline(call, hosted, now),
            admitted_ns=now,
            admitted_unix_us=self.clock.unix_us(),
            future=self._loop.create_future(),
            price=self._price(target.model.id, provider),
            rows=rows_of(call, batched=hosted.batched),
            route=route,
        )
        second = None if route is None else route.stable
        hosted.users += 1
        if second is not None:
            second.users += 1
        try:
            async with self._admission.admit(caller, hosted.lane, work):
                self._inside.add(work)
                if work.deadline_ns < self._sweep_ns:
                    self._sweep_at(work.deadline_ns)
                try:
                    self._workers.offer(hosted.lane, work)
                    return await work.future
                except asyncio.CancelledError:
                    self._abandon(work)
                    raise
                finally:
                    self._inside.discard(work)
        finally:
            hosted.leave()
            if second is not None:
                second.leave()

    async def _hosted(self, target: Resolved) -> Hosted:
        hosted = self._host.get(target.key)
        if hosted is not None:
            return hosted
        try:
            async with asyncio.timeout(self._options.default_deadline_ms / 1000):
                return await self._host.demand(target.key, target.version)
        except TimeoutError:
            raise ModelLoading("the model is still loading", retry_after=2) from None

    def _deadline(self, call: Call, hosted: Hosted, now: int) -> int:
        """The earlier of what the caller asks and what the model allows."""
        born = now - call.age_ns
        ceiling = born + hosted.manifest.limits.deadline_ms * 1_000_000
        if call.deadline_ns is not None:
            return min(call.deadline_ns, ceiling)
        return min(ceiling, born + self._options.default_deadline_ms * 1_000_000)

    def _sweep_at(self, deadline_ns: int) -> None:
        """One timer, for the earliest deadline: waking the loop for nothing costs others time."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        wait = (deadline_ns - self.clock.monotonic_ns()) / 1e9
        self._sweeper = self._loop.call_later(max(_SWEEP_LEAST_S, wait), self._sweep)
        self._sweep_ns = deadline_ns

    def _sweep(self) -> None:
        """Answer what is late, also what a worker is still computing."""
        now = self.clock.monotonic_ns()
        late = [w for w in self._inside if now >= w.deadline_ns and w.claim(DeadlineExceeded.code)]
        for work in late:
            self._drop(work)
            if not work.future.done():
                work.future.set_exception(
                    DeadlineExceeded("the deadline passed before the answer was ready")
                )
        self._sweeper, self._sweep_ns = None, _NEVER
        waiting = [w.deadline_ns for w in self._inside if not w.claimed]
        if waiting:
            self._sweep_at(min(waiting))

    def _abandon(self, work: Work) -> None:
        """The client left: what has not started never will, what has is charged when it ends."""
        if work.claim("cancelled"):
            self._drop(work)

    def _drop(self, work: Work) -> None:
        """Usage of a request that never started; a started one is written when it has run."""
        if not work.started:
            self._workers.later(partial(self._settling.dropped, work, self.clock.monotonic_ns()))

    def _settle(self, finished: list[Finished]) -> None:
        """Worker thread: hand the answers to the loop in one wake-up."""
        again, told = self._settling.write_down(finished)
        if again:
            self._loop.call_soon_threadsafe(self._offer_again, again)
        if told:
            self._loop.call_soon_threadsafe(deliver, told)

    def _settle_here(self, finished: list[Finished]) -> None:
        """The same on the loop, for what it has run itself."""
        again, told = self._settling.write_down(finished)
        self._offer_again(again)
        deliver(told)

    def _offer_again(self, works: Sequence[Work]) -> None:
        """What a canary failed on waits for the stable version, unless nobody waits for it."""
        for work in works:
            stable = None if work.route is None else work.route.stable
            if stable is not None and not work.claimed and not work.future.done():
                self._workers.offer(stable.lane, work)

    def _price(self, model: ModelId, provider: str) -> Price:
        return self._prices.price(model, provider)

    def _beat_soon(self) -> None:
        """Any thread."""
        self._loop.call_soon_threadsafe(self.slots.due.set)

    def _means(self) -> Means:
        return Means(
            clock=self.clock,
            replica=self._replica,
            new_request_id=self.new_request_id,
            price=self._price,
            record=self._settling.append,
        )

    def _view(self, name: str, resolved: Resolved) -> ModelView:
        hosted = self._host.get(resolved.key)
        return view_of(name, resolved, hosted, self._options.environment, pool=self._options.pool)

    async def close(self) -> None:
        """Finish running batches, close every model."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._background.keep_only(set())
        await asyncio.to_thread(self._background.close)
        await asyncio.to_thread(self._workers.close)
        await self._host.close()
