"""Rates, counts and storage, calendars, leases and charts on the command line."""

from __future__ import annotations

import pytest

from plaza_core.budget import LeaseAsk
from plaza_serving.cli.chart import Way, bar, drawn
from tests.cli.test_quotas import ACME

DAY = 86_400_000_000


def test_rates_of_projects_and_keys(command, answered):
    key = answered("keys", "create", *ACME, "--role", "consumer", "--label", "gate")["id"]
    node = ("--key-id", key)
    told = answered("quota", "rate", *ACME, *node, "--per-second", "3", "--burst", "5")
    assert told["rate"] == {"per_second": 3, "burst": 5}
    assert "3/s, burst 5" in command("quota", "limits", *ACME).out
    assert answered("quota", "rate", *ACME, *node, "--none")["rate"] is None
    assert command("quota", "rate", *ACME, *node, "--per-second", "3").code == 2


def test_what_may_be_held(command, answered):
    assert answered("quota", "hold", "models", *ACME, "--limit", "1")["used"] == 1
    assert "models 1 of 1" in command("quota", "limits", *ACME).out
    answered("quota", "hold", "projects", *ACME, "--limit", "1")
    refused = command("projects", "create", "second", *ACME)
    assert (refused.code, "quota_exceeded" in refused.err) == (1, True)
    assert answered("quota", "hold", "projects", *ACME, "--none")["limit"] is None
    assert command("quota", "hold", "models", *ACME).code == 2


def test_a_calendar_is_set_shown_and_cleared(command, answered):
    answered("quota", "set", *ACME, "--limit", "100", "--period", "day")
    told = answered(
        "quota",
        "calendar",
        *ACME,
        "--window",
        "2030-12-01..2031-01-01=2h",
        "--window",
        "@sat,sun=any",
    )
    assert told["windows"][0]["limit"] == 7_200_000_000
    shown = command("quota", "calendar", *ACME).out
    for text in ("2030-12-01", "7,200,000,000", "sat sun", "any", "otherwise"):
        assert text in shown
    assert answered("quota", "calendar", *ACME, "--clear")["windows"] == []
    assert command("quota", "calendar", *ACME, "--clear", "--window", "@sat=1").code == 2


@pytest.mark.parametrize("text", ["", "5", "=5", "2030-13-01..=5", "@someday=5", "@sat", "x..y=5"])
def test_a_window_that_cannot_be_read_is_told_how_to_write_it(command, text):
    done = command("quota", "calendar", *ACME, f"--window={text}")
    assert done.code == 2


def test_an_estimate_is_about_the_callers_own_key(command, answered):
    key = answered("keys", "create", *ACME, "--role", "consumer")
    answered("quota", "set", *ACME, "--key-id", key["id"], "--limit", "10")
    answered("quota", "set", *ACME, "--limit", "1000")
    done = command("--key", key["key"], "quota", "estimate", "main.cars", "--device-us", "5")
    assert (done.code, "key" in done.out) == (0, True), done.err
    assert "2" in done.out.split()


def test_a_forecast_is_drawn(command, answered):
    answered("quota", "set", *ACME, "--limit", "100", "--period", "month")
    told = command("quota", "forecast", *ACME).out
    assert "it will last" in told
    assert "─" in told
    assert command("quota", "set", *ACME, "--count-only").code == 0
    assert command("quota", "forecast", *ACME).code == 2


def test_a_bar_says_nothing_some_and_all():
    assert bar(0, 100).startswith("·")
    assert bar(1, 10**9).startswith("▏")
    assert "·" not in bar(100, 100)
    assert bar(99_999, 100_000).split()[-2] == "99"
    assert bar(101, 100).split()[-2] == "100+"
    assert bar(5, 0).split()[-2] == "100+"
    assert bar(5, None) == ""


def test_a_chart_shows_where_the_limit_is_met():
    points = [(0, 20), (2 * DAY, 60)]
    way = Way(start=0, end=10 * DAY, now=4 * DAY, limit=100, runs_out=7 * DAY, points=points)
    lines = drawn(way)
    assert len({len(line) for line in lines if "┤" in line}) >= 1
    (limit,) = [line for line in lines if "100 ┤" in line]
    assert "─" in limit
    assert "░" in limit, "it will run out"
    assert "█" not in limit
    calm = Way(start=0, end=10 * DAY, now=4 * DAY, limit=1000, runs_out=None, points=points)
    (limit,) = [line for line in drawn(calm) if "1,000 ┤" in line]
    assert "░" not in limit


def test_a_lease_of_a_lost_node_is_written_off(leased, command, answered):
    assert leased in command("quota", "leases").out
    assert command("quota", "write-off", leased, "--yes").code == 0
    assert answered("quota", "show", *ACME)[0]["settled"] == 10
    assert answered("quota", "write-off", leased, "--yes")["written_off"] == 0
    assert answered("quota", "leases") == []


@pytest.fixture
def leased(answered, world):
    """A lease of 10 units that a replica took which is not there any more."""
    answered("quota", "set", *ACME, "--limit", "100")
    key = answered("keys", "create", *ACME, "--role", "consumer")["id"]
    (grant,) = world.parts.tenancy.leases.exchange("gone", [LeaseAsk(key=key, need=10)])
    return grant.lease
