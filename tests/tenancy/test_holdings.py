"""Counts and storage: nobody holds more than they may, and nothing that is held is taken away."""

from __future__ import annotations

import threading

import pytest

from plaza_core.errors import Forbidden, InvalidInput, NotFound, PlazaError, QuotaExceeded
from plaza_core.held import Held
from plaza_core.ids import KeyId
from plaza_core.principal import Right, Role
from plaza_core.table import RateLimit
from plaza_tenancy.nodes import Kind, Node
from tests.tenancy.world import make_version

ACME, MAIN = Node(Kind.ORGANISATION, "acme"), Node(Kind.PROJECT, "main")


@pytest.fixture
def hold(world, acme):
    def hold(what, limit, node=ACME):
        return world.tenancy.limits.set_holding(world.platform_of(acme, node), node, what, limit)

    world.platform_of = lambda scope, node: (
        world.platform() if node.kind is Kind.ORGANISATION else scope
    )
    return hold


def test_an_organisation_makes_so_many_keys_and_not_one_more(world, acme, hold):
    hold(Held.KEYS, 2)
    first = world.tenancy.keys.create(acme, role=Role.CONSUMER)
    world.tenancy.keys.create(acme, role=Role.CONSUMER)
    with pytest.raises(QuotaExceeded, match="may hold 2 keys and holds 2") as refused:
        world.tenancy.keys.create(acme, role=Role.CONSUMER)
    assert refused.value.input == "keys"
    world.tenancy.keys.revoke(acme, first.id)
    world.tenancy.keys.create(acme, role=Role.CONSUMER)


def test_rotation_needs_no_room_for_the_key_that_ends(world, acme, hold):
    old = world.tenancy.keys.create(acme, role=Role.CONSUMER)
    hold(Held.KEYS, 1)
    new = world.tenancy.keys.rotate(acme, old.id, overlap_us=3_600_000_000)
    assert held(world, acme)[Held.KEYS] == 1
    assert world.tenancy.keys.get(acme, KeyId(new.id)).replaces == old.id


def test_an_expired_key_makes_room(world, acme, hold):
    hold(Held.KEYS, 1)
    soon = world.clock.unix_us() + 1_000_000
    world.tenancy.keys.create(acme, role=Role.CONSUMER, expires_unix_us=soon)
    world.clock.advance(2)
    world.tenancy.keys.create(acme, role=Role.CONSUMER)


def test_models_versions_and_bytes_of_a_project(world, acme, hold):
    hold(Held.MODELS, 1, MAIN)
    hold(Held.BYTES, 20, MAIN)
    add = world.tenancy.records.add_version
    add(acme, make_version(1, name="cars"))
    with pytest.raises(QuotaExceeded, match="this project may hold 1 models"):
        add(acme, make_version(2, name="trucks"))
    add(acme, make_version(2, name="cars"))
    with pytest.raises(QuotaExceeded, match="bytes"):
        add(acme, make_version(3, name="cars"))
    add(acme, make_version(2, name="cars"))  # the same bundle again holds nothing more
    hold(Held.BYTES, None, MAIN)
    hold(Held.VERSIONS, 2)
    with pytest.raises(QuotaExceeded, match="this organisation may hold 2 versions"):
        add(acme, make_version(3, name="cars"))
    found = held(world, acme)
    assert (found[Held.MODELS], found[Held.VERSIONS], found[Held.BYTES]) == (1, 2, 20)


def test_projects_and_members(world, acme, hold):
    hold(Held.PROJECTS, 1)
    hold(Held.MEMBERS, 1)
    with pytest.raises(QuotaExceeded):
        world.tenancy.projects.create(acme, "second")
    ann = world.tenancy.members.add(acme, "ann@acme.test", role=Role.CONSUMER)
    with pytest.raises(QuotaExceeded):
        world.tenancy.members.add(acme, "bob@acme.test", role=Role.CONSUMER)
    world.tenancy.members.remove(acme, ann.id)
    world.tenancy.members.add(acme, "bob@acme.test", role=Role.CONSUMER)


