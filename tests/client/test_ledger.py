"""The books through the SDK, against the real admin API on a real database."""

import json

import pytest

import plaza
from tests.client.real import real_control, used_thrice

NOVEMBER = "2023-11"


@pytest.fixture
def world(tmp_path):
    with real_control(tmp_path / "state") as world:
        yield world


@pytest.fixture
def acme(world, hub):
    """An organisation with three charged requests; returns its id."""
    whose = hub.orgs.create("acme").id
    used_thrice(world, whose)
    return whose


def test_a_statement_comes_whole_or_into_a_file(hub, acme, tmp_path):
    told = json.loads(hub.ledger.statement("acme", NOVEMBER))
    assert (told["name"], told["totals"]["charge"]) == ("acme", 30)
    file = tmp_path / "november.csv"
    hub.ledger.save_statement("acme", NOVEMBER, file, format="csv")
    assert file.read_bytes() == hub.ledger.statement("acme", NOVEMBER, format="csv")
    assert file.read_text().startswith('"kind"')


def test_a_refused_statement_leaves_the_file_as_it_was(hub, acme, tmp_path):
    file = tmp_path / "november.csv"
    file.write_text("of yesterday")
    with pytest.raises(plaza.PlazaError) as caught:
        hub.ledger.save_statement("nobody", NOVEMBER, file)
    assert (caught.value.code, caught.value.status) == ("not_found", 404)
    assert file.read_text() == "of yesterday"
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["november.csv"]


def test_chains_are_verified(hub, world, acme):
    (chain,) = hub.ledger.verify(organisation="acme")
    assert (chain.organisation, chain.links, chain.intact) == (acme, 1, True)
    assert all(chain.intact for chain in hub.ledger.verify_audit(organisation="*"))
    world.tamper("UPDATE usage SET charge = 9 WHERE request_id = 'r1'")
    (chain,) = hub.ledger.verify(organisation="acme")
    assert (chain.intact, chain.broken) == (False, 1)
    assert "changed" in chain.why
    world.tamper(f"UPDATE audit SET target = 'x' WHERE organisation = '{acme}'")
    (chain,) = hub.ledger.verify_audit(organisation="acme")
    assert chain.broken == 1


def test_corrections_and_sums(hub, world, acme):
    made = hub.ledger.correct("acme", -4, "ticket 17", request="r1")
    assert (made.charge, made.refers, made.reason) == (-4, "r1", "ticket 17")
    world.clock.advance(1)
    (row,) = hub.usage(organisation="acme", by="month")
    assert (row.group, row.charge, row.requests) == ({"month": NOVEMBER}, 26, 3)
    assert hub.ledger.drift() == []
    world.tamper("UPDATE usage_hours SET charge = charge + 1 WHERE requests > 0")
    found = hub.ledger.drift()
    assert [d.charge for d in found] == [1]
    assert hub.ledger.rebuild() == found
    assert hub.ledger.drift() == []


def test_retention(hub, world, acme):
    world.clock.advance(60 * 86_400)
    (dropped,) = hub.ledger.drop_before("2023-12")
    assert dropped == plaza.Dropped(acme, batches=1, entries=3, anchor=1)
    assert hub.ledger.drop_before("2023-12") == []
