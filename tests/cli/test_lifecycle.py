"""`plaza models …`, `plaza rollouts` and `plaza catalogue` against the real admin API."""

from __future__ import annotations

import json

import pytest

from plaza_core.rollout import SequentialTest, Verdict
from tests.client.real import real_control
from tests.tenancy.world import make_version

ACME = ("--organisation", "acme")
CARDS = ["---\nmetrics: {ap50: 0.5}\n---\nCounts cars.", "---\nmetrics: {ap50: 0.75}\n---\nMore."]


@pytest.fixture
def world(tmp_path):
    cards = enumerate(CARDS, start=1)
    versions = [make_version(number, name="cars", card=card) for number, card in cards]
    with real_control(tmp_path / "state", ["acme", "city"], versions) as world:
        yield world


@pytest.fixture
def said(command):
    def said(*arguments):
        done = command(*arguments)
        assert done.code == 0, done.err
        return done.out

    return said


def test_versions_show_their_states(said, command):
    assert "staged" in said("models", "stage", "cars", "2", *ACME)
    shown = said("models", "versions", "cars", *ACME)
    assert [line.split()[:2] for line in shown.splitlines()[1:]] == [
        ["2", "staged"],
        ["1", "serving"],
    ]
    refused = command("models", "retire", "cars", "1", *ACME)
    assert (refused.code, "serves as champion" in refused.err) == (1, True)


def test_a_rollout_is_named_by_its_model_and_watched_to_its_end(command, said, answered, world):
    none = command("rollouts", "show", "cars", *ACME)
    assert (none.code, "cars has had no rollout" in none.err) == (2, True)
    begun = answered("models", "promote", "cars", "2", "--canary", "5", "--why", "sees more", *ACME)
    assert answered("rollouts", "watch", "cars", "--for", "0", *ACME)["state"] == "running"
    assert answered("models", "history", "cars", *ACME)[0]["why"] == "sees more"
    test = SequentialTest(name="failures", evidence=5000, level=0.0008, candidate=(9, 40))
    verdict = Verdict(bad=True, because="failures", tests=[test])
    world.parts.tenancy.rollouts.stop(begun["rollout"], verdict)
    shown = said("rollouts", "watch", "cars", *ACME)
    assert ("stopped" in shown, begun["rollout"] in shown) == (True, True)


def test_an_id_is_not_folded_where_nobody_watches(said, monkeypatch):
    monkeypatch.delenv("COLUMNS")
    said("models", "promote", "cars", "2", "--canary", "5", *ACME)
    (line,) = said("rollouts", "list", *ACME).splitlines()[1:]
    assert line.split()[1] == "acme.main.cars"


def test_promotion_rollback_and_history(said, answered):
    said("models", "promote", "cars", "2", "--why", "sees more", *ACME)
    assert "champion → 1" in said("models", "rollback", "cars", "--why", "slower", *ACME)
    shown = said("models", "history", "cars", *ACME).splitlines()
    assert "●" in shown[1]
    assert "slower" in shown[1]
    assert ("← 1" in shown[2], "sees more" in shown[2]) == (True, True)
    assert [step["version"] for step in answered("models", "history", "cars", *ACME)] == [1, 2, 1]
    said("models", "remove-alias", "cars", "champion", *ACME)
    assert "champion → 1" in said("models", "rollback", "cars", *ACME)


def test_a_rollout_prints_its_tests_against_their_limits(said, answered, world):
    made = answered("models", "promote", "cars", "2", "--canary", "2.5", *ACME)["rollout"]
    assert "canary 2.5 %" in said("rollouts", "list", *ACME)
    tests = [
        SequentialTest(
            name="failures", evidence=2500, level=0.0005, candidate=(12, 400), stable=(1, 15_600)
        ),
        SequentialTest(name="latency", evidence=1.0, level=0.0005, candidate=(3, 400)),
    ]
    verdict = Verdict(bad=True, because="failures", tests=tests)
    world.parts.tenancy.rollouts.stop(made, verdict)
    shown = said("rollouts", "show", made, *ACME)
    lines = shown.splitlines()
    assert any(line.split() == ["state", "stopped"] for line in lines)
    failures = next(line for line in lines if line.startswith("failures"))
    assert "█" * 20 in failures
    assert all(text in failures for text in ("2.5e+03", "2,000", "12 of 400", "1 of 15,600"))
    assert "█" not in next(line for line in lines if line.startswith("latency"))
    assert answered("rollouts", "show", made, *ACME)["verdict"]["because"] == "failures"


def test_a_diff_reads_as_a_table(said, answered):
    shown = said("models", "diff", "cars@1", "cars@champion", *ACME)
    assert "the same bundle" in shown
    shown = said("models", "diff", "cars@1", "cars@2", *ACME)
    assert "acme.main.cars@1" in shown
    assert "+50.0%" in next(line for line in shown.splitlines() if line.startswith("ap50"))
    assert "compatible" in shown
    assert answered("models", "diff", "cars@1", "cars@2", *ACME)["compatible"] is True


def test_clearing_away_only_looks_until_it_is_told_to(said, answered, world):
    said("models", "promote", "cars", "2", *ACME)
    said("models", "retire", "cars", "1", *ACME)
    assert answered("models", "gc", *ACME)["items"] == []
    world.clock.advance(31 * 86_400)
    assert "1 versions, 10 bytes would go" in said("models", "gc", *ACME)
    assert answered("models", "gc", "--older-than", "31d", "--yes", *ACME)["removed"] is True
    assert len(answered("models", "versions", "cars", *ACME)) == 1


def test_the_catalogue(said, answered, command):
    said("models", "tag", "cars", "edge", "night", "--remove", "night", *ACME)
    shown = said("models", "search", "counts", "--tag", "edge", *ACME)
    assert all(text in shown for text in ("acme.main.cars", "edge", "Counts cars."))
    assert "city" in said("models", "share", "cars", "city", *ACME)
    assert "city" in said("models", "guests", "cars", *ACME)
    said("models", "unshare", "cars", "city", *ACME)
    said("models", "visibility", "cars", "organisation", *ACME)
    admin = answered("keys", "create", "--role", "admin", *ACME)["key"]
    asked = json.loads(command("--key", admin, "--json", "models", "publish", "cars").out)
    assert asked["public"] is False
    assert asked["request"] in said("catalogue", "requests")
    assert "approved" in said("catalogue", "approve", asked["request"])
    rejected = command("catalogue", "reject", asked["request"], "--reason", "late")
    assert (rejected.code, "approved before" in rejected.err) == (1, True)
