"""`plaza usage …` and `plaza audit …` against the real admin API on a real database."""

import io
import json

import pytest

from tests.client.real import real_control, used_thrice


@pytest.fixture
def world(tmp_path):
    with real_control(tmp_path / "state") as world:
        yield world


@pytest.fixture
def acme(world, command):
    made = command("--json", "orgs", "create", "acme")
    whose = json.loads(made.out)["id"]
    used_thrice(world, whose)
    return whose


def test_a_statement_is_printed_or_saved(command, acme, elsewhere):
    printed = command("usage", "statement", "2023-11", "--organisation", "acme")
    assert printed.code == 0
    assert printed.out.startswith('"kind","at"')
    told = command("usage", "statement", "2023-11", "--organisation", "acme", "--format", "json")
    assert json.loads(told.out)["totals"]["charge"] == 30
    saved = command("usage", "statement", "2023-11", "--organisation", "acme", "--out", "n.csv")
    assert (saved.code, "n.csv" in saved.out) == (0, True)
    assert (elsewhere / "n.csv").read_text().splitlines() == printed.out.splitlines()
    assert command("usage", "statement", "2023-11").code == 0, "of the key's own"
    assert command("usage", "statement", "november").code == 1


def test_verifying_says_where_and_exits_with_1(command, world, acme):
    fine = command("usage", "verify", "--organisation", "*")
    assert (fine.code, "intact" in fine.out) == (0, True)
    assert command("audit", "verify", "--organisation", "*").code == 0
    world.tamper("UPDATE usage SET rows = 5 WHERE request_id = 'r1'")
    world.tamper(f"UPDATE audit SET target = 'x' WHERE organisation = '{acme}'")
    for group in ("usage", "audit"):
        found = command(group, "verify", "--organisation", "acme")
        assert (found.code, "broken at 1" in found.out) == (1, True)
    told = command("--json", "audit", "verify", "--organisation", "acme")
    assert json.loads(told.out)[0]["broken"] == 1


def test_a_correction(command, acme):
    made = command(
        "--json", "usage", "correct", "acme", "--charge", "-4", "--reason", "t 17",
        "--request", "r1",
    )  # fmt: skip
    assert (made.code, json.loads(made.out)["charge"]) == (0, -4)
    refused = command(
        "usage", "correct", "acme", "--charge", "-40", "--reason", "x", "--request", "r1"
    )
    assert refused.code == 1
    assert "more than the request was charged" in refused.err
    assert command("usage", "correct", "acme", "--charge", "much", "--reason", "x").code == 2


def test_sums_are_compared_and_mended(command, world, acme):
    assert command("usage", "drift").code == 0
    world.tamper("UPDATE usage_hours SET charge = 0")
    assert command("usage", "drift").code == 1
    assert command("usage", "rebuild").code == 0
    assert command("usage", "drift").code == 0


def test_dropping_asks_first(command, world, acme, monkeypatch):
    world.clock.advance(60 * 86_400)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert command("usage", "drop", "2023-12").code == 1
    told = command("usage", "statement", "2023-11", "--organisation", "acme")
    assert told.code == 0, "nothing was dropped"
    done = command("--json", "usage", "drop", "2023-12", "--yes")
    assert json.loads(done.out)[0]["entries"] == 3


def test_alone_they_list_as_before(command, world, acme):
    assert (
        command("usage", "--by", "day", "--since", "2023-11-01", "--organisation", "acme").code == 0
    )
    shown = command("audit", "--limit", "1", "--organisation", "acme")
    assert "organisation.create" in shown.out
