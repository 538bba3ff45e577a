"""Organisations and projects."""

from __future__ import annotations

import pytest

from plaza_core.errors import Conflict, Forbidden, InvalidInput, NotFound
from plaza_core.principal import Right, Role
from plaza_core.table import RateLimit
from tests.tenancy.world import RATE


def test_a_new_organisation_has_a_project_and_the_default_rate(world):
    made = world.tenancy.organisations.create(world.platform(), "acme", title="Acme, Ltd.")
    assert (made.name, made.title, made.rate) == ("acme", "Acme, Ltd.", RATE)
    assert not made.operator
    assert not made.suspended
    scope = world.tenancy.scope(world.operator, Right.TENANTS_READ, organisation="acme")
    assert [project.name for project in world.tenancy.projects.list(scope)] == ["main"]
    assert world.tenancy.organisations.get(scope, "acme") == made


def test_names_are_segments_of_wire_names_and_unique(world, acme):
    for name in ("", "Acme", "a.b", "-a", "a" * 64, "a b", "ä"):
        with pytest.raises(InvalidInput):
            world.tenancy.organisations.create(world.platform(), name)
        with pytest.raises(InvalidInput):
            world.tenancy.projects.create(acme, name)
    with pytest.raises(Conflict):
        world.tenancy.organisations.create(world.platform(), "acme")
    with pytest.raises(Conflict):
        world.tenancy.projects.create(acme, "main")
    world.tenancy.projects.create(world.organisation("city"), "lab")  # names are per organisation
    world.tenancy.projects.create(acme, "lab")


def test_an_organisation_sees_itself_only(world, acme):
    world.organisation("city")
    scope = world.scope_of("acme", Role.ADMIN, Right.TENANTS_READ)
    assert [o.name for o in world.tenancy.organisations.list(scope)] == ["acme"]
    assert [o.name for o in world.tenancy.organisations.list(world.platform())] == [
        "acme",
        "city",
        "plaza",
    ]


def test_an_organisation_cannot_lift_its_own_limits(world, acme):
    scope = world.scope_of("acme", Role.ADMIN, Right.TENANTS_WRITE)
    organisations = world.tenancy.organisations
    generous = RateLimit(per_second=1e6, burst=10**6)
    for change in (
        lambda: organisations.create(scope, "other"),
        lambda: organisations.set_rate(scope, "acme", generous),
        lambda: organisations.resume(scope, "acme"),
        lambda: organisations.suspend(scope, "acme"),
    ):
        with pytest.raises(Forbidden):
            change()
    bound = world.scope_of("acme", Role.ADMIN, Right.TENANTS_WRITE, project="main")
    with pytest.raises(Forbidden):
        world.tenancy.projects.set_rate(bound, "main", generous)
    with pytest.raises(Forbidden):
        world.tenancy.projects.create(bound, "other")


def test_operators_set_rates_and_organisations_share_them_out(world, acme):
    rate = RateLimit(per_second=7, burst=9)
    assert world.tenancy.organisations.set_rate(world.platform(), "acme", rate).rate == rate
    scope = world.scope_of("acme", Role.ADMIN, Right.TENANTS_WRITE)
    assert world.tenancy.projects.set_rate(scope, "main", rate).rate == rate
    assert world.tenancy.projects.get(scope, "main").rate == rate
    assert world.tenancy.projects.set_rate(scope, "main", None).rate is None


def test_the_operators_cannot_lock_themselves_out(world):
    with pytest.raises(Conflict):
        world.tenancy.organisations.suspend(world.platform(), "plaza")


def test_what_is_not_there_is_not_found(world, acme):
    with pytest.raises(NotFound):
        world.tenancy.organisations.suspend(world.platform(), "nowhere")
    with pytest.raises(NotFound):
        world.tenancy.organisations.set_rate(world.platform(), "nowhere", RATE)
    with pytest.raises(NotFound):
        world.tenancy.projects.set_rate(acme, "nowhere", RATE)
