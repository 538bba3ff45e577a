"""From a budget to somebody's server: the admin API, the outbox and the job, with real sockets."""

import asyncio
import itertools
import json
from dataclasses import dataclass
from functools import partial

import pytest

from plaza_core.budget import FOREVER
from plaza_serving.control.jobs import forever
from plaza_serving.webhooks.courier import IDLE_S, Courier
from plaza_serving.webhooks.sending import Sender
from plaza_serving.webhooks.signing import signature
from tests.serving.control.conftest import open_world
from tests.serving.webhooks.receiver import receiving, reply

ALERTS = "/api/v1/organisations/acme/alerts"


@dataclass(frozen=True)
class Account:
    organisation: str
    settled: int
    node: str = "key_1"
    period_start: int = 0
    period_end: int = FOREVER
    limit: int = 1000


class Hub:
    """A control whose alerts go to receivers of the test."""

    def __init__(self, world, receiver, admin):
        self.world, self.receiver, self.admin = world, receiver, admin
        self.tenancy = world.parts.tenancy
        self.courier = self.new_courier()

    def new_courier(self):
        listed = partial(asyncio.to_thread, self.tenancy.hosts.patterns)
        return Courier(self.tenancy.deliveries, Sender(listed, self.world.clock, timeout_s=1.0))

    async def ask(self, method, path="", key=None, **more):
        return await self.world.ask(key or self.admin, method, f"{ALERTS}{path}", **more)

    async def add(self, **more):
        url = f"http://127.0.0.1:{self.receiver.port}/in"
        made = await self.ask("POST", json={"url": url, **more})
        assert made.status_code == 201, made.text
        return made.json()

    async def used(self, settled):
        me = (await self.world.ask(self.admin, "GET", "/api/v1/whoami")).json()
        self.tenancy.alerts.raise_due([Account(me["organisation"], settled)])

    async def deliver(self):
        """Until nothing is due."""
        while await self.courier.step() == 0.0:
            pass

    def events(self):
        return [json.loads(heard.body)["type"] for heard in self.receiver.heard]


@pytest.fixture
async def hub(tmp_path):
    world = open_world(tmp_path)
    keys = await world.organisation("acme", admin={"role": "admin"})
    with receiving() as receiver:
        hosts = "/api/v1/alert-hosts"
        body = {"pattern": f"127.0.0.1:{receiver.port}", "private": True}
        assert (await world.ask(world.operator, "POST", hosts, json=body)).status_code == 201
        yield Hub(world, receiver, keys["admin"])
    world.parts.close_waits()
    world.parts.tenancy.close()


def verified(heard, secret):
    head = heard.headers
    at = int(head["webhook-timestamp"])
    made = signature(secret, head["webhook-id"], at, heard.body)
    return made in head["webhook-signature"].split(" ")


async def test_a_budget_that_fills_is_told_of_in_order_signed_and_once(hub):
    secret = (await hub.add())["secret"]
    for settled in (400, 500, 600, 1000):
        await hub.used(settled)
        await hub.deliver()
    assert hub.events() == ["budget.50", "budget.80", "budget.100"]
    assert all(verified(heard, secret) for heard in hub.receiver.heard)
    assert len(set(hub.receiver.ids)) == 3
    shown = (await hub.ask("GET", f"/{await only(hub)}/deliveries")).json()["items"]
    assert [(d["event"], d["state"]) for d in shown] == [
        ("budget.100", "delivered"), ("budget.80", "delivered"), ("budget.50", "delivered")
    ]  # fmt: skip


async def only(hub):
    (one,) = (await hub.ask("GET")).json()["items"]
    return one["id"]


async def test_a_failing_receiver_is_tried_again_in_order_with_the_same_id(hub):
    await hub.add()
    hub.receiver.answer = lambda handler, number: reply(handler, 200 if number > 3 else 500)
    await hub.used(850)
    waited = 0
    while len(hub.receiver.heard) < 5:
        await hub.deliver()
        hub.world.clock.advance(1)
        waited += 1
        assert waited < 60
    assert hub.events() == ["budget.50"] * 4 + ["budget.80"]
    assert len(set(hub.receiver.ids[:4])) == 1
    times = [int(heard.headers["webhook-timestamp"]) for heard in hub.receiver.heard]
    pauses = [b - a for a, b in itertools.pairwise(times)]
    assert pauses[0] in range(2, 7)
    assert pauses[1] in range(5, 12)
    assert pauses[2] in range(10, 22)


async def test_a_target_that_stays_dead_is_disabled_and_can_be_enabled(hub):
    await hub.add()
    hub.receiver.answer = 503
    await hub.used(500)
    for _ in range(26 * 4):
        await hub.deliver()
        hub.world.clock.advance(900)
        if not (await hub.ask("GET")).json()["items"][0]["active"]:
            break
    heard = len(hub.receiver.heard)
    assert 24 <= heard <= 60
    audit = await hub.world.ask(hub.admin, "GET", "/api/v1/audit")
    assert audit.json()["items"][0]["action"] == "webhook.disable"
    await hub.used(1000)
    await hub.deliver()
    assert len(hub.receiver.heard) == heard
    webhook = await only(hub)
    refused = await hub.ask("POST", f"/{webhook}/test")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    hub.receiver.answer = 200
    assert (await hub.ask("POST", f"/{webhook}/enable")).json()["active"] is True
    assert (await hub.ask("POST", f"/{webhook}/test")).status_code == 202
    await hub.deliver()
    assert hub.events()[heard:] == ["webhook.test"]


