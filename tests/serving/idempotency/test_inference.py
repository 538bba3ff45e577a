"""Inference with an Idempotency-Key, through real doors and a real control: once, whoever dies."""

import asyncio
import itertools
import zlib

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import plaza
from plaza_core.idempotency import CLAIM_S, KEPT_S, MOST_BYTES
from plaza_core.settings import Settings
from plaza_core.testing import EchoRunner, EchoRunnerFactory
from plaza_serving.doors.http import HttpDoor
from plaza_serving.idempotency import keeper as rules
from tests.serving.idempotency.world import Replica, World, asking, said


async def test_a_repeated_request_gets_the_first_answer_and_is_charged_once(world, keys):
    replica = await world.replica()
    first = await replica.infer(keys["consumer"], "order-1")
    again = await replica.infer(keys["consumer"], "order-1")
    assert first.status_code == 200
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert (again.status_code, again.content) == (200, first.content)
    for header in ("content-type", "x-plaza-compute-us", "x-plaza-batch-rows", "x-request-id"):
        assert again.headers[header] == first.headers[header]
    assert world.charged() == [(first.headers["x-request-id"], "ok")]


async def test_another_replica_and_a_later_one_replay_it_too(world, keys):
    first = await (await world.replica()).infer(keys["consumer"], "order-1")
    beside = await (await world.replica()).infer(keys["consumer"], "order-1")
    await world.replicas[0].close()
    world.replicas.pop(0)
    later = await (await world.replica()).infer(keys["consumer"], "order-1")
    assert first.content == beside.content == later.content
    assert len(world.charged()) == 1


async def test_another_body_path_or_query_under_the_name_is_refused(world, keys):
    replica = await world.replica()
    await replica.infer(keys["consumer"], "order-1")
    other = await replica.infer(keys["consumer"], "order-1", (3, 4))
    assert (other.status_code, said(other)["code"]) == (422, "idempotency_mismatch")
    async with replica.client(keys["consumer"]) as client:
        client.headers["idempotency-key"] = "order-1"
        for path in ("/v2/models/echo/versions/1/infer", "/v2/models/echo/infer?x=1"):
            answer = await client.post(path, json=asking((1, 2)))
            assert said(answer)["code"] == "idempotency_mismatch"
    assert len(world.charged()) == 1


async def test_the_same_body_compressed_is_the_same_request(world, keys):
    replica = await world.replica()
    first = await replica.infer(keys["consumer"], "order-1")
    async with replica.client(keys["consumer"]) as client:
        plain = first.request.content
        packed = await client.post(
            "/v2/models/echo/infer",
            content=zlib.compress(plain),
            headers={
                "idempotency-key": "order-1",
                "content-encoding": "deflate",
                "content-type": first.request.headers["content-type"],
            },
        )
    assert packed.headers["idempotency-replayed"] == "true"


async def test_names_of_other_keys_and_organisations_are_other_names(world, keys):
    replica = await world.replica()
    for who in ("consumer", "admin", "stranger"):
        answer = await replica.infer(keys[who], "order-1")
        assert "idempotency-replayed" not in answer.headers
    assert len(world.charged()) == 3


async def test_without_the_header_nothing_is_claimed(world, keys):
    replica = await world.replica()
    assert (await replica.infer(keys["consumer"], None)).status_code == 200
    assert replica.wire.requests == []


@pytest.mark.parametrize("name", ["", "x" * 256, "two words", "tab\there"])
async def test_a_name_has_a_form(world, keys, name):
    replica = await world.replica()
    answer = await replica.infer(keys["consumer"], name)
    assert (answer.status_code, said(answer)["input"]) == (400, "idempotency-key")
    assert replica.wire.requests == []


async def test_two_names_in_one_request_are_refused(world, keys):
    replica = await world.replica()
    async with replica.client(keys["consumer"]) as client:
        pairs = [("idempotency-key", "a"), ("idempotency-key", "b")]
        answer = await client.post("/v2/models/echo/infer", json=asking((1, 2)), headers=pairs)
    assert (answer.status_code, said(answer)["input"]) == (400, "idempotency-key")


async def test_a_wrong_request_is_answered_the_same_way_again(world, keys):
    replica = await world.replica()
    wrong = [await replica.infer(keys["consumer"], "order-1", (1, 2, 3)) for _ in range(2)]
    assert [answer.status_code for answer in wrong] == [400, 400]
    assert wrong[0].content == wrong[1].content
    assert wrong[1].headers["idempotency-replayed"] == "true"


async def test_when_nothing_was_done_the_name_is_free_again(world, keys):
    replica = await world.replica()
    world.usage.broken = True
    refused = await replica.infer(keys["consumer"], "order-1")
    assert said(refused)["code"] == "ledger_unavailable"
    world.usage.broken = False
    done = await replica.infer(keys["consumer"], "order-1")
    assert (done.status_code, "idempotency-replayed" in done.headers) == (200, False)
    assert len(world.charged()) == 1


