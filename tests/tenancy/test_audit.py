"""The audit trail: who changed what, when, from what to what."""

from __future__ import annotations

from plaza_core.ids import KeyId
from plaza_core.principal import Right, Role
from plaza_core.table import RateLimit
from tests.tenancy.world import make_version


def test_a_day_of_administration_reads_as_it_happened(world, acme):
    tenancy = world.tenancy
    admin = world.member("acme", Role.ADMIN)
    scope = tenancy.scope(admin, Right.KEYS_WRITE)
    world.clock.advance(60)
    tenancy.projects.create(scope, "lab")
    key = KeyId(tenancy.keys.create(scope, role=Role.CONSUMER, label="app").id)
    tenancy.keys.revoke(scope, key)
    tenancy.records.add_version(scope, make_version(1))
    tenancy.records.add_version(scope, make_version(2))
    tenancy.records.set_alias(scope, "detector", "champion", 2)
    tenancy.organisations.set_rate(world.platform(), "acme", RateLimit(per_second=1, burst=2))
    told = tenancy.audit.list(scope)[::-1]
    assert [(row.action, row.target) for row in told] == [
        ("organisation.create", "acme"),
        ("key.create", admin.key),
        ("project.create", "lab"),
        ("key.create", key),
        ("key.revoke", key),
        ("model.add_version", "detector"),
        ("model.add_version", "detector"),
        ("model.set_alias", "detector"),
        ("organisation.set_rate", "acme"),
    ]
    assert {row.actor for row in told[2:8]} == {admin.key}
    assert told[8].actor == world.operator.key
    assert {row.organisation_name for row in told} == {"acme"}
    assert told[2].at_unix_us == told[1].at_unix_us + 60_000_000
    assert (told[7].before, told[7].after) == ({"champion": 1}, {"champion": 2})
    assert told[8].before == {"rate": {"per_second": 100.0, "burst": 200}}
    assert told[8].after == {"rate": {"per_second": 1.0, "burst": 2}}
    assert told[3].after == {"role": "consumer", "label": "app", "expires": None, "rate": None}


def test_no_audit_row_holds_a_secret_or_a_mac(world, acme):
    new = world.tenancy.keys.create(acme, role=Role.CONSUMER)
    told = repr(world.tenancy.audit.list(acme))
    assert new.id in told
    assert new.mac not in told
    assert new.text.split("_")[2] not in told


def test_pages_continue_where_the_last_one_ended(world, acme):
    for n in range(7):
        world.tenancy.projects.create(acme, f"p{n}")
    whole = world.tenancy.audit.list(acme)
    seen, before = [], None
    while page := world.tenancy.audit.list(acme, before=before, limit=3):
        seen += page
        before = page[-1].id
    assert seen == whole
    assert len(seen) == 8


def test_an_auditor_of_one_project_reads_what_happened_there(world, acme):
    world.tenancy.projects.create(acme, "lab")
    world.tenancy.records.add_version(acme, make_version(1, project="lab"))
    world.tenancy.records.add_version(acme, make_version(1))
    bound = world.scope_of("acme", Role.AUDITOR, Right.AUDIT_READ, project="lab")
    told = [row.action for row in world.tenancy.audit.list(bound)]
    assert told == ["key.create", "model.add_version", "project.create"]