async def test_a_receiver_that_is_gone_is_left_at_once(hub):
    await hub.add()
    hub.receiver.answer = 410
    await hub.used(1000)
    await hub.deliver()
    assert len(hub.receiver.heard) == 1
    assert (await hub.ask("GET")).json()["items"][0][
        "disabled_because"
    ] == "it said that it is gone"


async def test_a_rotation_lets_receivers_change_over(hub):
    made = await hub.add()
    webhook = made["webhook"]["id"]
    fresh = (await hub.ask("POST", f"/{webhook}/rotate")).json()["secret"]
    await hub.ask("POST", f"/{webhook}/test")
    await hub.deliver()
    (heard,) = hub.receiver.heard
    assert verified(heard, made["secret"])
    assert verified(heard, fresh)
    hub.world.clock.advance(86_400)
    await hub.ask("POST", f"/{webhook}/test")
    await hub.deliver()
    assert not verified(hub.receiver.heard[1], made["secret"])
    assert verified(hub.receiver.heard[1], fresh)


async def test_a_dead_target_keeps_no_other_waiting(hub):
    with receiving() as other:
        body = {"pattern": f"127.0.0.1:{other.port}", "private": True}
        await hub.world.ask(hub.world.operator, "POST", "/api/v1/alert-hosts", json=body)
        await hub.add()
        hub.receiver.answer = 500
        await hub.ask("POST", json={"url": f"http://127.0.0.1:{other.port}/"})
        await hub.used(1000)
        await hub.deliver()
        assert len(other.heard) == 3
        assert len(hub.receiver.heard) == 1


async def test_two_processes_send_each_message_once(hub):
    for _ in range(4):
        await hub.add()
    await hub.used(1000)
    couriers = [hub.new_courier() for _ in range(3)]
    for _ in range(8):
        await asyncio.gather(*[courier.step() for courier in couriers])
    assert len(hub.receiver.heard) == 12
    assert len(set(hub.receiver.ids)) == 12


async def test_a_process_that_died_after_sending_sends_again_with_the_same_id(hub):
    await hub.add()
    await hub.used(500)

    class Died(Exception):
        pass

    class Dying:
        take = hub.tenancy.deliveries.take

        def note(self, message, attempt):
            raise Died

    with pytest.raises(Died):
        await Courier(Dying(), hub.courier._sender).step()
    await hub.deliver()
    assert len(hub.receiver.heard) == 1
    hub.world.clock.advance(60)
    await hub.deliver()
    first, second = hub.receiver.ids
    assert first == second


async def test_what_operators_take_back_is_not_sent_any_more(hub):
    await hub.add()
    pattern = f"127.0.0.1:{hub.receiver.port}"
    path = f"/api/v1/alert-hosts/{pattern}"
    left = await hub.world.ask(hub.world.operator, "DELETE", path)
    assert left.json() == {"items": []}
    await hub.used(500)
    await hub.deliver()
    assert hub.receiver.connections == 0
    (shown,) = (await hub.ask("GET", f"/{await only(hub)}/deliveries")).json()["items"]
    assert shown["last_error"] == "refused here: no operator of this hub allows this host"


async def test_a_target_must_be_allowed_when_it_is_added(hub):
    for url in ("https://elsewhere.example.org/", "http://127.0.0.1:1/", "https://127.0.0.1/"):
        refused = await hub.ask("POST", json={"url": url})
        assert (refused.status_code, refused.json()["code"]) == (422, "target_refused")
    refused = await hub.ask("POST", json={"url": "file:///etc/passwd"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")


async def test_the_secret_of_a_target_is_shown_again_to_a_retry_and_to_nobody_else(hub):
    """Adding with an Idempotency-Key: the lost answer can be had again, by its asker."""
    url = f"http://127.0.0.1:{hub.receiver.port}/in"
    headers = {"idempotency-key": "add-1"}
    first = await hub.ask("POST", json={"url": url}, headers=headers)
    again = await hub.ask("POST", json={"url": url}, headers=headers)
    assert again.json()["secret"] == first.json()["secret"]
    assert len((await hub.ask("GET")).json()["items"]) == 1
    assert "secret" not in (await hub.ask("GET")).text.replace("old_secret_until", "")


async def test_the_job_delivers_by_itself(hub):
    await hub.add()
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 5:
            raise asyncio.CancelledError

    await hub.used(1000)
    with pytest.raises(asyncio.CancelledError):
        await forever("webhooks", hub.courier.step, sleep)
    assert hub.events() == ["budget.50", "budget.80", "budget.100"]
    assert slept == [0.0, 0.0, 0.0, IDLE_S, IDLE_S]
