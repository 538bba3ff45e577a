"""A dump taken as the handbook says is a hub again, on another database, for other roles' hands."""

from __future__ import annotations

import os
import subprocess

import pytest
import sqlalchemy

from plaza_core.principal import Role
from plaza_core.testing import FakeClock
from plaza_tenancy import Tenancy
from tests.postgres import BACKUP, OWNER
from tests.tenancy.world import PEPPER, RATE, make_record, make_version, new_world

pytestmark = pytest.mark.postgres
NEW_EPOCH = "UPDATE hub SET epoch = md5(random()::text)"


def named(database) -> str:
    return str(sqlalchemy.make_url(database.url).database)


def test_a_dump_restores_to_the_same_hub_with_its_walls(postgres, tmp_path):
    old, new = postgres.migrated(), postgres.empty()
    world = new_world(old.url)
    acme = world.organisation("acme")
    text = world.key("acme", Role.CONSUMER)
    world.tenancy.records.add_version(acme, make_version())
    world.tenancy.ledger.ingest([make_record(acme.organisation, "r1", at_unix_us=1)])
    before = world.tenancy.table()
    trail = world.tenancy.audit.list(world.platform())
    dump = f"{tmp_path}/plaza.dump"
    postgres.run("pg_dump", "--format=custom", f"--file={dump}", named(old), role=BACKUP)
    world.tenancy.close()

    into = ["--no-owner", "--single-transaction", "--exit-on-error", f"--dbname={named(new)}"]
    postgres.run("pg_restore", *into, dump, role=OWNER)
    postgres.run("psql", "--quiet", f"--command={NEW_EPOCH}", named(new), role=OWNER)
    # Opening it checks roles and walls.
    again = Tenancy(new.url, pepper=PEPPER, clock=FakeClock(), random=os.urandom, default_rate=RATE)
    assert again.bootstrap() is None
    after = again.table()
    assert (after.keys, after.models) == (before.keys, before.models)
    assert after.version != before.version, "a replica must not take it for what it has"
    assert again.authenticate(text).organisation == acme.organisation
    assert again.audit.list(world.platform()) == trail
    again.projects.create(acme, "later")  # ids go on where they were
    again.close()
    for database in (old, new):
        postgres.drop(database)


def test_the_hubs_own_role_cannot_take_half_a_dump(postgres, tmp_path):
    made = postgres.migrated()
    with pytest.raises(subprocess.CalledProcessError) as refused:
        postgres.run("pg_dump", f"--file={tmp_path}/x", named(made), role=OWNER)
    assert "row-level security" in refused.value.stderr
    postgres.drop(made)
