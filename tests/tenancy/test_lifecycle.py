"""The states of a version: what brings it where, and what never happens to one that serves."""

from __future__ import annotations

import pytest

from plaza_core.errors import Conflict, ModelNotFound
from plaza_core.principal import Right, Role
from plaza_core.rollout import GatePolicy, RolloutKind, VersionState
from plaza_core.running import Examination
from plaza_core.table import Visibility
from tests.tenancy.world import make_version

M = "detector"
FAILED = Examination(False, "it loops for ever", "cpu", "1", {}, 0, 0)
PASSED = Examination(True, "passed", "cpu", "2", {"CPU": 4}, 7, 9)


@pytest.fixture
def engineer(world, acme):
    scope = world.scope_of("acme", Role.ENGINEER, Right.MODELS_WRITE)
    for digest in (1, 2, 3):
        world.tenancy.records.add_version(scope, make_version(digest))
    return scope


def states(world, scope):
    found = world.tenancy.records.versions(scope, M)
    assert [v.state for v in reversed(found)] == [
        v.state for v in world.tenancy.records.get(scope, M).versions
    ]
    return [v.state.value for v in reversed(found)]


def in_table(world):
    (model,) = world.tenancy.table().models
    return {version.version: version.state.value for version in model.versions}


def test_from_registration_to_retirement_and_back(world, engineer):
    life = world.tenancy.lifecycle
    assert states(world, engineer) == ["serving", "examined", "examined"]
    assert life.stage(engineer, M, 2).state is VersionState.STAGED
    assert life.retire(engineer, M, 2).state is VersionState.RETIRED
    assert life.restore(engineer, M, 2).state is VersionState.EXAMINED, "staging has to be said"
    assert life.withdraw(engineer, M, 2, reason="a new CVE").state is VersionState.REGISTERED
    assert life.retire(engineer, M, 2).state is VersionState.RETIRED
    assert life.restore(engineer, M, 2).state is VersionState.REGISTERED
    assert life.examined(engineer, M, 2, PASSED).state is VersionState.EXAMINED
    assert life.stage(engineer, M, 2).state is VersionState.STAGED
    assert life.unstage(engineer, M, 2).state is VersionState.EXAMINED


def test_replicas_hear_only_of_what_may_be_called(world, engineer):
    life = world.tenancy.lifecycle
    life.stage(engineer, M, 2)
    assert in_table(world) == {1: "serving", 2: "staged", 3: "examined"}
    life.retire(engineer, M, 2)
    life.withdraw(engineer, M, 3)
    assert in_table(world) == {1: "serving"}


def test_a_canary_and_a_shadow_serve(world, engineer):
    rollouts = world.tenancy.rollouts
    world.tenancy.aliases.promote(engineer, M, "night", 1)
    for alias, candidate, kind in (("champion", 2, "canary"), ("night", 3, "shadow")):
        rollouts.start(
            engineer, M, alias, candidate, kind=RolloutKind(kind), part=9, policy=GatePolicy()
        )
    assert states(world, engineer) == ["serving"] * 3
    for version, alias in ((2, "champion"), (3, "night")):
        with pytest.raises(Conflict, match=f"serves as {alias}"):
            world.tenancy.lifecycle.retire(engineer, M, version)


@pytest.mark.parametrize("verb", ["retire", "withdraw"])
def test_what_serves_stays(world, engineer, verb):
    world.tenancy.aliases.promote(engineer, M, "night", 1)
    with pytest.raises(Conflict, match="version 1 serves as champion, night"):
        getattr(world.tenancy.lifecycle, verb)(engineer, M, 1)
    assert states(world, engineer)[0] == "serving"


def test_what_serves_and_fails_an_examination_stays_and_is_told(world, engineer):
    with pytest.raises(Conflict, match="it loops for ever"):
        world.tenancy.lifecycle.examined(engineer, M, 1, FAILED)
    world.tenancy.lifecycle.examined(engineer, M, 2, FAILED)
    assert states(world, engineer) == ["serving", "registered", "examined"]


def test_what_may_not_be_called_is_not_staged(world, engineer):
    world.tenancy.lifecycle.retire(engineer, M, 2)
    world.tenancy.lifecycle.withdraw(engineer, M, 3)
    for version, why in ((2, "retired"), (3, "withdrawn")):
        with pytest.raises(Conflict, match=why):
            world.tenancy.lifecycle.stage(engineer, M, version)


def test_saying_it_again_changes_nothing(world, engineer):
    life = world.tenancy.lifecycle
    for verbs in (("stage", "unstage"), ("retire", "restore"), ("withdraw",)):
        for verb in verbs:
            first = getattr(life, verb)(engineer, M, 2)
            before = world.tenancy.table_version()
            assert getattr(life, verb)(engineer, M, 2) == first
            assert world.tenancy.table_version() == before


def test_an_unexamined_first_version_is_no_champion(world, engineer):
    new = make_version(9, name="import")
    untried = type(new)(
        **{name: getattr(new, name) for name in new.__slots__} | {"examination": FAILED}
    )
    version, _ = world.tenancy.records.add_version(engineer, untried)
    assert version.state is VersionState.REGISTERED
    assert world.tenancy.records.get(engineer, "import").aliases == {}
    with pytest.raises(Conflict, match="has not been examined"):
        world.tenancy.aliases.promote(engineer, "import", "champion", 1)


def test_strangers_see_of_a_public_model_what_they_may_call(world, engineer):
    city = world.organisation("city")
    mine = world.tenancy.scope(world.operator, Right.MODELS_WRITE, organisation="acme")
    world.tenancy.visibility.set(mine, M, Visibility.PUBLIC)
    world.tenancy.lifecycle.retire(engineer, M, 3)
    world.tenancy.rollouts.start(
        engineer, M, "champion", 2, kind=RolloutKind.SHADOW, part=9, policy=GatePolicy()
    )
    seen = world.tenancy.records.get(city, M)
    assert [v.version for v in seen.versions] == [1, 2]
    assert seen.splits == {}
    assert [v.version for v in world.tenancy.records.versions(city, M)] == [2, 1]
    with pytest.raises(ModelNotFound):
        world.tenancy.records.details(city, M, "3")
    assert world.tenancy.records.details(city, M, "champion").entry.version == 1