def test_a_limit_below_what_is_held_takes_nothing_away(world, acme, hold):
    world.tenancy.records.add_version(acme, make_version(1, name="cars"))
    done = hold(Held.MODELS, 0)
    assert (done.used, done.limit) == (1, 0)
    assert world.tenancy.records.get(acme, "cars").name == "cars"


def test_of_makers_at_the_same_time_exactly_as_many_succeed_as_there_is_room(world, acme, hold):
    hold(Held.PROJECTS, 4)
    results: list[str] = []

    def make(number):
        try:
            world.tenancy.projects.create(acme, f"project-{number}")
            results.append("made")
        except PlazaError as error:
            results.append(error.code)

    makers = [threading.Thread(target=make, args=(number,)) for number in range(10)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert sorted(results) == ["made"] * 3 + ["quota_exceeded"] * 7


def test_who_may_set_what(world, acme, hold):
    mine = world.scope_of("acme", Role.ADMIN, Right.TENANTS_WRITE)
    bound = world.scope_of("acme", Role.ADMIN, Right.TENANTS_WRITE, project="main")
    limits = world.tenancy.limits
    with pytest.raises(Forbidden):
        limits.set_holding(mine, ACME, Held.KEYS, 5)
    assert limits.set_holding(mine, MAIN, Held.KEYS, 5).limit == 5
    with pytest.raises(Forbidden):
        limits.set_holding(bound, MAIN, Held.KEYS, 50)
    with pytest.raises(InvalidInput):
        limits.set_holding(mine, MAIN, Held.PROJECTS, 5)
    with pytest.raises(NotFound):
        limits.set_holding(mine, Node(Kind.PROJECT, "nope"), Held.KEYS, 5)
    with pytest.raises(InvalidInput):
        hold(Held.KEYS, -1)


def test_rates_of_projects_and_keys_reach_the_replicas(world, acme):
    key = world.tenancy.keys.create(acme, role=Role.CONSUMER).id
    mine = world.scope_of("acme", Role.ADMIN, Right.TENANTS_WRITE)
    rate = RateLimit(per_second=3, burst=5)
    world.tenancy.limits.set_rate(mine, Node(Kind.KEY, key), rate)
    entry = next(one for one in world.tenancy.table().keys if one.id == key)
    assert entry.limits[0] == (key, rate)
    world.tenancy.limits.set_rate(mine, Node(Kind.KEY, key), None)
    entry = next(one for one in world.tenancy.table().keys if one.id == key)
    assert [node for node, _ in entry.limits] == [acme.organisation]
    with pytest.raises(InvalidInput):
        world.tenancy.limits.set_rate(world.platform(), ACME, None)


def test_a_key_of_one_project_may_not_lift_its_own_rate(world, acme):
    bound = world.scope_of("acme", Role.ADMIN, Right.TENANTS_WRITE, project="main")
    with pytest.raises(Forbidden):
        world.tenancy.limits.set_rate(bound, Node(Kind.KEY, bound.actor), None)


def test_every_node_is_shown_with_its_limits(world, acme, hold):
    hold(Held.KEYS, 9)
    key = world.tenancy.keys.create(acme, role=Role.CONSUMER, label="gate 7")
    world.tenancy.concurrency.set(acme, Node(Kind.KEY, key.id), 3)
    world.tenancy.concurrency.set_priority(acme, key.id, -4)
    root, project, leaf = world.tenancy.limits.list(acme)
    assert (root.kind, project.kind, leaf.kind) == ("organisation", "project", "key")
    assert {one.what: one.limit for one in root.holdings}[Held.KEYS] == 9
    assert (leaf.name, leaf.concurrency, leaf.priority) == ("gate 7", 3, -4)


def held(world, scope):
    return {one.what: one.used for one in world.tenancy.limits.list(scope)[0].holdings}
