"""What a request is charged, however it ends; its reservation is given back exactly once."""

import asyncio

import numpy as np
import pytest

from plaza_core.budget import Price
from plaza_core.errors import DeadlineExceeded, LedgerUnavailable, ModelFailed, QuotaExceeded
from plaza_core.inference import Call
from plaza_core.running import Prepared
from plaza_core.testing import EchoRunner, EchoRunnerFactory, FakeClock, TensorFamily
from plaza_serving.dataplane.batch import BatchRunner
from tests.serving.dataplane.books import books_for, broker_of, desk_over
from tests.serving.dataplane.test_batch import SlowRunner, work
from tests.serving.dataplane.test_plane import GatedFactory, call
from tests.serving.dataplane.world import make_key, make_manifest, make_model, make_table


class Metered:
    """A plane, a key with a budget of 1,000,000 and a broker that runs."""

    def __init__(self, kit, *, limit=1_000_000, price=None, **options):
        self.kit = kit(**options)
        self.model = make_model()
        entry, self.header = make_key(metered=True)
        self.bank = books_for(self.kit.clock, [entry], {entry.project: limit})
        self.desk = desk_over(self.bank, self.kit.clock)
        self.broker = broker_of(self.kit, self.desk)
        prices = [] if price is None else [price]
        self.table = make_table([self.model], [entry], prices=prices)
        self.key = entry.id

    async def __aenter__(self):
        await self.kit.serve(self.table)
        self.task = asyncio.create_task(self.broker.run())
        self.principal = self.kit.plane.authenticate(self.header)
        return self

    async def __aexit__(self, *_):
        await self.kit.outcomes()
        assert self.purse.current.reserved == 0, "something was not given back"
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.bank.ingest(self.kit.usage.records.values())
        self.bank.check()
        assert await self.broker.close()
        assert self.bank.outstanding() == 0

    @property
    def purse(self):
        return self.kit.plane.budgets.purses[self.key]

    def has_cost(self, units, price):
        """Requests of the model have cost so much: a fifth more is reserved for the next."""
        for _ in range(8):
            self.kit.plane._reserves.observe((self.model.id, 1), price, 1, units)

    def infer(self, value=1.0, **options):
        return self.kit.plane.infer(self.principal, call(self.kit.plane, value, **options))

    async def record(self):
        await self.kit.outcomes()
        (record,) = self.kit.usage.records.values()
        return record


async def test_an_answer_tells_its_charge_and_what_is_left(kit):
    async with Metered(kit, price=Price(fixed=300), limit=1000) as m:
        outcome = await m.infer(rows=2)
        assert (outcome.charge, outcome.budget_remaining) == (600, 400)
        record = await m.record()
        assert (record.charge, record.overrun) == (600, 0)
        assert record.lease == m.purse.current.lease
        with pytest.raises(QuotaExceeded):
            await m.infer(rows=2)


async def test_a_key_without_a_budget_pays_the_same_price_and_holds_no_lease(kit):
    k = kit()
    entry, header = make_key()
    await k.serve(make_table([make_model()], [entry], prices=[Price(fixed=300)]))
    outcome = await k.plane.infer(k.plane.authenticate(header), call(k.plane, rows=2))
    assert (outcome.charge, outcome.budget_remaining) == (600, None)
    (record,) = k.usage.records.values()
    assert (record.charge, record.lease) == (600, None)


async def test_more_than_was_reserved_is_borne_by_the_platform(kit):
    price = Price(weight=1_000_000)
    async with Metered(kit, price=price, limit=2**50) as m:
        soon = m.kit.clock.monotonic_ns() + 10_000_000_000
        m.has_cost(5, price)  # so 7 are reserved
        outcome = await m.infer(deadline_ns=soon)
        record = await m.record()
        assert outcome.charge == record.charge == 7
        cost = price.cost(device_us=record.compute_us, host_us=record.host_us, rows=1)
        assert record.charge + record.overrun == cost


async def test_a_client_that_leaves_a_queued_request_pays_nothing(kit):
    async with Metered(kit, factory=GatedFactory()) as m:
        first = asyncio.create_task(m.infer())
        await asyncio.to_thread(m.kit.factory.entered.wait, 5)
        held = m.purse.current.reserved
        second = asyncio.create_task(m.infer())
        await asyncio.sleep(0.02)
        assert m.purse.current.reserved > held
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert m.purse.current.reserved == held, "given back at once"
        m.kit.factory.gate.set()
        await first
        assert sorted(await m.kit.outcomes()) == ["cancelled", "ok"]
        dropped = next(r for r in m.kit.usage.records.values() if r.outcome == "cancelled")
        assert (dropped.charge, dropped.overrun, dropped.rows) == (0, 0, 0)
        assert m.kit.factory.opened[0].batches == [1]


@pytest.mark.parametrize("ending", ["cancelled", "deadline_exceeded"])
async def test_what_has_started_is_charged_though_nobody_waits_for_it(kit, ending):
    clock = FakeClock()
    async with Metered(kit, factory=GatedFactory(), clock=clock) as m:
        task = asyncio.create_task(m.infer(deadline_ns=clock.monotonic_ns() + 1_000_000_000))
        await asyncio.to_thread(m.kit.factory.entered.wait, 5)
        if ending == "cancelled":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            clock.advance(2)
            m.kit.plane._sweep()
            with pytest.raises(DeadlineExceeded):
                await task
        assert not m.kit.usage.records, "its line is written when it has been measured"
        assert m.purse.current.reserved > 0
        m.kit.factory.gate.set()
        record = await m.record()
        assert record.outcome == ending
        assert record.charge == record.compute_us + record.host_us > 0


