"""RolloutRecords: the contract of the port, for SQL and for whatever else keeps rollouts.

A kind of records joins with a line in `KINDS`: a function of the world that gives records on which
the model `detector` of acme has three versions, its champion the first.
"""

from __future__ import annotations

import threading

import pytest

from plaza_core.errors import Conflict, InvalidInput, ModelNotFound, NotFound
from plaza_core.ports import RolloutRecords
from plaza_core.principal import Right, Role
from plaza_core.rollout import (
    WHOLE,
    GatePolicy,
    RolloutKind,
    RolloutState,
    SequentialTest,
    Split,
    Verdict,
)
from tests.tenancy.world import make_version

M = "detector"
CANARY, SHADOW = RolloutKind.CANARY, RolloutKind.SHADOW
TEST = SequentialTest(name="failures", evidence=4321.5, level=0.0005, candidate=(9, 40))
FINE = Verdict(bad=False, tests=[TEST.model_copy(update={"evidence": 1.5})])
BAD = Verdict(bad=True, because="failures", tests=[TEST])


@pytest.fixture
def engineer(world, acme):
    scope = world.scope_of("acme", Role.ENGINEER, Right.MODELS_WRITE)
    for digest in (1, 2, 3):
        world.tenancy.records.add_version(scope, make_version(digest))
    return scope


KINDS = {"sql": lambda world: world.tenancy.rollouts}


@pytest.fixture(params=KINDS)
def records(request, world, engineer) -> RolloutRecords:
    return KINDS[request.param](world)


def start(records, scope, candidate=2, *, alias="champion", kind=CANARY, part=500):
    return records.start(scope, M, alias, candidate, kind=kind, part=part, policy=GatePolicy())


def test_a_rollout_begins_as_it_was_asked_for(records, engineer):
    made = start(records, engineer, part=250)
    assert (made.name, made.alias, made.kind) == ("acme.main.detector", "champion", CANARY)
    assert (made.stable, made.candidate, made.part) == (1, 2, 250)
    assert (made.state, made.verdict, made.evidence) == (RolloutState.RUNNING, None, {})
    assert made.policy == GatePolicy()
    assert records.find(engineer) == records.find(engineer, M) == records.running() == [made]


def test_one_at_a_time_on_an_alias(records, engineer):
    first = start(records, engineer)
    with pytest.raises(Conflict, match=first.id):
        start(records, engineer, 3)
    records.end(engineer, first.id, RolloutState.CANCELLED)
    second = start(records, engineer, 3, kind=SHADOW)
    assert second.id != first.id
    assert [r.id for r in records.running()] == [second.id]


@pytest.mark.parametrize(("kind", "part"), [(CANARY, 0), (CANARY, WHOLE), (SHADOW, WHOLE + 1)])
def test_a_part_is_a_part(records, engineer, kind, part):
    with pytest.raises(InvalidInput):
        start(records, engineer, kind=kind, part=part)


def test_what_is_not_there_is_not_found(records, engineer):
    for arguments in ((9, "champion"), (2, "nowhere")):
        with pytest.raises(ModelNotFound):
            start(records, engineer, arguments[0], alias=arguments[1])
    with pytest.raises(ModelNotFound):
        records.find(engineer, "nothing")
    with pytest.raises(NotFound):
        records.end(engineer, "rol_0", RolloutState.CANCELLED)
    assert records.stop("rol_0", BAD) is False
    with pytest.raises(Conflict):
        start(records, engineer, 1)


def test_what_the_gate_saw_is_kept_until_the_end(records, engineer):
    made = start(records, engineer)
    records.keep(made.id, {"seen": 40}, FINE)
    (kept,) = records.running()
    assert (kept.evidence, kept.verdict) == ({"seen": 40}, FINE)
    assert records.stop(made.id, BAD) is True
    records.keep(made.id, {"seen": 99}, FINE)
    (ended,) = records.find(engineer)
    assert (ended.evidence, ended.verdict) == ({"seen": 40}, BAD)


def test_the_gate_stops_once(records, engineer):
    made = start(records, engineer)
    assert [records.stop(made.id, BAD), records.stop(made.id, BAD)] == [True, False]
    (ended,) = records.find(engineer)
    assert (ended.state, ended.ended_by) == (RolloutState.STOPPED, "gate")
    assert ended.ended_unix_us is not None
    assert records.running() == []
    for state in (RolloutState.CANCELLED, RolloutState.PROMOTED):
        with pytest.raises(Conflict):
            records.end(engineer, made.id, state)


