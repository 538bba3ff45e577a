"""Clients that leave or dawdle: their requests end, and the quick ones never notice the watch."""

import asyncio

import pytest

from plaza_serving.doors.exchange import Watch
from plaza_serving.doors.http import HttpDoor

GOOD = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}


@pytest.fixture
def watch(monkeypatch, hub, settings):
    """A door whose watch ticks only when told, with half a second for a body."""
    monkeypatch.setattr(Watch, "_on_timer", lambda self: None)
    door = HttpDoor(hub, settings, body_seconds=0.5)
    return door, door._watch


async def until(condition):
    while not condition():
        await asyncio.sleep(0)


async def test_a_client_that_leaves_while_waiting_cancels_its_call(hub, watch, new_client):
    door, ticks = watch
    hub.hold = asyncio.Event()
    client = new_client(door)
    request = asyncio.create_task(client.infer(GOOD))
    await until(lambda: hub.calls)
    ticks.tick()
    assert len(asyncio.all_tasks()) == 2, "no listener before the request is old"
    ticks.tick()
    client.left.set()
    answer = await request
    assert (answer.status, hub.cancelled, len(ticks)) == (0, 1, 0)


async def test_a_slow_answer_still_arrives_and_its_listener_ends(hub, watch, new_client):
    door, ticks = watch
    hub.hold = asyncio.Event()
    request = asyncio.create_task(new_client(door).infer(GOOD))
    await until(lambda: hub.calls)
    ticks.tick()
    ticks.tick()
    ticks.tick()
    assert len(asyncio.all_tasks()) == 3
    hub.hold.set()
    assert (await request).status == 200
    assert len(ticks) == 0
    await until(lambda: len(asyncio.all_tasks()) == 1)


async def test_a_body_that_trickles_is_ended_with_504(hub, watch, new_client):
    door, ticks = watch
    client = new_client(door)
    answer = {}

    async def receive():
        client.received += 1
        await asyncio.Event().wait()

    async def send(message):
        answer.update(message)

    scope = {
        "type": "http", "method": "POST", "path": "/v2/models/echo/infer", "query_string": b"",
        "headers": [(b"authorization", b"Bearer consumer"), (b"transfer-encoding", b"chunked")],
    }  # fmt: skip
    request = asyncio.create_task(door(scope, receive, send))
    await until(lambda: client.received)
    for _ in range(25):
        ticks.tick()
    assert not request.done()
    ticks.tick()
    await request
    assert answer["status"] == 504
    assert (b"connection", b"close") in answer["headers"]
    assert (hub.calls, len(ticks)) == ([], 0)


async def test_a_client_that_leaves_while_sending_gets_no_answer(hub, door, new_client):
    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/v2/models/echo/infer", "query_string": b"",
        "headers": [(b"authorization", b"Bearer consumer")],
    }  # fmt: skip
    await door(scope, receive, send)
    assert (sent, hub.calls) == ([], [])


async def test_a_stop_from_outside_is_passed_on(hub, watch, new_client):
    door, ticks = watch
    hub.hold = asyncio.Event()
    request = asyncio.create_task(new_client(door).infer(GOOD))
    await until(lambda: hub.calls)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert (hub.cancelled, len(ticks)) == (1, 0)


async def test_the_timer_runs_only_while_something_is_open(hub, door, new_client):
    hub.hold = asyncio.Event()
    watch = door._watch
    client = new_client(door)
    request = asyncio.create_task(client.infer(GOOD))
    client.left.set()
    await request  # ended by the watch's own timer
    await until(lambda: watch._timer is None)
    assert hub.cancelled == 1
