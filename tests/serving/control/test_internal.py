"""What replicas ask and tell, with the node's token and nothing else."""

import asyncio

import pytest

from plaza_core.inference import UsageRecord
from plaza_core.table import HubTable
from plaza_core.usage_wire import to_lines


def record(number, organisation, key="k"):
    return UsageRecord(
        organisation=organisation,
        project=None,
        key=key,
        request_id=f"request-{number}",
        model="m",
        version=1,
        digest="0" * 64,
        provider="cpu",
        rows=1,
        compute_us=100,
        host_us=10,
        latency_us=1000,
        outcome="ok",
        at_unix_us=1_700_000_000_000_000,
        replica="r1",
    )


async def test_the_table_names_its_version_as_etag(world):
    async with world.node() as node:
        answer = await node.get("/internal/v1/table")
        again = await node.get(
            "/internal/v1/table", headers={"if-none-match": answer.headers["etag"]}
        )
    table = HubTable.model_validate_json(answer.content)
    assert answer.headers["etag"] == f'"{table.version}"'
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == answer.headers["etag"]


async def test_many_waiting_replicas_wake_at_a_change(world):
    known = f'"{world.parts.feed.current.version}"'
    async with world.node() as node:
        polls = [
            asyncio.create_task(
                node.get("/internal/v1/table?wait=60", headers={"if-none-match": known})
            )
            for _ in range(30)
        ]
        while world.parts.feed.changed.waiting < 30:
            await asyncio.sleep(0.001)
        await world.organisation("acme", user={"role": "consumer"})
        answers = await asyncio.gather(*polls)
    assert {a.status_code for a in answers} == {200}
    assert all(a.headers["etag"] != known for a in answers)


async def test_when_the_process_stops_polls_end(world):
    known = f'"{world.parts.feed.current.version}"'
    async with world.node() as node:
        poll = asyncio.create_task(
            node.get("/internal/v1/table?wait=60", headers={"if-none-match": known})
        )
        while not world.parts.feed.changed.waiting:
            await asyncio.sleep(0.001)
        world.parts.close_waits()
        assert (await poll).status_code == 304


@pytest.mark.parametrize("wait", ["-1", "nan", "inf", "61", "soon"])
async def test_a_wait_has_bounds(world, wait):
    async with world.node() as node:
        assert (await node.get(f"/internal/v1/table?wait={wait}")).status_code == 422


async def test_heartbeats_are_answered_with_the_number_of_peers(world):
    assert (await world.beat("r1"))["live_replicas"] == 1
    assert (await world.beat("r2"))["live_replicas"] == 2


async def test_usage_is_taken_once_however_often_it_is_sent(world):
    me = (await world.ask(world.operator, "GET", "/api/v1/whoami")).json()
    lines = to_lines([record(n, me["organisation"], me["key"]) for n in range(3)])
    async with world.node() as node:
        first = await node.post("/internal/v1/usage", content=lines)
        again = await node.post("/internal/v1/usage", content=lines)
    assert first.json() == {"accepted": 3, "new": 3}
    assert again.json() == {"accepted": 3, "new": 0}


async def test_a_torn_batch_is_refused_whole(world):
    me = (await world.ask(world.operator, "GET", "/api/v1/whoami")).json()
    lines = to_lines([record(1, me["organisation"], me["key"])]) + b'{"organisation":'
    async with world.node() as node:
        torn = await node.post("/internal/v1/usage", content=lines)
        whole = await node.post("/internal/v1/usage", content=lines.splitlines()[0])
    assert torn.status_code == 400
    assert whole.json() == {"accepted": 1, "new": 1}


async def test_neither_keys_nor_guesses_open_these_doors(world):
    routes = (("GET", "table"), ("GET", "blobs/x"), ("POST", "heartbeats"), ("POST", "usage"))
    for method, name in routes:
        for key in (None, world.operator, "guess", ""):
            answer = await world.ask(key, method, f"/internal/v1/{name}")
            assert answer.status_code == 401, (method, name, key)


async def test_they_are_not_in_the_public_description(world):
    description = (await world.ask(None, "GET", "/openapi.json")).json()
    assert not [path for path in description["paths"] if "internal" in path]
