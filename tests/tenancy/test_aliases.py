"""Aliases forward and back, and the history that tells of it."""

from __future__ import annotations

import pytest

from plaza_core.errors import BreakingChange, Conflict, DoesNotFit, ModelNotFound
from plaza_core.manifest import manifest_from
from plaza_core.principal import Right, Role
from plaza_core.rollout import GatePolicy, RolloutKind, RolloutState
from plaza_core.running import Examination
from plaza_tenancy.aliases import Aliases
from tests.tenancy.world import make_version

M = "detector"


@pytest.fixture
def engineer(world, acme):
    scope = world.scope_of("acme", Role.ENGINEER, Right.MODELS_WRITE)
    for digest in (1, 2, 3, 4):
        world.tenancy.records.add_version(scope, make_version(digest))
    return scope


def champion(world, scope):
    return world.tenancy.records.get(scope, M).aliases.get("champion")


def promote(world, scope, *versions):
    for version in versions:
        world.tenancy.aliases.promote(scope, M, "champion", version)


def back(world, scope):
    world.tenancy.aliases.rollback(scope, M, "champion")
    return champion(world, scope)


def canary(world, scope, candidate, part=500, **more):
    return world.tenancy.rollouts.start(
        scope,
        M,
        "champion",
        candidate,
        kind=RolloutKind.CANARY,
        part=part,
        policy=GatePolicy(),
        **more,
    )


def test_each_rollback_goes_one_step_further_back(world, engineer):
    promote(world, engineer, 2, 3, 4)
    assert [back(world, engineer) for _ in range(3)] == [3, 2, 1]
    with pytest.raises(Conflict, match="nothing before"):
        back(world, engineer)


def test_a_promotion_after_a_rollback_is_undone_to_where_the_rollback_led(world, engineer):
    promote(world, engineer, 2, 3)
    assert back(world, engineer) == 2
    promote(world, engineer, 4)
    assert [back(world, engineer), back(world, engineer)] == [2, 1]


def test_history_tells_who_when_where_and_why(world, engineer):
    world.clock.advance(60)
    world.tenancy.aliases.promote(engineer, M, "champion", 3, why="better at night")
    world.tenancy.aliases.rollback(engineer, M, "champion", why="slower")
    last, forward, first = world.tenancy.aliases.history(engineer, M, "champion")
    assert [step.kind for step in (last, forward, first)] == ["rollback", "promote", "promote"]
    assert [step.version for step in (last, forward, first)] == [1, 3, 1]
    assert (last.why, forward.why) == ("slower", "better at night")
    assert (last.current, forward.current) == (True, False)
    assert forward.actor == engineer.actor
    assert forward.at_unix_us - first.at_unix_us == 60_000_000
    assert (forward.back, last.back) == (1, None)


def test_rolling_back_during_a_rollout_ends_it_and_leaves_the_stable_version(world, engineer):
    promote(world, engineer, 2)
    rollout = canary(world, engineer, 3)
    assert back(world, engineer) == 2
    ended = world.tenancy.rollouts.get(engineer, rollout.id)
    assert (ended.state, ended.ended_by) == (RolloutState.CANCELLED, engineer.actor)
    assert world.tenancy.records.get(engineer, M).splits == {}
    assert back(world, engineer) == 1


def test_a_promotion_by_hand_names_the_rollout_in_its_way(world, engineer):
    rollout = canary(world, engineer, 2)
    with pytest.raises(Conflict, match=rollout.id):
        promote(world, engineer, 3)
    world.tenancy.aliases.promote(engineer, M, "champion", 3, force=True)
    assert champion(world, engineer) == 3
    assert world.tenancy.rollouts.get(engineer, rollout.id).state is RolloutState.CANCELLED
    assert back(world, engineer) == 1, "a rollout that is over is no state to return to"


