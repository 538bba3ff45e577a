"""Leases over control's internal doors: exchanged with the node's token, recalled before a no."""

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest

from plaza_core.budget import LeaseAsk, LeaseAsks, Period
from plaza_core.errors import Unavailable
from plaza_core.testing import FakeClock
from plaza_serving.control.main import jobs_of
from plaza_serving.control.recalls import Recalls
from plaza_serving.dataplane.control_client import ControlClient
from tests.serving.control.conftest import BASE, NODE_TOKEN, open_world
from tests.serving.dataplane.books import Books

NODES = ["org", "key-1", "key-2"]


@pytest.fixture
def world(tmp_path):
    bank = Books(
        FakeClock(),
        {"org": (100, Period.TOTAL)},
        {"key-1": ["org", "key-1"], "key-2": ["org", "key-2"]},
    )
    opened = open_world(tmp_path, bank=bank)
    opened.bank = bank
    yield opened
    opened.parts.close_waits()
    opened.parts.tenancy.close()


@asynccontextmanager
async def client_of(world, token=NODE_TOKEN):
    client = ControlClient(BASE, token)
    await client._async.aclose()
    transport = httpx.ASGITransport(world.app)
    headers = {"authorization": f"Bearer {token}"}
    client._async = httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers)
    yield client
    await client.close()


def asks(replica, *entries):
    return LeaseAsks(replica=replica, asks=[LeaseAsk(**entry) for entry in entries])


async def test_one_exchange_answers_for_all_keys_in_order(world):
    async with client_of(world) as client:
        needs = [{"key": "key-2", "need": 10}, {"key": "key-1", "need": 20}]
        answer = await client.exchange(asks("r1", *needs))
    assert [(g.key, g.granted) for g in answer.grants] == [("key-2", 10), ("key-1", 20)]
    world.bank.check()


async def test_an_exchange_that_is_repeated_changes_nothing(world):
    async with client_of(world) as client:
        first = await client.exchange(asks("r1", {"key": "key-1", "need": 10}))
        again = await client.exchange(asks("r1", {"key": "key-1", "need": 10}))
    assert first == again
    assert world.bank.outstanding() == 10


async def test_a_need_is_met_from_what_others_give_back(world):
    async with client_of(world) as one, client_of(world) as other:
        held = (await one.exchange(asks("r1", {"key": "key-1", "need": 100}))).grants[0]
        poll = asyncio.create_task(one.recalls("r1", 0, 20))
        while not world.parts.leases._recalls.listeners():
            await asyncio.sleep(0.001)
        need = asyncio.create_task(other.exchange(asks("r2", {"key": "key-2", "need": 60})))
        recall = await poll
        assert recall.nodes == ["org"]
        back = {"key": "key-1", "lease": held.lease, "granted": 100, "returned": 70}
        await one.exchange(asks("r1", back), recall=recall.number)
        (grant,) = (await need).grants
    assert (grant.granted, grant.short_of) == (60, None)
    world.bank.check()


async def test_where_nobody_listens_a_no_is_given_at_once(world):
    async with client_of(world) as client:
        await client.exchange(asks("r1", {"key": "key-1", "need": 100}))
        (grant,) = (await client.exchange(asks("r2", {"key": "key-2", "need": 1}))).grants
    assert grant.short_of == "org"


async def test_only_what_was_short_is_asked_again(world):
    async with client_of(world) as client:
        await client.exchange(asks("r9", {"key": "key-1", "need": 1}))
        poll = asyncio.create_task(client.recalls("r9", 0, 20))
        await asyncio.sleep(0.01)
        needs = [{"key": "key-1", "need": 90, "wish": 90}, {"key": "key-2", "need": 50}]
        first, second = (await client.exchange(asks("r1", *needs))).grants
        await poll
    assert (first.granted, first.short_of) == (90, None)
    assert (second.granted, second.short_of) == (0, "org")
    assert world.bank.outstanding() == 91


async def test_who_holds_nothing_below_the_node_is_not_asked(world):
    async with client_of(world) as client:
        await client.exchange(asks("r1", {"key": "key-1", "need": 100}))
        polls = [asyncio.create_task(client.recalls(r, 0, 20)) for r in ("r1", "r2")]
        while len(world.parts.leases._recalls.listeners()) < 2:
            await asyncio.sleep(0.001)
        need = asyncio.create_task(client.exchange(asks("r3", {"key": "key-2", "need": 1})))
        assert (await polls[0]).nodes == ["org"]
        await need
        assert not polls[1].done()
        world.parts.close_waits()
        assert await polls[1] is None


async def test_where_nobody_holds_anything_a_no_is_given_at_once(world):
    async with client_of(world) as client:
        poll = asyncio.create_task(client.recalls("r1", 0, 20))
        while not world.parts.leases._recalls.listeners():
            await asyncio.sleep(0.001)
        (grant,) = (await client.exchange(asks("r2", {"key": "key-2", "need": 101}))).grants
        assert grant.short_of == "org"
        assert not poll.done()
        world.parts.close_waits()
        await poll


