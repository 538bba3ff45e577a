"""What a key may spend here: from memory where possible, from control else, never too much."""

import asyncio

import pytest

from plaza_core.budget import Period
from plaza_core.errors import QuotaExceeded, Unavailable
from plaza_core.testing import FakeClock
from plaza_serving.dataplane.access import AccessTable
from plaza_serving.dataplane.broker import Broker
from plaza_serving.dataplane.budgets import Budgets
from tests.serving.dataplane.books import DeskChannel, books_for, desk_over
from tests.serving.dataplane.world import PEPPER, make_key, make_table


class Side:
    """Budgets and broker of one replica; the test moves the broker by hand or lets it run."""

    def __init__(self, name, clock, desk):
        self.clock = clock
        self.budgets = Budgets(clock)
        self.channel = DeskChannel(desk)
        self.broker = Broker(self.budgets, self.channel, replica=name, clock=clock)

    async def hold(self, caller, amount):
        key = caller.principal.key
        held = self.budgets.reserve(key, amount, self.clock.unix_us())
        return held or await asyncio.wait_for(self.budgets.wait(caller, amount), 30)

    def free(self, caller):
        purse = self.budgets.purses.get(caller.principal.key)
        return purse.current.free if purse and purse.current else 0


class Scene:
    """Keys of one organisation with a budget, and replicas that spend from it."""

    def __init__(self, limit, *, keys=1, replicas=1, period=Period.TOTAL):
        self.clock = FakeClock()
        entries = [make_key(metered=True)[0] for _ in range(keys)]
        self.bank = books_for(self.clock, entries, {entries[0].organisation: limit}, period)
        access = AccessTable(make_table(keys=entries), pepper=PEPPER, clock=self.clock)
        self.callers = [access.caller(entry.id) for entry in entries]
        self.desk = desk_over(self.bank, self.clock, live=replicas)
        self.sides = [Side(f"replica-{n}", self.clock, self.desk) for n in range(replicas)]
        self.tasks = []

    async def __aenter__(self):
        self.tasks = [asyncio.create_task(side.broker.run()) for side in self.sides]
        await asyncio.sleep(0.01)  # the long polls are there
        return self

    async def __aexit__(self, *_):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.desk.close()
        self.bank.check()


async def test_a_balance_that_suffices_is_spent_without_asking():
    async with Scene(100_000) as scene:
        (side,), (caller,) = scene.sides, scene.callers
        first = await side.hold(caller, 100)
        side.budgets.settle(first, 30)
        asked = side.channel.exchanges
        again = side.budgets.reserve(caller.principal.key, 70, scene.clock.unix_us())
        assert again is not None
        assert again.lease == first.lease
        assert side.channel.exchanges == asked == 1


async def test_a_reservation_is_given_back_exactly_once():
    async with Scene(1000) as scene:
        (side,), (caller,) = scene.sides, scene.callers
        held = await side.hold(caller, 100)
        for charge in (40, 0, 100):
            side.budgets.settle(held, charge)
        assert side.free(caller) == 60


async def test_those_who_wait_are_served_in_order_by_what_others_give_back():
    async with Scene(100) as scene:
        (side,), (caller,) = scene.sides, scene.callers
        first = await side.hold(caller, 100)
        side.channel.desk = Slow(scene.desk)
        waits = [asyncio.create_task(side.hold(caller, n)) for n in (50, 40)]
        await asyncio.sleep(0.01)
        await asyncio.to_thread(side.budgets.settle, first, 10)
        held = await asyncio.gather(*waits)
        assert [one.amount for one in held] == [50, 40]
        assert side.free(caller) == 0


class Slow:
    """A desk whose answers come when nobody needs them any more."""

    def __init__(self, desk):
        self._desk = desk
        self.recalls = desk.recalls

    async def exchange(self, asks, *, recall=None):
        await asyncio.sleep(0.05)
        return await self._desk.exchange(asks, recall=recall)


async def test_a_request_that_leaves_while_it_waits_holds_nothing():
    async with Scene(1000) as scene:
        (side,), (caller,) = scene.sides, scene.callers
        side.channel.desk = Slow(scene.desk)
        wait = asyncio.create_task(side.hold(caller, 100))
        await asyncio.sleep(0.01)
        wait.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wait
        await asyncio.sleep(0.06)
        assert side.free(caller) == scene.bank.outstanding() == 100


async def test_a_request_that_leaves_in_the_moment_of_its_grant_gives_it_back():
    async with Scene(1000) as scene:
        (side,), (caller,) = scene.sides, scene.callers
        purse = side.budgets._purse(caller)
        wait = asyncio.create_task(side.budgets.wait(caller, 100))
        while not (purse.current and purse.current.reserved):
            await asyncio.sleep(0)
        wait.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wait
        assert (purse.current.reserved, side.free(caller)) == (0, 100)