def test_a_rollout_by_force_takes_the_place_of_the_one_that_runs(world, engineer):
    first = canary(world, engineer, 2)
    with pytest.raises(Conflict, match=first.id):
        canary(world, engineer, 3)
    with pytest.raises(Conflict, match="already"):
        canary(world, engineer, 1, force=True)
    assert world.tenancy.rollouts.get(engineer, first.id).state is RolloutState.RUNNING
    second = canary(world, engineer, 3, force=True, why="the right file")
    assert world.tenancy.rollouts.get(engineer, first.id).state is RolloutState.CANCELLED
    split = world.tenancy.records.get(engineer, M).splits["champion"]
    assert (split.rollout, split.versions()) == (second.id, {1, 3})
    assert world.tenancy.aliases.history(engineer, M, "champion")[0].why == "the right file"
    assert back(world, engineer) == 1


def test_a_removed_alias_comes_back_by_a_rollback(world, engineer):
    world.tenancy.aliases.remove(engineer, M, "champion")
    assert champion(world, engineer) is None
    with pytest.raises(ModelNotFound):
        world.tenancy.aliases.remove(engineer, M, "champion")
    assert back(world, engineer) == 1
    items = world.tenancy.proposals.pending(100)
    assert [i.payload["version"] for i in items if i.kind == "alias"] == [1, None, 1]


def test_an_alias_leads_only_to_what_may_be_called(world, engineer):
    world.tenancy.lifecycle.retire(engineer, M, 2)
    world.tenancy.lifecycle.withdraw(engineer, M, 3)
    for version, why in ((2, "retired"), (3, "withdrawn")):
        with pytest.raises(Conflict, match=why):
            promote(world, engineer, version)
        with pytest.raises(Conflict, match=why):
            canary(world, engineer, version)


def test_a_rollback_to_what_was_retired_says_what_to_do(world, engineer):
    promote(world, engineer, 2)
    world.tenancy.lifecycle.retire(engineer, M, 1)
    with pytest.raises(Conflict, match="version 1 is retired; restore it first"):
        back(world, engineer)
    world.tenancy.lifecycle.restore(engineer, M, 1)
    assert back(world, engineer) == 1


def test_a_rollback_to_what_was_cleared_away_says_so(world, engineer):
    promote(world, engineer, 2)
    world.tenancy.lifecycle.retire(engineer, M, 1)
    world.tenancy.collector.remove(engineer, 0)
    with pytest.raises(Conflict, match="removed for good"):
        back(world, engineer)


def other_signature(digest):
    new = make_version(digest)
    document = new.manifest.model_dump(mode="json", by_alias=True)
    document["signature"]["inputs"][0]["name"] = "pixels"
    return type(new)(
        **{name: getattr(new, name) for name in new.__slots__}
        | {"manifest": manifest_from(document)}
    )


def test_breaking_callers_is_done_on_purpose_or_not_at_all(world, engineer):
    world.tenancy.records.add_version(engineer, other_signature(9))
    with pytest.raises(BreakingChange, match=r"input x is gone.*input pixels is new"):
        promote(world, engineer, 5)
    with pytest.raises(BreakingChange):
        canary(world, engineer, 5)
    assert champion(world, engineer) == 1
    world.tenancy.aliases.promote(engineer, M, "champion", 5, allow_breaking=True)
    assert back(world, engineer) == 1, "the way back is never barred"
    world.tenancy.aliases.promote(engineer, M, "wide", 5)  # nobody calls a new alias yet


def big(digest, size):
    new = make_version(digest)
    found = Examination(True, "fine", "cpu", "1", {}, peak_bytes=size, run_us=1)
    return type(new)(
        **{name: getattr(new, name) for name in new.__slots__} | {"examination": found}
    )


def test_what_no_replica_can_hold_is_refused_when_it_is_deployed(world, engineer):
    world.tenancy.records.add_version(engineer, big(9, (64 << 20) + 1))
    world.tenancy.records.add_version(engineer, big(10, 64 << 20))
    tight = Aliases(world.tenancy._store, 64 << 20)
    world.tenancy.lifecycle._room = world.tenancy.rollouts._room = 64 << 20
    for verb in (
        lambda: tight.promote(engineer, M, "champion", 5),
        lambda: world.tenancy.lifecycle.stage(engineer, M, 5),
        lambda: canary(world, engineer, 5),
    ):
        with pytest.raises(DoesNotFit, match="takes 65 MiB and a replica holds at most 64 MiB"):
            verb()
    assert tight.promote(engineer, M, "champion", 6).aliases == {"champion": 6}