async def test_a_poll_without_recall_ends_empty(world):
    async with client_of(world) as client:
        assert await client.recalls("r1", 0, 0.01) is None
        poll = asyncio.create_task(client.recalls("r1", 0, 20))
        await asyncio.sleep(0.01)
        world.parts.close_waits()
        assert await poll is None


async def test_without_the_nodes_token_nothing_is_exchanged(world):
    async with client_of(world, token="guess") as client:
        with pytest.raises(Unavailable, match="401"):
            await client.exchange(asks("r1", {"key": "key-1", "need": 1}))
        with pytest.raises(Unavailable, match="401"):
            await client.recalls("r1", 0, 0)
    for key in (None, world.operator):
        refused = await world.ask(key, "POST", "/internal/v1/leases", json={})
        assert refused.status_code == 401
    assert not world.bank.leases


async def test_leases_of_a_dead_replica_come_back(world):
    async with client_of(world) as client:
        await client.exchange(asks("r1", {"key": "key-1", "need": 100}))
    world.parts.leases.gone("r1")
    world.parts.leases.gone("r1")
    assert world.bank.outstanding() == 0


async def test_the_job_that_adopts_spools_closes_their_leases(world, tmp_path):
    spool = tmp_path / "spool"
    spool.mkdir()
    async with client_of(world) as client:
        await client.exchange(asks("main-1-ab", {"key": "key-1", "need": 100}))
    (spool / "main-1-ab-0.log").touch()
    await world.beat("main-1-ab")
    await world.beat("main-2-cd")
    world.parts.leases._recalls._heard_ns["main-1-ab"] = world.clock.monotonic_ns()
    jobs = [asyncio.create_task(job()) for job in jobs_of(world.parts, None, spool)[1:3]]
    async with asyncio.timeout(30):
        while world.bank.outstanding() or world.parts.fleet.live() > 1:
            await asyncio.sleep(0.01)
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    assert not list(spool.iterdir())
    # Its slots and rates are free at once, and no recall waits for it.
    assert [r.heartbeat.replica for r in world.parts.fleet.replicas()] == ["main-2-cd"]
    assert world.parts.leases._recalls.listeners() == set()


# ── recalls ──────────────────────────────────────────────────────────────────────────────────────
async def test_a_recall_waits_for_all_who_listen_and_not_for_ever():
    clock = FakeClock()
    recalls = Recalls(clock)
    polls = [asyncio.create_task(recalls.poll(r, 0, 20)) for r in ("r1", "r2")]
    await asyncio.sleep(0)
    call = asyncio.create_task(recalls.call(["org"], {"r1", "r2"}))
    first = await polls[0]
    recalls.answered("r1", first.number)
    await asyncio.sleep(0.01)
    assert not call.done()
    assert await asyncio.wait_for(call, 10), "r2 never answers"
    await polls[1]
    recalls.close()


async def test_recalls_that_were_missed_are_told_as_one():
    clock = FakeClock()
    recalls = Recalls(clock)
    known = (await listen_once(recalls, "r1", "a")).number
    for node in ("b", "c"):
        call = asyncio.create_task(recalls.call([node], {"r1"}))
        await asyncio.sleep(0)
        recalls.answered("r1", recalls._number)
        await call
    missed = await recalls.poll("r1", known, 0)
    assert missed.nodes == ["b", "c"]
    assert await recalls.poll("r1", missed.number, 0) is None
    clock.advance(3)
    assert not recalls.listeners(), "who is silent is not waited for"
    assert not await recalls.call(["d"], {"r1"})


async def listen_once(recalls, replica, node):
    poll = asyncio.create_task(recalls.poll(replica, 0, 20))
    await asyncio.sleep(0)
    call = asyncio.create_task(recalls.call([node], {"r1"}))
    heard = await poll
    recalls.answered(replica, heard.number)
    await call
    return heard


async def test_numbers_grow_over_a_restart():
    clock = FakeClock()
    before = await listen_once(Recalls(clock), "r1", "a")
    clock.advance(5)
    after = await listen_once(Recalls(clock), "r1", "a")
    assert after.number > before.number


async def test_a_replica_that_dies_is_not_waited_for():
    recalls = Recalls(FakeClock())
    polls = [asyncio.create_task(recalls.poll(r, 0, 20)) for r in ("r1", "r2")]
    await asyncio.sleep(0)
    call = asyncio.create_task(recalls.call(["org"], {"r1", "r2"}))
    number = (await polls[0]).number
    recalls.answered("r1", number)
    recalls.forget("r2")
    assert await asyncio.wait_for(call, 0.05)
    await polls[1]
    assert recalls.listeners() == {"r1"}
    recalls.close()