async def test_a_budget_that_is_used_up_says_until_when():
    async with Scene(100, period=Period.DAY) as scene:
        (side,), (caller,) = scene.sides, scene.callers
        await side.hold(caller, 100)
        with pytest.raises(QuotaExceeded, match="organisation") as refused:
            await side.hold(caller, 1)
        midnight = 86_400 - scene.clock.unix_us() / 1e6 % 86_400
        assert refused.value.retry_after == pytest.approx(midnight)
        assert refused.value.input == "organisation"
        assert "begins anew on 20" in refused.value.message
        with pytest.raises(QuotaExceeded, match="begins anew") as again:
            await side.hold(caller, 1)
        assert again.value.input == "organisation", "the remembered no says as much"


async def test_a_no_is_remembered_for_a_moment_so_that_a_dry_key_costs_control_little():
    async with Scene(100) as scene:
        (side,), (caller,) = scene.sides, scene.callers
        held = await side.hold(caller, 100)
        for _ in range(5):
            with pytest.raises(QuotaExceeded):
                await side.hold(caller, 60)
        assert side.channel.exchanges == 3, "the first need, the second, and its recall"
        side.budgets.settle(held, 50)
        smaller = await side.hold(caller, 50)
        assert smaller.amount == 50, "what is free here needs no asking"
        scene.clock.advance(0.2)
        with pytest.raises(QuotaExceeded):
            await side.hold(caller, 60)
        assert side.channel.exchanges == 5


async def test_a_smaller_request_is_not_refused_with_a_larger_one():
    async with Scene(100) as scene:
        (side,), (caller,) = scene.sides, scene.callers
        large = asyncio.create_task(side.hold(caller, 101))
        small = asyncio.create_task(side.hold(caller, 100))
        assert (await small).amount == 100
        with pytest.raises(QuotaExceeded):
            await large


async def test_without_control_a_balance_lasts_and_others_are_told_to_come_back():
    async with Scene(100_000, keys=2) as scene:
        (side,), (rich, poor) = scene.sides, scene.callers
        held = await side.hold(rich, 100)
        side.budgets.settle(held, 0)
        side.channel.away = True
        assert await side.hold(rich, 100)
        with pytest.raises(Unavailable) as refused:
            await side.hold(poor, 100)
        assert refused.value.retry_after
        side.channel.away = False
        assert await side.hold(poor, 100)


async def test_what_lies_idle_on_one_replica_is_recalled_for_another():
    async with Scene(100, replicas=2) as scene:
        (here, there), (caller,) = scene.sides, scene.callers
        held = await here.hold(caller, 90)
        here.budgets.settle(held, 5)
        got = await there.hold(caller, 95)
        assert got.amount == 95
        assert here.free(caller) == 0
        with pytest.raises(QuotaExceeded):
            await there.hold(caller, 1)


async def test_what_lies_idle_under_another_key_of_the_same_replica_is_recalled_too():
    async with Scene(100, keys=2) as scene:
        (side,), (one, other) = scene.sides, scene.callers
        held = await side.hold(one, 100)
        side.budgets.settle(held, 0)
        assert (await side.hold(other, 100)).amount == 100


async def test_a_replica_that_does_not_answer_a_recall_delays_a_refusal_by_little():
    async with Scene(100, replicas=2) as scene:
        (here, there), (caller,) = scene.sides, scene.callers
        held = await here.hold(caller, 100)
        here.budgets.settle(held, 0)
        scene.tasks[0].cancel()
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(QuotaExceeded):
            await there.hold(caller, 100)
        assert 0.05 < loop.time() - began < 10


async def test_idle_balances_go_back_and_busy_ones_keep_what_soon_is_needed():
    async with Scene(10**9) as scene:
        (side,), (caller,) = scene.sides, scene.callers
        side.budgets.settle(await side.hold(caller, 10**6), 0)
        for _ in range(30):
            scene.clock.advance(0.5)
            side.budgets.settle(await side.hold(caller, 1000), 500)
            side.broker.tick()
            await asyncio.sleep(0.005)
        assert 0 < side.free(caller) < 10**6 // 50
        scene.clock.advance(2)
        side.broker.tick()
        await asyncio.sleep(0.02)
        assert side.free(caller) == 0
        purse = side.budgets.purses[caller.principal.key]
        assert scene.bank.outstanding() == purse.current.spent, "all but what is on its way"


