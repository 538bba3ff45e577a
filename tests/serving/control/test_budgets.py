"""Budgets, prices and shares through the API, and what replicas learn of them."""

from __future__ import annotations

import pytest

from plaza_core.budget import LeaseAsk, Price, ShareEntry
from plaza_core.table import HubTable
from tests.tenancy.world import make_record

ORG = "/api/v1/organisations/acme"


@pytest.fixture
async def acme(world):
    """Keys of acme: an admin, a consumer, an admin of the project main; by id and by text."""
    return await world.organisation(
        "acme",
        admin={"role": "admin"},
        user={"role": "consumer"},
        bound={"role": "admin", "project": "main"},
    )


async def id_of(world, text):
    return (await world.ask(text, "GET", "/api/v1/whoami")).json()["key"]


def table(world):
    return HubTable.model_validate_json(world.parts.feed.current.body)


def entry(world, key):
    return next(one for one in table(world).keys if one.id == key)


async def test_an_operator_limits_an_organisation_and_its_members_see_how_it_stands(world, acme):
    body = {"limit": 1000, "period": "day"}
    done = await world.ask(world.operator, "PUT", f"{ORG}/budget", json=body)
    assert done.status_code == 200
    shown = (await world.ask(acme["user"], "GET", f"{ORG}/budget")).json()
    assert (shown["kind"], shown["limit"], shown["period"]) == ("organisation", 1000, "day")
    assert (shown["settled"], shown["leased"], shown["remaining"]) == (0, 0, 1000)
    left_s = (shown["period_end_unix_us"] - world.clock.unix_us()) / 1e6
    assert 0 < left_s <= 86_400
    assert shown["runs_out_unix_us"] is None
    assert (await world.ask(acme["admin"], "PUT", f"{ORG}/budget", json=body)).status_code == 403
    assert (await world.ask(acme["bound"], "GET", f"{ORG}/budget")).status_code == 404


async def test_admins_limit_their_projects_and_keys(world, acme):
    user = await id_of(world, acme["user"])
    for path in (f"{ORG}/projects/main/budget", f"{ORG}/keys/{user}/budget"):
        body = {"limit": 500}
        assert (await world.ask(acme["admin"], "PUT", path, json=body)).json()["limit"] == 500
        up = await world.ask(acme["admin"], "PATCH", path, json={"by": 100})
        assert up.json()["limit"] == 600
        down = await world.ask(acme["admin"], "PATCH", path, json={"by": -10_000})
        assert down.json()["limit"] == 0
    items = (await world.ask(acme["user"], "GET", f"{ORG}/budgets")).json()["items"]
    assert [one["kind"] for one in items] == ["project", "key"]
    assert (await world.ask(acme["admin"], "DELETE", path)).status_code == 204
    assert (await world.ask(acme["admin"], "DELETE", path)).status_code == 404
    assert (await world.ask(acme["admin"], "PATCH", path, json={"by": 1})).status_code == 404


async def test_nobody_lifts_the_limit_they_are_under(world, acme):
    own = await id_of(world, acme["bound"])
    paths = [f"{ORG}/projects/main/budget", f"{ORG}/keys/{own}/budget"]
    for path in paths:
        assert (await world.ask(acme["admin"], "PUT", path, json={"limit": 5})).status_code == 200
        for method, body in (("PUT", {"limit": 9}), ("PATCH", {"by": 4}), ("DELETE", None)):
            answer = await world.ask(acme["bound"], method, path, json=body)
            assert answer.status_code == 403, (path, method)
        assert (await world.ask(acme["bound"], "GET", path)).json()["limit"] == 5


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("PUT", "budget", {"limit": -1}, "limit"),
        ("PUT", "budget", {"limit": 1, "period": "fortnight"}, "period"),
        ("PUT", "budget", {"limit": 1, "limits": 1}, "limits"),
        ("PATCH", "budget", {}, "by"),
        ("PUT", "concurrency", {"limit": 0}, "limit"),
    ],
)
async def test_what_does_not_fit_is_named(world, acme, method, path, body, field):
    answer = await world.ask(world.operator, method, f"{ORG}/{path}", json=body)
    assert (answer.status_code, answer.json()["input"]) == (422, field)


async def test_replicas_learn_who_is_metered_and_how_many_may_be_inside(world, acme):
    user = await id_of(world, acme["user"])
    assert not entry(world, user).metered
    await world.ask(world.operator, "PUT", f"{ORG}/budget", json={"limit": 1000})
    await world.ask(world.operator, "PUT", f"{ORG}/concurrency", json={"limit": 20})
    await world.ask(acme["admin"], "PUT", f"{ORG}/keys/{user}/concurrency", json={"limit": 3})
    await world.ask(acme["admin"], "PUT", f"{ORG}/keys/{user}/priority", json={"priority": -4})
    found = entry(world, user)
    assert (found.metered, found.priority) == (True, -4)
    assert found.slots == [(user, 3), (found.organisation, 20)]
    assert not entry(world, await id_of(world, world.operator)).metered
    await world.ask(world.operator, "DELETE", f"{ORG}/budget")
    await world.ask(world.operator, "PUT", f"{ORG}/concurrency", json={"limit": None})
    found = entry(world, user)
    assert (found.metered, found.slots) == (False, [(user, 3)])


