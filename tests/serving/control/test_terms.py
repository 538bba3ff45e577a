"""What a change of limits says is what happens: nothing is lifted, kept or stretched by silence."""

from __future__ import annotations

import pytest

from plaza_core.budget import LARGEST

ORG = "/api/v1/organisations/acme"


@pytest.fixture
async def acme(world):
    return await world.organisation("acme", admin={"role": "admin"})


async def test_a_limit_is_lifted_by_saying_so_and_never_by_silence(world, acme):
    path = f"{ORG}/projects/main/budget"
    await world.ask(acme["admin"], "PUT", path, json={"limit": 500})
    silent = await world.ask(acme["admin"], "PUT", path, json={"period": "month"})
    assert (silent.status_code, silent.json()["input"]) == (422, "limit")
    assert (await world.ask(acme["admin"], "GET", path)).json()["limit"] == 500
    said = await world.ask(acme["admin"], "PUT", path, json={"limit": None})
    assert said.json()["limit"] is None
    path = f"{ORG}/projects/main/concurrency"
    silent = await world.ask(acme["admin"], "PUT", path, json={})
    assert (silent.status_code, silent.json()["input"]) == (422, "limit")


async def test_another_limit_keeps_the_period(world, acme):
    path = f"{ORG}/projects/main/budget"
    await world.ask(acme["admin"], "PUT", path, json={"limit": 500, "period": "day"})
    again = (await world.ask(acme["admin"], "PUT", path, json={"limit": 600})).json()
    assert (again["limit"], again["period"]) == (600, "day")


async def test_a_raise_stops_at_what_json_can_say(world, acme):
    path = f"{ORG}/projects/main/budget"
    await world.ask(acme["admin"], "PUT", path, json={"limit": LARGEST})
    more = await world.ask(acme["admin"], "PATCH", path, json={"by": 1})
    assert (more.status_code, more.json()["input"]) == (422, "by")
    assert (await world.ask(acme["admin"], "GET", path)).json()["limit"] == LARGEST


@pytest.mark.parametrize("limit", [True, "5", 5.5])
async def test_an_amount_is_a_number(world, acme, limit):
    answer = await world.ask(
        acme["admin"], "PUT", f"{ORG}/projects/main/budget", json={"limit": limit}
    )
    assert (answer.status_code, answer.json()["input"]) == (422, "limit")


async def test_figures_of_an_estimate_come_whole(world, acme, make_bundle):
    await world.register(acme["admin"], make_bundle("cars"))
    alone = await world.ask(acme["admin"], "GET", f"{ORG}/estimate?model=cars&rows=5")
    assert (alone.status_code, alone.json()["input"]) == (422, "device_us")
    assert "rows" in alone.json()["error"]


@pytest.mark.parametrize(
    ("path", "body", "remedy"),
    [
        (f"{ORG}/projects", {"name": "Bad Name"}, "1 to 63 lower-case letters, digits and '-'"),
        (f"{ORG}/projects", {"name": 7}, "string"),
    ],
)
async def test_a_name_that_does_not_fit_is_told_what_would(world, acme, path, body, remedy):
    answer = await world.ask(acme["admin"], "POST", path, json=body)
    assert (answer.status_code, answer.json()["input"]) == (422, "name")
    assert remedy in answer.json()["error"]


async def test_a_month_that_does_not_fit_is_told_what_would(world, acme):
    answer = await world.ask(acme["admin"], "GET", f"{ORG}/statements/2026-13")
    assert "such as 2026-11" in answer.json()["error"]
