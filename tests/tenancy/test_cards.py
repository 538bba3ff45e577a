"""Cards change, and what they said before stays. One suite for SQL and for the twin in memory."""

from __future__ import annotations

import pytest

from plaza_core.errors import Forbidden, InvalidBundle, ModelNotFound
from plaza_core.keys import issue
from plaza_core.ports import CardRecords
from plaza_core.principal import Right, Role, TenantScope
from plaza_core.table import Visibility
from plaza_core.testing import FakeClock, MemoryCards
from tests.tenancy.world import make_version

WRITE = Right.MODELS_WRITE


@pytest.fixture
def engineer(world, acme):
    return world.scope_of("acme", Role.ENGINEER, WRITE)


Told = tuple[CardRecords, TenantScope]
"""Cards with one of `detector` 1, which says `# First`, and a scope that may change it."""


class Every:
    """What holds of every CardRecords."""

    def test_a_card_that_nobody_changed_is_revision_one(self, told):
        cards, scope = told
        (only,) = cards.list(scope, "detector", 1)
        assert (only.version, only.revision, only.text) == (1, 1, "# First")

    def test_each_change_is_a_revision_and_none_is_lost(self, told):
        cards, scope = told
        made = [cards.set(scope, "detector", 1, f"# Better {n}") for n in range(3)]
        assert [card.revision for card in made] == [2, 3, 4]
        assert made[0].created_by == scope.actor
        found = cards.list(scope, "detector", 1)
        assert [(card.revision, card.text) for card in found] == [
            (4, "# Better 2"),
            (3, "# Better 1"),
            (2, "# Better 0"),
            (1, "# First"),
        ]

    def test_the_same_text_again_changes_nothing(self, told):
        cards, scope = told
        assert cards.set(scope, "detector", 1, "# First").revision == 1
        second = cards.set(scope, "detector", 1, "# Second")
        assert cards.set(scope, "detector", 1, "# Second") == second
        assert len(cards.list(scope, "detector", 1)) == 2

    def test_an_earlier_text_may_come_back(self, told):
        cards, scope = told
        cards.set(scope, "detector", 1, "# Second")
        assert cards.set(scope, "detector", 1, "# First").revision == 3

    @pytest.mark.parametrize(
        "text",
        [
            "---\nlicense: MIT\n---\n",
            "x" * (256 * 1024 + 1),
            issue(b"pepper", lambda size: bytes(range(size))).text,
        ],
        ids=["front matter", "too long", "a key"],
    )
    def test_what_could_not_be_registered_is_no_card_either(self, told, text):
        cards, scope = told
        with pytest.raises(InvalidBundle) as caught:
            cards.set(scope, "detector", 1, text)
        assert caught.value.input.startswith("CARD.md")
        assert len(cards.list(scope, "detector", 1)) == 1

    @pytest.mark.parametrize(("name", "version"), [("detector", 2), ("nobody", 1)])
    def test_no_such_version(self, told, name, version):
        cards, scope = told
        with pytest.raises(ModelNotFound):
            cards.set(scope, name, version, "# New")
        with pytest.raises(ModelNotFound):
            cards.list(scope, name, version)


class TestInMemory(Every):
    @pytest.fixture
    def told(self) -> Told:
        cards = MemoryCards(FakeClock(), {("detector", 1): "# First"})
        return cards, TenantScope("o", "p", "key_a")


class TestOnSql(Every):
    @pytest.fixture
    def told(self, world, engineer) -> Told:
        world.tenancy.records.add_version(engineer, make_version(1, card="# First"))
        return world.tenancy.cards, engineer


@pytest.fixture
def cards(world, engineer):
    world.tenancy.records.add_version(engineer, make_version(1, card="# First"))
    return world.tenancy.cards


def test_lists_of_versions_show_the_newest_card(world, cards, engineer):
    cards.set(engineer, "detector", 1, "# Better")
    (version,) = world.tenancy.records.versions(engineer, "detector")
    assert (version.card, version.digest) == ("# Better", make_version(1).digest)


def test_a_change_is_audited_without_the_text(world, cards, engineer):
    cards.set(engineer, "main.detector", 1, "# Better")
    auditor = world.scope_of("acme", Role.AUDITOR, Right.AUDIT_READ)
    entries = world.tenancy.audit.list(auditor)
    (entry,) = (entry for entry in entries if entry.action == "card.set")
    assert entry.before == {"version": 1, "revision": 1}
    assert entry.after == {"version": 1, "revision": 2}


def test_mlflow_hears_of_it(world, cards, engineer):
    cards.set(engineer, "detector", 1, "# Better")
    told = world.tenancy.proposals.pending(100)[-1]
    assert told.kind == "card"
    assert (told.payload["version"], told.payload["card"]) == (1, "# Better")


def test_a_version_registered_again_keeps_its_better_card(world, cards, engineer):
    cards.set(engineer, "detector", 1, "# Better")
    version, created = world.tenancy.records.add_version(engineer, make_version(1, card="# First"))
    assert (version.card, created) == ("# Better", False)


def test_everybody_reads_the_card_of_a_public_model_and_its_owner_alone_writes_it(world, acme):
    scope = world.tenancy.scope(world.operator, WRITE, organisation="acme", project="main")
    world.tenancy.records.add_version(
        scope, make_version(1, card="# First", visibility=Visibility.PUBLIC)
    )
    world.tenancy.cards.set(scope, "detector", 1, "# Better")
    world.organisation("city")
    stranger = world.scope_of("city", Role.ENGINEER, WRITE)
    found = world.tenancy.cards.list(stranger, "acme.main.detector", 1)
    assert [card.text for card in found] == ["# Better", "# First"]
    with pytest.raises((ModelNotFound, Forbidden)):
        world.tenancy.cards.set(stranger, "acme.main.detector", 1, "# Mine")