@pytest.mark.parametrize("state", [RolloutState.CANCELLED, RolloutState.PROMOTED])
def test_a_person_ends_it_and_the_gate_comes_too_late(records, engineer, state):
    made = start(records, engineer)
    ended = records.end(engineer, made.id, state)
    assert (ended.state, ended.ended_by) == (state, engineer.actor)
    assert records.stop(made.id, BAD) is False
    assert records.find(engineer)[0].verdict is None


@pytest.mark.parametrize("state", [RolloutState.RUNNING, RolloutState.STOPPED])
def test_a_person_neither_starts_nor_stops_by_ending(records, engineer, state):
    made = start(records, engineer)
    with pytest.raises(InvalidInput):
        records.end(engineer, made.id, state)


ENDS = {"stop": "stopped", "cancel": "cancelled", "finish": "promoted"}


# ── what only SQL has: the alias, its history, the trail ─────────────────────────────────────────
def model(world, scope):
    return world.tenancy.records.get(scope, M)


def test_the_split_is_the_aliass_while_it_runs_and_not_longer(world, engineer):
    rollouts = world.tenancy.rollouts
    made = start(rollouts, engineer, part=250)
    split = Split(stable=1, weights={1: 9_750, 2: 250}, rollout=made.id)
    assert model(world, engineer).splits == {"champion": split}
    assert world.tenancy.table().models[0].splits == {"champion": split}
    rollouts.stop(made.id, BAD)
    assert (model(world, engineer).splits, model(world, engineer).aliases["champion"]) == ({}, 1)
    made = start(rollouts, engineer, 3, kind=SHADOW, part=WHOLE)
    split = Split(stable=1, shadows={3: WHOLE}, rollout=made.id)
    assert model(world, engineer).splits == {"champion": split}
    rollouts.end(engineer, made.id, RolloutState.PROMOTED)
    assert (model(world, engineer).splits, model(world, engineer).aliases["champion"]) == ({}, 3)
    world.tenancy.aliases.rollback(engineer, M, "champion")
    assert model(world, engineer).aliases["champion"] == 1


def test_a_stop_is_in_the_organisations_own_trail_with_its_numbers(world, acme, engineer):
    made = start(world.tenancy.rollouts, engineer)
    world.tenancy.rollouts.stop(made.id, BAD)
    (told, *_) = world.tenancy.audit.list(acme, limit=1)
    assert (told.action, told.actor, told.target) == ("rollout.stop", "gate", made.id)
    assert told.after["verdict"]["tests"][0]["evidence"] == 4321.5
    assert told.before["champion"]["weights"] == {"1": 9_500, "2": 500}
    assert all(chain.intact for chain in world.tenancy.audit.verify(acme))


def test_of_a_stop_an_end_and_a_promotion_at_once_one_is_done(world, engineer):
    """And the alias is where that one led."""
    rollouts, aliases = world.tenancy.rollouts, world.tenancy.aliases
    for _ in range(6):
        made = start(rollouts, engineer)
        begin, done = threading.Barrier(4), []

        def attempt(name, verb, begin=begin, done=done):
            begin.wait()
            try:
                if verb() is not False:
                    done.append(name)
            except Conflict:
                pass

        verbs = {
            "stop": lambda made=made: rollouts.stop(made.id, BAD),
            "cancel": lambda made=made: rollouts.end(engineer, made.id, RolloutState.CANCELLED),
            "finish": lambda made=made: rollouts.end(engineer, made.id, RolloutState.PROMOTED),
            "keep": lambda made=made: rollouts.keep(made.id, {"n": 1}, FINE) or False,
        }
        threads = [threading.Thread(target=attempt, args=each) for each in verbs.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = done
        ended = rollouts.get(engineer, made.id)
        assert ended.state == ENDS[winner]
        assert ended.verdict in ([BAD] if winner == "stop" else [None, FINE])
        (step, *_) = aliases.history(engineer, M, "champion")
        assert step.kind == winner
        assert model(world, engineer).aliases["champion"] == (2 if winner == "finish" else 1)
        aliases.promote(engineer, M, "champion", 1)
