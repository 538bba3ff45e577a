"""Organisations, projects and keys through the API, from first admin to revoked key."""

import pytest


async def test_the_first_admin_knows_who_they_are(world):
    me = (await world.ask(world.operator, "GET", "/api/v1/whoami")).json()
    assert me["operator"] is True
    assert me["role"] == "admin"
    assert "tenants.write" in me["rights"]


async def test_an_operator_builds_an_organisation_and_its_admin_goes_on(world):
    keys = await world.organisation("acme", admin={"role": "admin"})
    async with world.client(keys["admin"]) as admin:
        project = await admin.post("/api/v1/organisations/acme/projects", json={"name": "cameras"})
        assert project.status_code == 201
        made = await admin.post(
            "/api/v1/organisations/acme/keys",
            json={"role": "consumer", "project": "cameras", "label": "gateway 7"},
        )
        assert made.status_code == 201
        listed = (await admin.get("/api/v1/organisations/acme/keys")).json()["items"]
        projects = (await admin.get("/api/v1/organisations/acme/projects")).json()["items"]

    key = made.json()
    info = next(k for k in listed if k["id"] == key["id"])
    assert (info["label"], info["project_name"]) == ("gateway 7", "cameras")
    assert "cameras" in [p["name"] for p in projects]
    me = (await world.ask(key["key"], "GET", "/api/v1/whoami")).json()
    assert (me["organisation_name"], me["project_name"], me["role"]) == (
        "acme",
        "cameras",
        "consumer",
    )


async def test_a_keys_text_is_shown_once(world):
    keys = await world.organisation("acme", admin={"role": "admin"})
    listed = await world.ask(keys["admin"], "GET", "/api/v1/organisations/acme/keys")
    audit = await world.ask(world.operator, "GET", "/api/v1/audit?organisation=acme")
    for text in (keys["admin"], keys["admin"].split("_")[2]):
        assert text not in listed.text
        assert text not in audit.text


async def test_a_revoked_key_is_refused_at_once_and_leaves_the_table(world):
    keys = await world.organisation("acme", admin={"role": "admin"}, user={"role": "consumer"})
    me = (await world.ask(keys["user"], "GET", "/api/v1/whoami")).json()["key"]
    before = world.parts.feed.current

    gone = await world.ask(keys["admin"], "DELETE", f"/api/v1/organisations/acme/keys/{me}")

    assert gone.status_code == 200
    assert gone.json()["revoked_unix_us"] is not None
    assert (await world.ask(keys["user"], "GET", "/api/v1/whoami")).status_code == 401
    assert me.encode() in before.body
    assert me.encode() not in world.parts.feed.current.body


async def test_a_key_expires(world):
    keys = await world.organisation("acme", short={"role": "consumer", "expires_in_s": 60})
    assert (await world.ask(keys["short"], "GET", "/api/v1/whoami")).status_code == 200
    world.clock.advance(61)
    assert (await world.ask(keys["short"], "GET", "/api/v1/whoami")).status_code == 401


async def test_a_suspended_organisation_is_out_until_resumed(world):
    keys = await world.organisation("acme", admin={"role": "admin"})
    url = "/api/v1/organisations/acme"

    shown = await world.ask(world.operator, "PATCH", url, json={"suspended": True})
    assert shown.json()["suspended"] is True
    assert (await world.ask(keys["admin"], "GET", "/api/v1/whoami")).status_code == 401

    await world.ask(world.operator, "PATCH", url, json={"suspended": False})
    assert (await world.ask(keys["admin"], "GET", "/api/v1/whoami")).status_code == 200


async def test_only_operators_change_limits(world):
    keys = await world.organisation("acme", admin={"role": "admin"})
    url, body = "/api/v1/organisations/acme", {"rate": {"per_second": 5, "burst": 9}}

    assert (await world.ask(keys["admin"], "PATCH", url, json=body)).status_code == 403
    changed = await world.ask(world.operator, "PATCH", url, json=body)

    assert changed.json()["rate"] == {"per_second": 5, "burst": 9}


async def test_an_admin_sees_its_own_organisation_only(world):
    keys = await world.organisation("acme", admin={"role": "admin"})
    await world.organisation("globex")
    mine = (await world.ask(keys["admin"], "GET", "/api/v1/organisations")).json()["items"]
    every = (await world.ask(world.operator, "GET", "/api/v1/organisations")).json()["items"]
    assert [o["name"] for o in mine] == ["acme"]
    assert {"acme", "globex"} < {o["name"] for o in every}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/v1/organisations", {"name": "Not A Name"}, "name"),
        ("/api/v1/organisations", {"name": "x", "colour": "red"}, "colour"),
        ("/api/v1/organisations/acme/keys", {"role": "emperor"}, "role"),
        (
            "/api/v1/organisations/acme/keys",
            {"role": "consumer", "expires_in_s": -1},
            "expires_in_s",
        ),
        (
            "/api/v1/organisations/acme/keys",
            {"role": "consumer", "rate": {"per_second": 0, "burst": 1}},
            "rate.per_second",
        ),
    ],
)
async def test_what_does_not_fit_is_named(world, path, body, field):
    await world.organisation("acme")
    answer = await world.ask(world.operator, "POST", path, json=body)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_input"
    assert answer.json()["input"] == field


async def test_a_name_is_taken_once(world):
    await world.organisation("acme")
    again = await world.ask(world.operator, "POST", "/api/v1/organisations", json={"name": "acme"})
    assert again.status_code == 409
    assert again.json()["code"] == "conflict"


async def test_every_change_wakes_the_replicas(world):
    before = world.parts.feed.current.version
    await world.organisation("acme", user={"role": "consumer"})
    assert world.parts.feed.current.version != before
