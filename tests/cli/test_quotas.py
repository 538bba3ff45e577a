"""`plaza quota`, `plaza prices` and `plaza shares` against the real admin API."""

from __future__ import annotations

import json

import pytest

from plaza_core.principal import Right
from tests.client.hub import serving
from tests.serving.control.conftest import open_world
from tests.tenancy.world import make_version


@pytest.fixture
def world(tmp_path):
    """A hub with the organisation `acme` and its model `cars`."""
    directory = tmp_path / "state"
    directory.mkdir()
    world = open_world(directory)
    tenancy = world.parts.tenancy
    operator = tenancy.authenticate(world.operator)
    tenancy.organisations.create(tenancy.platform(operator, Right.TENANTS_WRITE), "acme")
    scope = tenancy.scope(operator, Right.MODELS_WRITE, organisation="acme")
    tenancy.records.add_version(scope, make_version(name="cars"))
    yield world
    world.parts.close_waits()
    tenancy.close()


@pytest.fixture
def command(world, run, elsewhere):
    """`plaza …` as its operator."""
    with serving(world.app) as address:
        yield lambda *more: run("--control", address, "--key", world.operator, *more)


@pytest.fixture
def answer(command):
    def answer(*arguments):
        done = command("--json", *arguments)
        assert done.code == 0, done.err
        return json.loads(done.out)

    return answer


ACME = ("--organisation", "acme")


def test_a_limit_is_set_raised_lowered_shown_and_lifted(command, answer):
    key = answer("keys", "create", *ACME, "--role", "consumer", "--label", "gate [7]")["id"]
    (done,) = answer("quota", "set", *ACME, "--limit", "2h", "--period", "day")
    assert (done["limit"], done["period"]) == (7_200_000_000, "day")
    answer("quota", "set", *ACME, "--project", "main", "--count-only")
    answer("quota", "set", *ACME, "--key-id", key, "--limit", "1,000")
    assert answer("quota", "raise", "1s", *ACME, "--key-id", key)[0]["limit"] == 1_001_000
    assert answer("quota", "lower", "1000", *ACME, "--key-id", key)[0]["limit"] == 1_000_000
    shown = command("quota", "show", *ACME).out
    for text in ("7,200,000,000", "counts only", key, "main", "day"):
        assert text in shown
    assert len(answer("quota", "show", *ACME, "--key-id", key)) == 1
    assert answer("quota", "remove", *ACME, "--key-id", key) == {"node": key, "removed": True}
    gone = command("quota", "show", *ACME, "--key-id", key)
    assert (gone.code, "not_found" in gone.err) == (1, True)


@pytest.mark.parametrize("amount", ["two", "-5", "5 s", "1d", ""])
def test_an_amount_is_a_number_with_or_without_a_unit(command, amount):
    assert command("quota", "raise", *ACME, "--", amount).code == 2


def test_what_is_left_in_requests(command, answer):
    answer("quota", "set", *ACME, "--limit", "100")
    found = answer("quota", "estimate", "cars", *ACME, "--device-us", "7")
    assert (found["requests"], found["cost"]) == (14, 7)
    told = command("quota", "estimate", "cars", *ACME, "--device-us", "7").out
    assert "as given" in told
    nobody = command("quota", "estimate", "cars", *ACME)
    assert (nobody.code, "device_us" in nobody.err) == (1, True)


def test_how_many_at_once_and_who_goes_first(answer):
    key = answer("keys", "create", *ACME, "--role", "consumer")["id"]
    found = answer("quota", "concurrency", *ACME, "--key-id", key, "--limit", "5")
    assert found == {"node": key, "limit": 5}
    found = answer("quota", "priority", key, *ACME, "--set", "-3")
    assert found == {"key": key, "priority": -3}


def test_prices_and_shares(command, answer):
    answer("prices", "set", "--provider", "cuda", "--weight", "20")
    answer("prices", "set", "--model", "acme.main.cars", "--fixed", "7")
    listed = command("prices", "list").out
    for text in ("cuda", "20", "acme.main.cars", "7", "any"):
        assert text in listed
    assert answer("prices", "remove", "--provider", "cuda")["removed"] is True
    assert [price["fixed"] for price in answer("prices", "list")] == [7]
    assert (
        answer("shares", "set", "acme", "--weight", "4", "--borrow-percent", "50")[0]["weight"] == 4
    )
    assert "acme" in command("shares", "list").out