async def test_without_control_nothing_is_promised_and_nothing_done(world, keys):
    replica = await world.replica()
    replica.wire.cut = ""
    refused = await replica.infer(keys["consumer"], "order-1")
    assert (refused.status_code, said(refused)["code"]) == (503, "unavailable")
    assert "retry-after" in refused.headers
    assert world.charged() == []
    assert (await replica.infer(keys["consumer"], None)).status_code == 200
    replica.wire.cut = None
    assert (await replica.infer(keys["consumer"], "order-1")).status_code == 200


async def test_a_claim_whose_acknowledgement_was_lost_was_nobodys_work(world, keys):
    replica = await world.replica()
    replica.wire.lose_answers = True
    assert (await replica.infer(keys["consumer"], "order-1")).status_code == 503
    replica.wire.lose_answers = False
    running = await replica.infer(keys["consumer"], "order-1")
    assert said(running)["code"] == "idempotency_in_progress"
    world.control.clock.advance(CLAIM_S)
    assert (await replica.infer(keys["consumer"], "order-1")).status_code == 200
    assert len(world.charged()) == 1


class Gate(EchoRunnerFactory):
    """Models that wait, with their thread, until the test says go."""

    def __init__(self, threading):
        super().__init__()
        self.entered, self.go = threading.Event(), threading.Event()

    def open(self, directory, manifest):
        runner = EchoRunner(manifest.signature_spec())
        plain, gate = runner.run, self

        def run(inputs, outputs=None):
            gate.entered.set()
            assert gate.go.wait(30)
            return plain(inputs, outputs)

        runner.run = run
        return runner


@pytest.fixture
async def gated(world, keys):
    """(replica whose model waits, its gate)."""
    import threading

    gate = Gate(threading)
    replica = Replica(world)
    replica.kit.host._how._factory = gate
    world.replicas.append(replica)
    world.control.parts.feed.refresh()
    donor = await world.replica()
    await replica.serve(donor.plane.catalogue.table)
    yield replica, gate
    gate.go.set()


async def entered(gate):
    while not gate.entered.is_set():
        await asyncio.sleep(0.002)


async def test_while_the_first_runs_others_hear_so_and_wait(world, keys, gated):
    replica, gate = gated
    first = asyncio.create_task(replica.infer(keys["consumer"], "order-1"))
    await entered(gate)
    second = await world.replicas[1].infer(keys["consumer"], "order-1")
    assert (second.status_code, said(second)["code"]) == (409, "idempotency_in_progress")
    assert second.headers["retry-after"] == "1"
    gate.go.set()
    assert (await first).status_code == 200
    replayed = await world.replicas[1].infer(keys["consumer"], "order-1")
    assert replayed.content == (await first).content
    assert len(world.charged()) == 1


async def test_a_client_that_left_finds_its_answer(world, keys, gated):
    replica, gate = gated
    replica.door._watch._body_ticks = 10_000
    body = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]}'
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v2/models/echo/infer",
        "query_string": b"",
        "headers": [
            (b"authorization", f"Bearer {keys['consumer']}".encode()),
            (b"idempotency-key", b"order-1"),
            (b"content-type", b"application/json"),
        ],
    }

    async def receive():
        if messages:
            return messages.pop(0)
        await asyncio.to_thread(gate.entered.wait, 10)
        return {"type": "http.disconnect"}

    async def send(message):
        raise AssertionError("nobody is there to answer")

    await replica.door(scope, receive, send)
    gate.go.set()
    while not world.charged():
        await asyncio.sleep(0.002)
    for _ in range(1000):
        async with world.replicas[1].client(keys["consumer"]) as client:
            headers = {"idempotency-key": "order-1", "content-type": "application/json"}
            again = await client.post("/v2/models/echo/infer", content=body, headers=headers)
        if again.status_code == 200:
            break
    assert again.headers["idempotency-replayed"] == "true"
    assert [outcome for _, outcome in world.charged()] == ["ok"]


async def test_a_replica_that_died_after_the_charge_does_not_make_a_second_one(world, keys):
    """It wrote usage, then neither answered nor completed its claim: its heir uses the same id."""
    dead = await world.replica()
    dead.wire.cut = "/complete"
    lost = await dead.infer(keys["consumer"], "order-1")
    (charged,) = world.charged()
    dead.keeper._late.pop().cancel()
    world.control.clock.advance(CLAIM_S)
    heir = await world.replica()
    answer = await heir.infer(keys["consumer"], "order-1")
    assert answer.status_code == 200
    assert "idempotency-replayed" not in answer.headers, "it was worked out again"
    assert answer.headers["x-request-id"] == lost.headers["x-request-id"]
    assert world.charged() == [charged]


async def test_an_answer_that_could_not_be_kept_at_once_is_kept_later(world, keys):
    waits = []

    async def sleep(seconds):
        waits.append(seconds)
        await asyncio.sleep(0)
        if len(waits) > 4:
            replica.wire.cut = None

    replica = await world.replica(sleep=sleep)
    replica.wire.cut = "/complete"
    first = await replica.infer(keys["consumer"], "order-1")
    assert first.status_code == 200, "the client has its answer all the same"
    while replica.keeper._late:
        await asyncio.sleep(0.002)
    again = await replica.infer(keys["consumer"], "order-1")
    assert again.headers["idempotency-replayed"] == "true"