async def test_a_deadline_that_passes_in_the_queue_costs_nothing(kit):
    clock = FakeClock()
    async with Metered(kit, factory=GatedFactory(), clock=clock) as m:
        first = asyncio.create_task(m.infer())
        await asyncio.to_thread(m.kit.factory.entered.wait, 5)
        soon = clock.monotonic_ns() + 50_000_000
        late = asyncio.create_task(m.infer(deadline_ns=soon))
        await asyncio.sleep(0.02)
        clock.advance(0.1)
        with pytest.raises(DeadlineExceeded):
            await late
        m.kit.factory.gate.set()
        await first
        await m.kit.outcomes()
        dropped = next(r for r in m.kit.usage.records.values() if r.outcome != "ok")
        assert (dropped.outcome, dropped.charge) == ("deadline_exceeded", 0)


class Failing(EchoRunnerFactory):
    def open(self, directory, manifest):
        runner = super().open(directory, manifest)

        def run(inputs, outputs=None):
            raise ModelFailed("the model failed")

        runner.run = run
        return runner


async def test_a_model_that_fails_charges_nobody(kit):
    async with Metered(kit, factory=Failing()) as m:
        with pytest.raises(ModelFailed):
            await m.infer()
        record = await m.record()
        assert record.charge == 0
        assert record.overrun == record.compute_us + record.host_us > 0


async def test_an_answer_that_could_not_be_recorded_is_not_charged(kit):
    async with Metered(kit) as m:
        m.kit.usage.broken = True
        with pytest.raises(LedgerUnavailable):
            await m.infer()
        assert m.purse.current.spent == 0


async def test_a_request_that_waits_too_long_for_budget_gives_its_slot_back(kit):
    price = Price(weight=1000)
    async with Metered(kit, price=price, limit=2**50) as m:
        await m.infer()
        m.task.cancel()
        await asyncio.gather(m.task, return_exceptions=True)
        m.has_cost(2**30, price)
        with pytest.raises(DeadlineExceeded):
            await m.infer(deadline_ns=m.kit.clock.monotonic_ns() + 40_000_000)
        assert m.kit.plane._admission.inside == 0
        m.broker._wake.clear()
        m.broker._pending.clear()


async def test_a_price_that_changes_meanwhile_does_not_change_what_was_admitted(kit):
    async with Metered(kit, factory=GatedFactory(), price=Price(fixed=300)) as m:
        task = asyncio.create_task(m.infer())
        await asyncio.to_thread(m.kit.factory.entered.wait, 5)
        m.kit.plane.admit_table(m.table.model_copy(update={"prices": [Price(fixed=999)]}))
        m.kit.factory.gate.set()
        assert (await task).charge == 300


class Measured(TensorFamily):
    """A family that measures its work by the sum of its input."""

    def prepare(self, payload):
        prepared = super().prepare(payload)
        size = int(prepared.tensors["x"].sum())
        return Prepared(prepared.tensors, prepared.rows, size=size)


def test_a_run_is_split_by_the_measure_that_the_family_names():
    clock = FakeClock()
    signature = make_manifest().signature_spec()
    run = BatchRunner(
        SlowRunner(signature, clock, 0.001),
        Measured(),
        max_batch=8,
        weight=1,
        clock=clock,
        cpu_ns=clock.monotonic_ns,
    )
    works = []
    for tokens in (1, 3):
        one = work()
        payload = {"x": np.array([[tokens, 0]], np.float32)}
        one.call = Call("r", "echo", None, task=payload, family="tensor")
        works.append(one)
    assert [d.bill.compute_us for d in run(works)] == [500, 1500]


def test_charge_and_overrun_of_a_batch_are_what_it_cost_also_when_parts_of_it_fail():
    clock = FakeClock()

    class Poisoned(EchoRunner):
        def run(self, inputs, outputs=None):
            clock.advance(0.000_7 * len(inputs["x"]))
            if (inputs["x"] < 0).any():
                raise ModelFailed("the model failed")
            return super().run(inputs, outputs)

    price = Price(weight=3, host_weight=2)
    run = BatchRunner(
        Poisoned(make_manifest().signature_spec()),
        TensorFamily(),
        max_batch=8,
        weight=5,
        clock=clock,
        cpu_ns=clock.monotonic_ns,
    )
    works = []
    for value in (1, -1, 2):
        one = work()
        tensors = {"x": np.full((1, 2), value, np.float32)}
        one.call, one.price = Call("r", "echo", None, tensors=tensors), price
        works.append(one)
    began = clock.monotonic_ns()
    done = run(works)
    spent_us = (clock.monotonic_ns() - began) // 1000
    assert spent_us == 6 * 700, "once together, then each alone"
    assert sum(d.bill.charge + d.bill.overrun for d in done) == spent_us * price.weight
    assert sum(d.bill.compute_us for d in done) == spent_us * 5
    failed = next(d for d in done if d.error)
    assert failed.bill.charge == 0
    assert all(d.bill.charge == 700 * price.weight for d in done if not d.error)
