"""The command line and the SDK against the real admin API on a real database."""

import json

import pytest

import plaza
from tests.client.real import real_control
from tests.registry.making import bundle_files, write_bundle


@pytest.fixture
def world(tmp_path):
    with real_control(tmp_path / "state") as world:
        yield world


@pytest.fixture
def command(run, control_address, elsewhere):
    """`plaza --json …` with a key; returns what it printed."""

    def command(key, *arguments, code=0):
        done = run("--control", control_address, "--key", key, "--json", *arguments)
        assert done.code == code, done.err
        return json.loads(done.err if code else done.out)

    return command


def test_from_an_empty_hub_to_a_promoted_model(command, world, tmp_path):
    operator = world.operator
    assert command(operator, "orgs", "create", "acme", "--title", "Acme")["name"] == "acme"
    command(operator, "projects", "create", "cameras", "--organisation", "acme")
    engineer = command(
        operator, "keys", "create", "--organisation", "acme", "--role", "engineer",
        "--project", "cameras", "--label", "laptop",
    )["key"]  # fmt: skip

    first = write_bundle(tmp_path / "first")
    second = write_bundle(tmp_path / "second", bundle_files(scale=2))
    assert command(engineer, "models", "register", first)["version"] == 1
    assert command(engineer, "models", "register", first)["created"] is False
    assert command(engineer, "models", "register", second)["version"] == 2
    (model,) = command(engineer, "models", "list")
    assert (model["project_name"], model["aliases"]) == ("cameras", {"champion": 1})
    versions = command(engineer, "models", "versions", "doubler")
    assert [v["version"] for v in versions] == [2, 1]
    assert command(engineer, "models", "promote", "doubler", "2")["version"] == 2
    assert command(engineer, "models", "show", "cameras.doubler")["model"]["aliases"] == {
        "champion": 2
    }

    assert command(engineer, "audit", code=1)["error"]["code"] == "forbidden"
    actions = [e["action"] for e in command(operator, "audit", "--organisation", "*")]
    assert actions[0] == "model.set_alias"
    assert "key.create" in actions
    assert command(operator, "usage", "--organisation", "*") == []
    assert command(operator, "status")["replicas"] == []
    limited = command(operator, "orgs", "limit", "acme", "--per-second", 5, "--burst", 9)
    assert limited["rate"] == {"per_second": 5.0, "burst": 9}


def test_a_stranger_and_a_suspended_organisation(command, world):
    operator = world.operator
    command(operator, "orgs", "create", "acme")
    keys = ("keys", "create", "--organisation", "acme", "--role", "admin")
    admin = command(operator, *keys)
    assert command(admin["key"], "keys", "list")[0]["id"] == admin["id"]
    assert command("plz_nonsense", "status", code=1)["error"]["code"] == "unauthenticated"
    assert command(operator, "orgs", "suspend", "acme")["suspended"] is True
    refused = command(admin["key"], "keys", "list", code=1)["error"]
    assert refused["code"] == "unauthenticated"
    assert refused["request_id"]
    assert command(operator, "orgs", "resume", "acme")["suspended"] is False
    command(operator, "keys", "revoke", admin["id"], "--organisation", "acme")
    assert command(admin["key"], "keys", "list", code=1)["error"]["code"] == "unauthenticated"


def test_a_key_is_rotated_and_a_person_invited(command, world):
    operator = world.operator
    command(operator, "orgs", "create", "acme")
    acme = ("--organisation", "acme")
    old = command(operator, "keys", "create", "--role", "admin", "--label", "gate 7", *acme)
    new = command(old["key"], "keys", "rotate", old["id"], "--overlap", "1h")
    for key in (old, new):
        assert command(key["key"], "keys", "list")[0]["label"] == "gate 7"
    found = {k["id"]: k for k in command(new["key"], "keys", "list")}
    assert found[new["id"]]["replaces"] == old["id"]
    assert found[old["id"]]["replaced_by"] == new["id"]
    assert found[old["id"]]["last_used_unix_us"] is not None
    world.clock.advance(3600)
    refused = command(old["key"], "keys", "list", code=1)["error"]
    assert refused["code"] == "unauthenticated"
    command(new["key"], "keys", "expire", new["id"], "--in", "30d")

    ann = command(new["key"], "members", "add", "ann@acme.test", "--role", "engineer")
    command(new["key"], "members", "role", ann["id"], "auditor")
    assert command(new["key"], "members", "list")[0]["role"] == "auditor"
    assert command(new["key"], "members", "remove", ann["id"])["removed_unix_us"]


async def test_what_a_bundle_may_not_be_and_how_the_sdk_says_so(world, control_address, tmp_path):
    def bundle(name, more):
        return write_bundle(tmp_path / name, bundle_files() | more)

    big = {"weights.bin": bytes(3 << 20)}
    async with plaza.AsyncClient(control_url=control_address, api_key=world.operator) as hub:
        for directory, code, named in (
            (bundle("a", {"weights.pkl": b"x"}), "invalid_bundle", "weights.pkl"),
            (bundle("b", {"model.onnx": b"PK\x03\x04zip"}), "invalid_bundle", "model.onnx"),
            (bundle("c", {"plaza.yaml": b"schema: 2"}), "invalid_bundle", "schema"),
            (bundle("d", big), "payload_too_large", None),
        ):
            with pytest.raises(plaza.PlazaError) as caught:
                await hub.models.register(directory)
            assert (caught.value.code, caught.value.input) == (code, named)
        assert await hub.models.list() == []
        assert (await hub.models.register(bundle("e", {}))).created
    assert not list((tmp_path / "state/uploads").rglob("up_*"))
