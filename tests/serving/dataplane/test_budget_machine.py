"""Budgets and brokers of several replicas against one bank, while asks and answers are lost, late
or repeated, clients leave, periods end and replicas die: nothing is overspent, nothing leaks."""

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from plaza_core.budget import Grants, Period, Recall
from plaza_core.errors import PlazaError, Unavailable
from plaza_core.ids import Digest, ModelId, RequestId
from plaza_core.inference import UsageRecord
from plaza_core.testing import FakeClock
from plaza_serving.dataplane.access import AccessTable
from plaza_serving.dataplane.broker import Broker
from plaza_serving.dataplane.budgets import Budgets
from tests.serving.dataplane.books import books_for
from tests.serving.dataplane.world import PEPPER, make_key, make_table

REPLICAS, KEYS = 2, 3
replicas, callers = st.integers(0, REPLICAS - 1), st.integers(0, KEYS - 1)
FATES = ("heard", "ask lost", "answer lost")


class Line:
    """LeaseChannel whose next exchange meets a chosen fate; lost asks may still arrive later."""

    def __init__(self, bank):
        self._bank = bank
        self.fate = "heard"
        self.lost = 0
        self.overtaken = False
        self.limbo = []

    async def exchange(self, asks, *, recall=None):
        fate, self.fate = self.fate, "heard"
        self.lost += fate != "heard"
        if fate == "ask lost":
            self.limbo.append(asks)
            raise Unavailable("lost on the way there")
        grants = self._bank.exchange(asks.replica, asks.asks, live=REPLICAS)
        if fate == "answer lost":
            raise Unavailable("lost on the way back")
        return Grants(grants=grants)

    async def recalls(self, replica, after, wait_s):
        raise Unavailable("the test recalls by hand")


class Replica:
    def __init__(self, name, clock, bank):
        self.name = name
        self.budgets = Budgets(clock)
        self.line = Line(bank)
        self.broker = Broker(self.budgets, self.line, replica=name, clock=clock)
        self.waiting = []
        self.held = []
        self.spool = []

    def holdings(self):
        for purse in self.budgets.purses.values():
            yield from purse.past
            if purse.current is not None:
                yield purse.current


class BudgetMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        entries = [make_key(project=p, metered=True)[0] for p in ("one", "one", "two")]
        first, _, third = entries
        limits = {first.organisation: 500, first.project: 300, first.id: 250, third.id: 400}
        self.bank = books_for(self.clock, entries, limits, Period.DAY)
        access = AccessTable(make_table(keys=entries), pepper=PEPPER, clock=self.clock)
        self.callers = [access.caller(entry.id) for entry in entries]
        self.made = 0
        self.replicas = self.run(self.start_all())

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    async def start_all(self):
        return [self.new_replica() for _ in range(REPLICAS)]

    def new_replica(self):
        self.made += 1
        return Replica(f"replica-{self.made}", self.clock, self.bank)

    async def settle_down(self, replica):
        """Let the broker say what it has to, and waiting requests hear of it."""
        for _ in range(50):
            await asyncio.sleep(0)
            if not replica.broker._wake.is_set():
                break
            replica.broker._wake.clear()
            await replica.broker.exchange()
        else:
            raise AssertionError("the broker does not come to rest")
        for task in [t for t in replica.waiting if t.done()]:
            replica.waiting.remove(task)
            if task.cancelled():
                continue
            if task.exception() is None:
                replica.held.append(task.result())
            else:
                assert isinstance(task.exception(), PlazaError)

    def act(self, number, action):
        async def acting():
            replica = self.replicas[number]
            result = action(replica)
            if asyncio.iscoroutine(result):
                await result
            await self.settle_down(replica)

        self.run(acting())

    # ── what may happen ──────────────────────────────────────────────────────────────────────────
    @rule(number=replicas, who=callers, amount=st.integers(1, 120), fate=st.sampled_from(FATES))
    def ask(self, number, who, amount, fate):
        caller = self.callers[who]

        def start(replica):
            replica.line.fate = fate
            now = self.clock.unix_us()
            held = replica.budgets.reserve(caller.principal.key, amount, now)
            if held is not None:
                replica.held.append(held)
            else:
                task = self.loop.create_task(replica.budgets.wait(caller, amount))
                replica.waiting.append(task)

        self.act(number, start)

    @rule(number=replicas, who=callers, leave=st.booleans())
    def ask_and_leave(self, number, who, leave):
        async def start(replica):
            task = self.loop.create_task(replica.budgets.wait(self.callers[who], 10))
            replica.waiting.append(task)
            await asyncio.sleep(0)
            replica.broker._wake.clear()
            if leave:
                task.cancel()
            await replica.broker.exchange()
            task.cancel()

        self.act(number, start)

    @rule(number=replicas, which=st.integers(0), percent=st.integers(0, 100))
    def settle(self, number, which, percent):
        def finish(replica):
            if not replica.held:
                return
            held = replica.held.pop(which % len(replica.held))
            charge = held.amount * percent // 100
            replica.spool.append(self.record(replica, held, charge))
            replica.budgets.settle(held, charge)
            replica.budgets.settle(held, 0)

        self.act(number, finish)

    @rule(number=replicas)
    def ship(self, number):
        self.bank.ingest(self.replicas[number].spool)

    @rule(number=replicas, seconds=st.sampled_from([0.5, 3, 86_400]), fate=st.sampled_from(FATES))
    def time_passes(self, number, seconds, fate):
        self.clock.advance(seconds)

        def tick(replica):
            replica.line.fate = fate
            replica.broker.tick()

        self.act(number, tick)

    @rule(number=replicas, who=callers, fate=st.sampled_from(FATES))
    def recall(self, number, who, fate):
        def answer(replica):
            replica.line.fate = fate
            nodes = [self.callers[who].principal.organisation]
            return replica.broker.answer(Recall(number=1, nodes=nodes))

        self.act(number, answer)

    @rule(number=replicas, who=callers)
    def a_key_leaves_the_table_and_may_come_back(self, number, who):
        stay = {c.principal.key for c in self.callers} - {self.callers[who].principal.key}

        def leave(replica):
            replica.broker.keep_only(stay)
            replica.broker._wake.set()

        self.act(number, leave)

    @rule(number=replicas)
    def a_lost_ask_arrives_late(self, number):
        line = self.replicas[number].line
        if line.limbo:
            asks = line.limbo.pop(0)
            line.overtaken = True
            self.bank.exchange(asks.replica, asks.asks, live=REPLICAS)

    @rule(number=replicas)
    def a_replica_dies_and_is_adopted(self, number):
        async def replace(dead):
            for task in dead.waiting:
                task.cancel()
            await asyncio.gather(*dead.waiting, return_exceptions=True)
            self.bank.ingest(dead.spool)
            self.bank.close(dead.name)
            self.replicas[number] = self.new_replica()

        self.run(replace(self.replicas[number]))

    # ── what must hold ───────────────────────────────────────────────────────────────────────────
    @invariant()
    def nothing_is_overspent(self):
        self.bank.check()

    @invariant()
    def every_lease_adds_up(self):
        for replica in self.replicas:
            for h in replica.holdings():
                assert h.granted == h.returned + h.spent + h.reserved + h.free
                assert min(h.returned, h.spent, h.reserved, h.free) >= 0
                assert h.granted <= self.bank.leases[h.lease].granted

    def teardown(self):
        try:
            for number, replica in enumerate(self.replicas):
                self.come_to_rest(number, replica)
            self.bank.check()
        finally:
            self.loop.close()

    def come_to_rest(self, number, replica):
        for task in replica.waiting:
            task.cancel()
        self.act(number, lambda _: None)
        while replica.held:
            self.settle(number, 0, 50)
        self.ship(number)
        for _ in range(3):
            self.time_passes(number, 0.5, "heard")
        held = sum(h.granted - h.returned - h.spent for h in replica.holdings())
        assert sum(h.reserved for h in replica.holdings()) == 0
        # What an overtaken ask opened is found at the key's next need, or at the end.
        if not replica.line.overtaken:
            known = self.bank.outstanding(replica.name, current=True)
            assert known == held, "a lost grant was not found again"
            self.time_passes(number, 3, "heard")
            assert self.bank.outstanding(replica.name, current=True) == 0, "idle goes back"
        if not self.run(replica.broker.close()):
            assert replica.line.lost, "all was said and heard"
            self.bank.close(replica.name)
        assert self.bank.outstanding(replica.name) == 0

    @staticmethod
    def record(replica, held, charge):
        number = f"{replica.name}-{len(replica.spool)}"
        return UsageRecord(
            organisation="org_acme",
            project=None,
            key="k",
            request_id=RequestId(number),
            model=ModelId("m"),
            version=1,
            digest=Digest("0" * 64),
            provider="echo",
            rows=1,
            compute_us=charge,
            host_us=0,
            latency_us=1,
            outcome="ok",
            at_unix_us=1,
            replica=replica.name,
            charge=charge,
            lease=held.lease,
        )


TestBudgetMachine = BudgetMachine.TestCase
TestBudgetMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
