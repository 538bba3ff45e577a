"""Who gets in, and how far a scope reaches."""

from __future__ import annotations

import zlib

import pytest

from plaza_core.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from plaza_core.ids import KeyId, base62
from plaza_core.keys import issue
from plaza_core.principal import RIGHTS, Right, Role
from tests.tenancy.world import PEPPER, make_version


def test_a_key_says_who_asks(world, acme):
    who = world.member("acme", Role.ENGINEER, project="main")
    assert (who.organisation_name, who.project_name, who.role) == ("acme", "main", Role.ENGINEER)
    assert not who.operator


def test_a_stranger_is_refused_whatever_is_wrong(world, acme):
    text = world.key("acme", Role.CONSUMER)
    other_pepper = issue(b"another pepper", lambda n: b"\1" * n).text
    right_id_wrong_secret = issue(PEPPER, lambda n: b"\2" * n).text
    for wrong in ("", "plz_", text[:-1], text + "x", other_pepper, right_id_wrong_secret, "' OR 1"):
        with pytest.raises(Unauthenticated):
            world.tenancy.authenticate(wrong)


def test_the_secret_of_another_key_does_not_fit(world, acme):
    identity = world.key("acme", Role.ADMIN).split("_")[1]
    other = world.key("acme", Role.ADMIN).split("_")[2]
    body = f"plz_{identity}_{other}"
    with pytest.raises(Unauthenticated, match="not a key of this hub"):
        world.tenancy.authenticate(f"{body}_{base62(zlib.crc32(body.encode()), 6)}")


def test_a_revoked_key_is_refused_at_once(world, acme):
    text = world.key("acme", Role.CONSUMER)
    who = world.tenancy.authenticate(text)
    world.tenancy.keys.revoke(acme, KeyId(who.key))
    with pytest.raises(Unauthenticated, match="revoked"):
        world.tenancy.authenticate(text)


def test_a_key_works_until_the_instant_it_expires(world, acme):
    scope = world.tenancy.scope(world.operator, Right.KEYS_WRITE, organisation="acme")
    expires = world.clock.unix_us() + 5_000_000
    text = world.tenancy.keys.create(scope, role=Role.CONSUMER, expires_unix_us=expires).text
    world.clock.advance(4.999999)
    world.tenancy.authenticate(text)
    world.clock.advance(0.000001)
    with pytest.raises(Unauthenticated, match="expired"):
        world.tenancy.authenticate(text)


def test_keys_of_a_suspended_organisation_sleep_until_it_is_resumed(world, acme):
    text = world.key("acme", Role.CONSUMER)
    world.tenancy.organisations.suspend(world.platform(), "acme")
    with pytest.raises(Unauthenticated, match="suspended"):
        world.tenancy.authenticate(text)
    world.tenancy.organisations.resume(world.platform(), "acme")
    world.tenancy.authenticate(text)


def test_last_used_follows_authentication_at_most_once_a_minute(world, acme):
    text = world.key("acme", Role.CONSUMER)
    key = world.tenancy.authenticate(text).key
    seen = []
    for _ in range(3):
        world.clock.advance(30)
        world.tenancy.authenticate(text)
        seen.append(world.tenancy.keys.get(acme, key).last_used_unix_us)
    start = world.clock.unix_us() - 90_000_000
    assert [at - start for at in seen] == [0, 60_000_000, 60_000_000]


@pytest.mark.parametrize("role", list(Role))
def test_a_scope_is_minted_exactly_for_the_rights_of_the_role(world, acme, role):
    who = world.member("acme", role)
    for right in Right:
        if right in RIGHTS[role]:
            scope = world.tenancy.scope(who, right)
            assert (scope.organisation, scope.project, scope.actor) == (
                who.organisation,
                None,
                who.key,
            )
        else:
            with pytest.raises(Forbidden):
                world.tenancy.scope(who, right)


def test_an_organisation_that_is_not_yours_and_one_that_is_not_there_look_the_same(world, acme):
    world.organisation("city")
    who = world.member("acme", Role.ADMIN)
    refusals = []
    for name in ("city", "nowhere", "plaza", ""):
        with pytest.raises(NotFound) as refused:
            world.tenancy.scope(who, Right.TENANTS_READ, organisation=name)
        refusals.append((refused.value.message, refused.value.input))
    assert len(set(refusals)) == 1
    assert world.tenancy.scope(who, Right.TENANTS_READ, organisation="acme") == world.tenancy.scope(
        who, Right.TENANTS_READ
    )


def test_a_key_of_one_project_never_reaches_another(world, acme):
    world.tenancy.projects.create(acme, "lab")
    who = world.member("acme", Role.ADMIN, project="lab")
    assert world.tenancy.scope(who, Right.INFER).project == who.project
    assert world.tenancy.scope(who, Right.INFER, project="lab").project == who.project
    for name in ("main", "nowhere"):
        with pytest.raises(NotFound):
            world.tenancy.scope(who, Right.INFER, project=name)


def test_an_operator_reaches_other_organisations_and_only_their_projects(world, acme):
    world.tenancy.projects.create(acme, "lab")
    scope = world.tenancy.scope(
        world.operator, Right.MODELS_READ, organisation="acme", project="lab"
    )
    assert scope.organisation == acme.organisation
    assert scope.project is not None
    with pytest.raises(NotFound):
        world.tenancy.scope(
            world.operator, Right.MODELS_READ, organisation="acme", project="shared"
        )


@pytest.mark.parametrize(
    ("role", "project"),
    [
        (Role.ENGINEER, None),
        (Role.CONSUMER, None),
        (Role.ADMIN, "shared"),
        (Role.AUDITOR, "shared"),
    ],
)
def test_only_organisation_wide_admins_and_auditors_of_the_operators_are_operators(
    world, acme, role, project
):
    who = world.member("plaza", role, project=project)
    assert not who.operator
    with pytest.raises(NotFound):
        world.tenancy.scope(who, Right.MODELS_READ, organisation="acme")
    with pytest.raises(Forbidden):
        world.tenancy.platform(who, Right.MODELS_READ)


def test_an_operating_auditor_reads_everywhere_and_changes_nothing(world, acme):
    auditor = world.member("plaza", Role.AUDITOR)
    platform = world.tenancy.platform(auditor, Right.AUDIT_READ)
    assert {row.organisation_name for row in world.tenancy.audit.list(platform)} >= {"acme"}
    with pytest.raises(Forbidden):
        world.tenancy.platform(auditor, Right.TENANTS_WRITE)


def test_nothing_is_made_in_no_organisation_in_particular(world, acme):
    with pytest.raises(InvalidInput, match="organisation"):
        world.tenancy.keys.create(world.platform(), role=Role.CONSUMER)
    with pytest.raises(InvalidInput, match="organisation"):
        world.tenancy.projects.create(world.platform(), "x")
    with pytest.raises(InvalidInput, match="organisation"):
        world.tenancy.records.add_version(world.platform(), make_version())