async def test_prices_are_the_operators_and_public(world, acme, make_bundle):
    made = await world.register(acme["admin"], make_bundle("cars"))
    body = {"provider": "cuda", "model": "acme.main.cars", "weight": 20}
    priced = await world.ask(world.operator, "PUT", "/api/v1/prices", json=body)
    assert priced.status_code == 200, priced.text
    await world.ask(world.operator, "PUT", "/api/v1/prices", json={"fixed": 7})
    listed = (await world.ask(acme["user"], "GET", "/api/v1/prices")).json()["items"]
    assert [one["model_name"] for one in listed] == ["acme.main.cars", None]
    model = made.json()["model"]
    assert table(world).prices == [
        Price(provider="cuda", model=model, weight=20),
        Price(fixed=7),
    ]
    gone = {"provider": "cuda", "model": "acme.main.cars"}
    removed = await world.ask(world.operator, "DELETE", "/api/v1/prices", params=gone)
    assert removed.status_code == 204
    again = await world.ask(world.operator, "DELETE", "/api/v1/prices", params=gone)
    assert again.status_code == 404
    assert table(world).prices == [Price(fixed=7)]
    lost = {"model": "acme.main.absent"}
    assert (await world.ask(world.operator, "PUT", "/api/v1/prices", json=lost)).status_code == 404


async def test_shares_are_the_operators_and_everybody_sees_their_own(world, acme):
    body = {"organisation": "acme", "weight": 4, "borrow_percent": 150}
    done = await world.ask(world.operator, "PUT", "/api/v1/shares", json=body)
    assert done.json()["weight"] == 4
    mine = (await world.ask(acme["admin"], "GET", "/api/v1/shares")).json()["items"]
    assert [(one["organisation_name"], one["weight"]) for one in mine] == [("acme", 4)]
    every = (await world.ask(world.operator, "GET", "/api/v1/shares")).json()["items"]
    assert {one["organisation_name"]: one["weight"] for one in every} == {"acme": 4, "plaza": 1}
    organisation = mine[0]["organisation"]
    assert table(world).shares == [
        ShareEntry(organisation=organisation, weight=4, borrow_percent=150)
    ]
    body["organisation"] = "nobody"
    assert (await world.ask(world.operator, "PUT", "/api/v1/shares", json=body)).status_code == 404


async def test_what_is_leased_and_used_shows_and_the_end_is_foreseen(world, acme):
    user = await id_of(world, acme["user"])
    path = f"{ORG}/keys/{user}/budget"
    await world.ask(acme["admin"], "PUT", path, json={"limit": 1000, "period": "total"})
    (grant,) = world.parts.tenancy.leases.exchange("r1", [LeaseAsk(key=user, need=300)])
    world.clock.advance(3600)
    spent = make_record(
        entry(world, user).organisation,
        "one",
        key=user,
        charge=250,
        lease=grant.lease,
        at_unix_us=world.clock.unix_us(),
    )
    world.parts.tenancy.ledger.ingest([spent])
    shown = (await world.ask(acme["user"], "GET", path)).json()
    assert (shown["settled"], shown["leased"], shown["remaining"]) == (250, 50, 700)
    # 250 in an hour: the other 750 will last three.
    assert shown["runs_out_unix_us"] == world.clock.unix_us() + 3 * 3600 * 1_000_000


async def test_an_estimate_says_how_many_requests_are_left(world, acme, make_bundle):
    made = await world.register(acme["admin"], make_bundle("cars"))
    user = await id_of(world, acme["user"])
    url = f"{ORG}/estimate"
    await world.ask(world.operator, "PUT", f"{ORG}/budget", json={"limit": 1000})
    await world.ask(acme["admin"], "PUT", f"{ORG}/keys/{user}/budget", json={"limit": 400})
    unknown = await world.ask(acme["user"], "GET", url, params={"model": "cars"})
    assert (unknown.status_code, unknown.json()["input"]) == (422, "device_us")
    given = {"model": "cars", "device_us": 20, "host_us": 10, "provider": "cuda"}
    assert (await world.ask(acme["user"], "GET", url, params=given)).json()["requests"] == 33
    body = {"provider": "cuda", "weight": 2}
    await world.ask(world.operator, "PUT", "/api/v1/prices", json=body)
    found = (await world.ask(acme["user"], "GET", url, params=given | {"key": user})).json()
    assert (found["cost"], found["requests"], found["node"]) == (50, 8, user)
    organisation = entry(world, user).organisation
    usage = {"key": user, "model": made.json()["model"], "at_unix_us": world.clock.unix_us()}
    for n, charge in enumerate((10, 21)):
        world.parts.tenancy.ledger.ingest(
            [make_record(organisation, str(n), charge=charge, **usage)]
        )
    lately = (await world.ask(acme["user"], "GET", url, params={"model": "cars"})).json()
    assert (lately["seen"], lately["cost"]) == (2, 16)
    assert (lately["remaining"], lately["requests"]) == (969, 60)
    both = given | {"key": user, "project": "main"}
    assert (await world.ask(acme["user"], "GET", url, params=both)).status_code == 422
