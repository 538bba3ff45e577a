"""`plaza quota`, `plaza prices` and `plaza shares` against the real admin API."""

from __future__ import annotations

import pytest

from tests.client.real import used_thrice

ACME = ("--organisation", "acme")


def test_a_limit_is_set_raised_lowered_shown_and_lifted(command, answered):
    key = answered("keys", "create", *ACME, "--role", "consumer", "--label", "gate [7]")["id"]
    (done,) = answered("quota", "set", *ACME, "--limit", "2h", "--period", "day")
    assert (done["limit"], done["period"]) == (7_200_000_000, "day")
    answered("quota", "set", *ACME, "--project", "main", "--count-only")
    answered("quota", "set", *ACME, "--key-id", key, "--limit", "1,000")
    assert answered("quota", "raise", "1s", *ACME, "--key-id", key)[0]["limit"] == 1_001_000
    assert answered("quota", "lower", "1000", *ACME, "--key-id", key)[0]["limit"] == 1_000_000
    shown = command("quota", "show", *ACME).out
    for text in ("7,200,000,000", "counts only", key, "main", "day"):
        assert text in shown
    assert len(answered("quota", "show", *ACME, "--key-id", key)) == 1
    assert answered("quota", "remove", *ACME, "--key-id", key) == {"node": key, "removed": True}
    gone = command("quota", "show", *ACME, "--key-id", key)
    assert (gone.code, "not_found" in gone.err) == (1, True)


def test_without_a_budget_it_is_said_in_words_and_what_was_used(
    command, answered, world, control_address, run
):
    (acme,) = [one["id"] for one in answered("orgs", "list") if one["name"] == "acme"]
    used_thrice(world, acme)
    world.clock.advance(1)
    told = command("quota", "show", *ACME).out
    assert "acme has no budget, nor has a project or a key of it" in told
    assert "3 requests, 30 compute units" in told
    assert answered("quota", "show", *ACME) == []
    key = answered("keys", "create", *ACME, "--project", "main", "--role", "consumer")["key"]
    told = run("--control", control_address, "--key", key, "quota", "show").out
    assert "Project main of acme has no budget" in told
    assert "does not see" in told
    assert "0 requests" in told
    command("quota", "set", *ACME, "--count-only")
    assert "counts only" in command("quota", "show", *ACME).out


@pytest.mark.parametrize("amount", ["two", "-5", "5 s", "1d", ""])
def test_an_amount_is_a_number_with_or_without_a_unit(command, amount):
    assert command("quota", "raise", *ACME, "--", amount).code == 2


def test_what_is_left_in_requests(command, answered):
    answered("quota", "set", *ACME, "--limit", "100")
    found = answered("quota", "estimate", "cars", *ACME, "--device-us", "7")
    assert (found["requests"], found["cost"]) == (14, 7)
    told = command("quota", "estimate", "cars", *ACME, "--device-us", "7").out
    assert "as given" in told
    nobody = command("quota", "estimate", "cars", *ACME)
    assert (nobody.code, "device_us" in nobody.err) == (1, True)


def test_how_many_at_once_and_who_goes_first(answered):
    key = answered("keys", "create", *ACME, "--role", "consumer")["id"]
    found = answered("quota", "concurrency", *ACME, "--key-id", key, "--limit", "5")
    assert found == {"node": key, "limit": 5}
    found = answered("quota", "priority", key, *ACME, "--set", "-3")
    assert found == {"key": key, "priority": -3}


def test_prices_and_shares(command, answered):
    answered("prices", "set", "--provider", "cuda", "--weight", "20")
    answered("prices", "set", "--model", "acme.main.cars", "--fixed", "7")
    listed = command("prices", "list").out
    for text in ("cuda", "20", "acme.main.cars", "7", "any"):
        assert text in listed
    assert answered("prices", "remove", "--provider", "cuda")["removed"] is True
    assert [price["fixed"] for price in answered("prices", "list")] == [7]
    assert (
        answered("shares", "set", "acme", "--weight", "4", "--borrow-percent", "50")[0]["weight"]
        == 4
    )
    assert "acme" in command("shares", "list").out