async def test_a_steady_key_is_filled_ahead_of_its_need():
    async with Scene(10**9) as scene:
        (side,), (caller,) = scene.sides, scene.callers
        waited = 0
        for n in range(100):
            held = side.budgets.reserve(caller.principal.key, 1000, scene.clock.unix_us())
            if held is None:
                waited += n > 20
                held = await side.hold(caller, 1000)
            side.budgets.settle(held, 1000)
            scene.clock.advance(0.1)
            if n % 5 == 4:
                side.broker.tick()
                await asyncio.sleep(0.005)
        assert waited == 0


async def steady(scene, side, caller, seconds):
    """Ten requests of 100 units a second; how many had to wait for control."""
    waited = 0
    for n in range(10 * seconds):
        held = side.budgets.reserve(caller.principal.key, 100, scene.clock.unix_us())
        if held is None:
            waited += 1
            held = await side.hold(caller, 100)
        side.budgets.settle(held, 100)
        scene.clock.advance(0.1)
        if n % 5 == 4:
            side.broker.tick()
            await asyncio.sleep(0.005)
    return waited


async def test_who_has_an_ample_budget_does_not_notice_that_control_is_away_for_ten_seconds():
    async with Scene(10**9) as scene:
        (side,), (caller,) = scene.sides, scene.callers
        await steady(scene, side, caller, 10)
        side.channel.away = True
        assert await steady(scene, side, caller, 9) == 0


async def test_of_a_short_budget_no_replica_hoards_more_than_a_few_seconds():
    async with Scene(30_000) as scene:
        (side,), (caller,) = scene.sides, scene.callers
        for _ in range(20):
            await steady(scene, side, caller, 1)
            left = 30_000 - side.budgets.purses[caller.principal.key].current.spent
            assert side.free(caller) <= max(3000, left // 5)


async def test_a_request_spends_from_the_period_of_its_admission():
    async with Scene(100, period=Period.DAY) as scene:
        (side,), (caller,) = scene.sides, scene.callers
        old = await side.hold(caller, 100)
        with pytest.raises(QuotaExceeded):
            await side.hold(caller, 100)
        scene.clock.advance(86_400)
        new = await side.hold(caller, 100)
        assert new.lease != old.lease
        side.budgets.settle(old, 30)
        side.broker.tick()
        await asyncio.sleep(0.02)
        purse = side.budgets.purses[caller.principal.key]
        assert not purse.owes, "the old lease was returned and forgotten"
        assert scene.bank.leases[old.lease].returned == 70
        scene.clock.advance(3601)
        side.broker.tick()
        assert not purse.past


async def test_closing_returns_everything_and_says_when_it_could_not():
    scene = Scene(100, keys=2)
    async with scene:
        (side,), callers = scene.sides, scene.callers
        for caller in callers:
            side.budgets.settle(await side.hold(caller, 50), 0)
    side.channel.away = True
    assert not await side.broker.close()
    assert scene.bank.outstanding() == 100
    side.channel.away = False
    assert not await side.broker.close(), "what was lost may still arrive: control has to close"
    assert scene.bank.outstanding() == 0


async def test_closing_is_confirmed_where_nothing_was_lost():
    scene = Scene(100)
    async with scene:
        (side,), (caller,) = scene.sides, scene.callers
        side.budgets.settle(await side.hold(caller, 50), 0)
    assert await side.broker.close()
    assert scene.bank.outstanding() == 0


async def test_a_key_that_is_revoked_or_no_longer_metered_returns_its_lease():
    async with Scene(100, keys=2) as scene:
        (side,), (stays, goes) = scene.sides, scene.callers
        for caller in (stays, goes):
            side.budgets.settle(await side.hold(caller, 50), 0)
        side.broker.keep_only({stays.principal.key})
        side.broker.tick()
        await asyncio.sleep(0.02)
        assert scene.bank.outstanding() == 50


async def test_where_control_knows_no_budget_nothing_is_held():
    scene = Scene(100)
    scene.bank.limits.clear()
    async with scene:
        (side,), (caller,) = scene.sides, scene.callers
        held = await side.hold(caller, 50)
        assert held.lease is None
        side.budgets.settle(held, 50)


async def test_a_replica_whose_clock_is_ahead_still_gets_what_is_there():
    async with Scene(1000, period=Period.DAY) as scene:
        (side,), (caller,) = scene.sides, scene.callers
        await side.hold(caller, 10)
        ahead = FakeClock(scene.clock.unix_us() + 86_400_000_000)
        side.clock = side.budgets._clock = side.broker._clock = ahead
        held = await side.hold(caller, 500)
        assert held.amount == 500
