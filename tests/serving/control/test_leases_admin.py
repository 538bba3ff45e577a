"""Leases over the admin API: what replicas hold, what is written off, and the watch over drift."""

import logging

import pytest
from sqlalchemy import text

from plaza_core.budget import LeaseAsk
from plaza_core.testing import FakeClock
from plaza_serving.control.drift_watch import EVERY_S, DriftWatch
from plaza_tenancy import dialect
from plaza_tenancy.nodes import Kind, Node

LEASES, WRITE_OFF = "/api/v1/leases", "/api/v1/leases/write-off"
DRIFT = "/api/v1/leases/drift"


@pytest.fixture
async def held(world):
    """`acme` holds 50 units of 100 on `r1`; returns its keys."""
    keys = await world.organisation("acme", user={"role": "consumer"}, admin={"role": "admin"})
    tenancy = world.parts.tenancy
    who = tenancy.authenticate(keys["user"])
    operator = tenancy.authenticate(world.operator)
    scope = tenancy.scope(operator, "tenants.write", organisation="acme")
    tenancy.budgets.set(scope, Node(Kind.KEY, who.key), limit=100)
    tenancy.leases.exchange("r1", [LeaseAsk(key=who.key, need=50)])
    return keys


async def test_operators_see_who_holds_what_and_whether_it_lives(world, held):
    await world.beat("r2")
    (lease,) = (await world.ask(world.operator, "GET", LEASES)).json()["items"]
    assert (lease["replica"], lease["live"], lease["organisation_name"]) == ("r1", False, "acme")
    assert (lease["granted"], lease["outstanding"]) == (50, 50)
    await world.beat("r1")
    (lease,) = (await world.ask(world.operator, "GET", f"{LEASES}?replica=r1")).json()["items"]
    assert lease["live"] is True
    assert (await world.ask(world.operator, "GET", f"{LEASES}?replica=r9")).json()["items"] == []


async def test_a_lost_replica_is_written_off_once_and_a_living_one_never(world, held):
    await world.beat("r1")
    body = {"json": {"replica": "r1"}}
    refused = await world.ask(world.operator, "POST", WRITE_OFF, **body)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    world.clock.advance(10)
    for charged, leases in ((50, 1), (0, 0)):
        done = await world.ask(world.operator, "POST", WRITE_OFF, **body)
        assert done.json() == {"replica": "r1", "leases": leases, "charged": charged}
    assert (await world.ask(world.operator, "GET", LEASES)).json()["items"] == []
    unknown = await world.ask(world.operator, "POST", WRITE_OFF, json={"replica": "r9"})
    assert unknown.status_code == 404


async def test_it_is_for_operators_alone(world, held):
    for method, path, more in (
        ("GET", LEASES, {}), ("GET", DRIFT, {}), ("POST", WRITE_OFF, {"json": {"replica": "r1"}}),
    ):  # fmt: skip
        refused = await world.ask(held["admin"], method, path, **more)
        assert refused.status_code == 403
    assert len((await world.ask(world.operator, "GET", LEASES)).json()["items"]) == 1


async def test_drift_is_told_as_found_last_or_now_and_counted_in_the_status(world, held, caplog):
    found = (await world.ask(world.operator, "GET", DRIFT)).json()
    assert found == {"items": [], "found": 0, "checked_unix_us": None}
    status = (await world.ask(world.operator, "GET", "/api/v1/status")).json()
    assert status["budget_drift"] is None
    with dialect.writing(world.parts.tenancy._store._engine).begin() as connection:
        connection.execute(text("UPDATE accounts SET settled = settled + 3"))
    with caplog.at_level(logging.ERROR):
        found = (await world.ask(world.operator, "GET", f"{DRIFT}?now=true")).json()
    (one,) = found["items"]
    assert (one["number"], one["kept"], one["recomputed"]) == ("settled", 3, 0)
    assert found["checked_unix_us"] == world.clock.unix_us()
    assert "a budget has drifted" in caplog.text
    assert (await world.ask(world.operator, "GET", DRIFT)).json() == found
    status = (await world.ask(world.operator, "GET", "/api/v1/status")).json()
    assert status["budget_drift"] == 1


async def test_the_watch_looks_every_ten_minutes_and_not_while_control_starts():
    looks = []
    watch = DriftWatch(lambda: looks.append(1) or [], FakeClock())
    assert await watch.step() == 60
    assert looks == []
    assert await watch.step() == EVERY_S == 600
    assert await watch.step() == 600
    assert len(looks) == 2
    assert watch.last.at_unix_us is not None