async def test_a_large_answer_is_given_once_and_then_only_remembered(world, keys, monkeypatch):
    monkeypatch.setattr(rules, "MOST_BYTES", 64)
    assert MOST_BYTES == 256 << 10
    replica = await world.replica()
    assert (await replica.infer(keys["consumer"], "order-1")).status_code == 200
    again = await replica.infer(keys["consumer"], "order-1")
    assert (again.status_code, said(again)["code"]) == (409, "idempotency_not_kept")
    assert len(world.charged()) == 1


async def test_after_a_day_the_name_is_new(world, keys):
    replica = await world.replica()
    await replica.infer(keys["consumer"], "order-1")
    world.control.clock.advance(KEPT_S + 1)
    other = await replica.infer(keys["consumer"], "order-1", (7, 8))
    assert (other.status_code, "idempotency-replayed" in other.headers) == (200, False)


async def test_one_organisation_cannot_take_all_the_room(world, keys, gated):
    replica, gate = gated
    crowd = [
        asyncio.create_task(replica.infer(keys["consumer"], f"order-{n}"))
        for n in range(rules.MOST_AT_ONCE)
    ]
    while replica.keeper._inside.total() < rules.MOST_AT_ONCE:
        await asyncio.sleep(0.002)
    refused = await replica.infer(keys["consumer"], "one-more")
    assert said(refused)["code"] == "overloaded"
    other = asyncio.create_task(replica.infer(keys["stranger"], "theirs"))
    gate.go.set()
    assert (await other).status_code == 200
    assert {answer.status_code for answer in await asyncio.gather(*crowd)} == {200}
    assert not replica.keeper._inside


async def test_control_keeps_nothing_that_it_could_read(world, keys, tmp_path):
    replica = await world.replica()
    await replica.infer(keys["consumer"], "order-1", (1234.5, 6789.5))
    files = b"".join(p.read_bytes() for p in tmp_path.iterdir() if p.name.startswith("plaza.db"))
    assert b"order-1" in files
    for secret in (b"1234.5", b"model_name", keys["consumer"].encode()):
        assert secret not in files


async def test_a_door_without_a_record_refuses_the_header(world, keys):
    replica = await world.replica()
    replica.door = HttpDoor(replica.plane, Settings())
    assert (await replica.infer(keys["consumer"], "order-1")).status_code == 503
    assert (await replica.infer(keys["consumer"], None)).status_code == 200


PLANS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=12
)


def test_whatever_arrives_at_once_each_name_is_done_once(tmp_path):
    """Any mix of duplicates on two replicas: per name one execution, whose body wins; everybody
    else gets that answer, "in progress" or "mismatch"."""
    with asyncio.Runner() as runner:
        world = World(tmp_path)
        key, replicas = runner.run(two_replicas(world))

        @given(PLANS)
        @settings(max_examples=30, deadline=None)
        def property_of(plan):
            world.usage.records.clear()
            run = next(_runs)
            plan = [(f"{name}-{run}", body, at) for name, body, at in plan]
            runner.run(story(world, key, replicas, plan))

        property_of()
        runner.run(world.close())


_runs = itertools.count()


async def two_replicas(world):
    key = (await world.control.organisation("acme", user={"role": "consumer"}))["user"]
    return key, [await world.replica(), await world.replica()]


async def story(world, key, replicas, plan):
    answers = await asyncio.gather(
        *[replicas[at].infer(key, name, (body, body)) for name, body, at in plan]
    )
    later = [await replicas[1 - at].infer(key, name, (body, body)) for name, body, at in plan]
    assert len(world.charged()) == len({name for name, _, _ in plan})
    first = {
        name: (body, answer.content)
        for (name, body, _), answer in zip(plan, answers, strict=True)
        if answer.status_code == 200 and "idempotency-replayed" not in answer.headers
    }
    for (name, body, _), answer, after in zip(plan, answers, later, strict=True):
        won, content = first[name]
        if answer.status_code == 200:
            assert (body, answer.content) == (won, content)
        else:
            code = said(answer)["code"]
            assert code == ("idempotency_in_progress" if body == won else "idempotency_mismatch")
        assert after.status_code == (200 if body == won else 422)
        assert body != won or after.content == content


async def test_the_sdk_says_once(world, keys):
    replica = await world.replica()
    door = httpx.ASGITransport(replica.door)
    x = np.ones((1, 2), np.float32)
    async with plaza.AsyncClient(
        "http://door.test", api_key=keys["consumer"], transport=door
    ) as hub:
        for _ in range(2):
            found = await hub.once("order-1").infer("echo", {"x": x})
            np.testing.assert_array_equal(found["y"], x)
        with pytest.raises(plaza.PlazaError) as caught:
            await hub.once("order-1").infer("echo", {"x": x + 1})
        assert caught.value.code == "idempotency_mismatch"
        await hub.infer("echo", {"x": x})
    assert len(world.charged()) == 2
