"""Waits that end by a change, by time, or by the process stopping."""

import asyncio
import threading

from plaza_serving.control.broadcast import Broadcast


async def until_waiting(broadcast, count=1):
    while broadcast.waiting < count:
        await asyncio.sleep(0)


async def test_what_holds_already_is_not_waited_for():
    assert await Broadcast().until(lambda: True, 0)


async def test_time_ends_a_wait():
    assert not await Broadcast().until(lambda: False, 0.01)


async def test_a_change_on_another_thread_wakes_everybody():
    broadcast, state = Broadcast(), []
    waits = [asyncio.create_task(broadcast.until(lambda: bool(state), 60)) for _ in range(50)]
    await until_waiting(broadcast, 50)

    def change():
        state.append("done")
        broadcast.fire()

    threading.Thread(target=change).start()

    assert await asyncio.gather(*waits) == [True] * 50
    assert broadcast.waiting == 0


async def test_a_wake_up_without_the_change_goes_on_waiting():
    broadcast, state = Broadcast(), []
    wait = asyncio.create_task(broadcast.until(lambda: bool(state), 60))
    await until_waiting(broadcast)

    broadcast.fire()
    await asyncio.sleep(0)
    await until_waiting(broadcast)
    assert not wait.done()

    state.append("done")
    broadcast.fire()
    assert await wait


async def test_closing_ends_waits_now_and_later_ones_at_once():
    broadcast = Broadcast()
    wait = asyncio.create_task(broadcast.until(lambda: False, 60))
    await until_waiting(broadcast)

    broadcast.close()

    assert not await wait
    assert not await broadcast.until(lambda: False, 60)


async def test_a_cancelled_wait_leaves_nothing_behind():
    broadcast = Broadcast()
    wait = asyncio.create_task(broadcast.until(lambda: False, 60))
    await until_waiting(broadcast)

    wait.cancel()
    await asyncio.gather(wait, return_exceptions=True)

    assert broadcast.waiting == 0


async def test_conditions_of_time_are_looked_at_again():
    looks = []

    def third_look():
        looks.append(1)
        return len(looks) == 3

    assert await Broadcast().until(third_look, 60, recheck_s=0.001)


def test_firing_with_nobody_there_is_harmless():
    Broadcast().fire()
