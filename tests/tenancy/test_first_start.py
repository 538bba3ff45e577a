"""How a hub gets its first key, and how its owner gets in again."""

from __future__ import annotations

import pytest

from plaza_core.errors import Unauthenticated
from plaza_core.ids import KeyId
from plaza_core.principal import Right, Role
from tests.tenancy.world import make_version


def test_the_first_start_makes_operators_and_one_admin_key(world):
    assert world.operator.organisation_name == "plaza"
    assert world.operator.role is Role.ADMIN
    assert world.operator.operator
    assert [p.name for p in world.tenancy.projects.list(world.platform())] == ["shared"]


def test_a_second_start_makes_nothing(world):
    before = world.tenancy.table_version()
    assert world.reopened().bootstrap() is None
    assert world.tenancy.table_version() == before


def test_a_restart_loses_nothing(world, acme):
    world.tenancy.records.add_version(acme, make_version())
    table = world.tenancy.table()
    assert world.reopened().table() == table
    assert world.tenancy.authenticate(world.operator_text) == world.operator


def test_whoever_revoked_the_last_admin_key_gets_a_new_one_at_the_next_start(world):
    scope = world.tenancy.scope(world.operator, Right.KEYS_WRITE)
    world.tenancy.keys.create(scope, role=Role.AUDITOR)  # cannot administer
    bound = world.tenancy.scope(world.operator, Right.KEYS_WRITE, project="shared")
    world.tenancy.keys.create(bound, role=Role.ADMIN)  # cannot reach other organisations
    world.tenancy.keys.revoke(scope, KeyId(world.operator.key))
    with pytest.raises(Unauthenticated):
        world.tenancy.authenticate(world.operator_text)
    fresh = world.reopened().bootstrap()
    assert fresh is not None
    assert world.tenancy.authenticate(fresh.text).operator
    assert world.tenancy.bootstrap() is None
