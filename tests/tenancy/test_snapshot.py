"""The table that replicas pull: what is in it, and when its version moves."""

from __future__ import annotations

from plaza_core.ids import KeyId
from plaza_core.principal import Right, Role
from plaza_core.table import HubTable, RateLimit, Visibility
from tests.tenancy.world import RATE, make_record, make_version, open_tenancy


def names(table):
    return {f"{m.organisation_name}.{m.project_name}.{m.name}" for m in table.models}


def test_a_replica_learns_every_model_and_every_usable_key(world, acme):
    world.tenancy.records.add_version(acme, make_version(1))
    world.tenancy.records.add_version(acme, make_version(2))
    text = world.key("acme", Role.CONSUMER, project="main")
    who = world.tenancy.authenticate(text)
    table = world.tenancy.table()
    (model,) = table.models
    assert [entry.version for entry in model.versions] == [1, 2]
    assert model.aliases == {"champion": 1}
    (key,) = [key for key in table.keys if key.id == who.key]
    assert (key.organisation_name, key.project_name, key.role) == ("acme", "main", Role.CONSUMER)
    assert (key.operator, key.expires_unix_us) == (False, None)
    assert text.split("_")[2] not in table.model_dump_json()
    (admin,) = [key for key in table.keys if key.id == world.operator.key]
    assert admin.operator


def test_the_table_survives_the_wire(world, acme):
    world.tenancy.records.add_version(acme, make_version(1))
    table = world.tenancy.table()
    assert HubTable.model_validate_json(table.model_dump_json(by_alias=True)) == table


def test_limits_are_those_of_the_key_its_project_and_its_organisation(world, acme):
    tenancy = world.tenancy
    key = KeyId(world.member("acme", Role.CONSUMER, project="main").key)

    def limits():
        (entry,) = [entry for entry in tenancy.table().keys if entry.id == key]
        return entry.limits

    project = tenancy.projects.get(acme, "main").id
    assert limits() == [(acme.organisation, RATE)]
    slow, slower = RateLimit(per_second=2, burst=3), RateLimit(per_second=1, burst=1)
    tenancy.projects.set_rate(acme, "main", slow)
    tenancy.keys.set_rate(acme, key, slower)
    assert limits() == [(key, slower), (project, slow), (acme.organisation, RATE)]


def test_revoked_and_expired_keys_disappear(world, acme):
    tenancy = world.tenancy
    scope = tenancy.scope(world.operator, Right.KEYS_WRITE, organisation="acme")
    expires = world.clock.unix_us() + 1_000_000
    short = tenancy.keys.create(scope, role=Role.CONSUMER, expires_unix_us=expires).id
    revoked = tenancy.keys.create(scope, role=Role.CONSUMER).id

    def ids():
        return {key.id for key in tenancy.table().keys}

    assert {short, revoked} <= ids()
    tenancy.keys.revoke(scope, revoked)
    assert revoked not in ids()
    before = tenancy.table_version()
    world.clock.advance(1)
    assert tenancy.table_version() != before
    assert short not in ids()


def test_a_suspended_organisation_disappears_and_comes_back(world, acme):
    city = world.organisation("city")
    for scope in (acme, city):
        world.tenancy.records.add_version(scope, make_version(visibility=Visibility.PUBLIC))
    world.key("acme", Role.CONSUMER)
    full = world.tenancy.table()
    world.tenancy.organisations.suspend(world.platform(), "acme")
    table = world.tenancy.table()
    assert names(table) == {"city.main.detector"}
    assert {key.organisation_name for key in table.keys} == {"plaza"}
    world.tenancy.organisations.resume(world.platform(), "acme")
    again = world.tenancy.table()
    assert (again.models, again.keys) == (full.models, full.keys)


def test_the_version_moves_with_every_change_and_with_nothing_else(world, acme):
    tenancy = world.tenancy
    seen = [tenancy.table().version]
    tenancy.records.add_version(acme, make_version(1))
    seen.append(tenancy.table_version())
    text = world.key("acme", Role.ENGINEER)
    seen.append(tenancy.table_version())
    assert len(set(seen)) == 3
    tenancy.authenticate(text)
    tenancy.ledger.ingest([make_record(acme.organisation, "1")])
    for item in tenancy.proposals.pending(10):
        tenancy.proposals.done(item.id)
    tenancy.records.visible(acme)
    assert tenancy.table_version() == seen[-1]
    table = tenancy.table()
    assert table.version == seen[-1]
    assert tenancy.table() is table  # built once, however many replicas ask


def test_another_database_never_has_the_same_version(world, new_url):
    other = open_tenancy(new_url(), world.clock)
    other.bootstrap()
    assert other.table_version() != world.tenancy.table_version()
    other.close()
