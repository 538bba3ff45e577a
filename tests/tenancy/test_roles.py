"""Who works with the database: one role that owns it and migrates, one that can do no harm."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import sqlalchemy

from plaza_core.errors import Unavailable
from plaza_core.testing import FakeClock
from plaza_tenancy import dialect
from plaza_tenancy.migrate import migrate
from plaza_tenancy.store import Store
from tests.postgres import APP, OWNER

pytestmark = pytest.mark.postgres


def open_store(url, owner_url=None):
    store = Store(url, owner_url=owner_url, clock=FakeClock(), random=os.urandom)
    store.close()


@pytest.fixture
def empty(postgres):
    made = postgres.empty()
    yield made
    postgres.drop(made)


@pytest.fixture
def migrated(postgres):
    made = postgres.migrated()
    yield made
    postgres.drop(made)


def as_owner(database, statement):
    engine = dialect.writing(dialect.open_engine(database.owner_url))
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def test_with_the_owner_at_hand_the_hub_migrates_and_works_as_somebody_else(empty):
    open_store(empty.url, empty.owner_url)
    open_store(empty.url)  # from now on without


def test_without_the_owner_a_database_of_another_version_is_refused(empty, migrated):
    with pytest.raises(Unavailable, match="migrate it as its owner"):
        open_store(empty.url)
    as_owner(migrated, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Unavailable, match="newer version"):
        open_store(migrated.url)
    as_owner(migrated, "UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(Unavailable, match="migrate it as its owner"):
        open_store(migrated.url)
    as_owner(migrated, "UPDATE alembic_version SET version_num = '0006'")


def test_a_role_that_no_wall_holds_is_refused(postgres, migrated):
    name = sqlalchemy.make_url(migrated.url).database
    for role in ("postgres", "plaza_bypass"):
        if role != "postgres":
            postgres.sql(f"CREATE ROLE {role} LOGIN BYPASSRLS")
        with pytest.raises(Unavailable, match="may pass row-level security"):
            open_store(postgres.url(role, name))
    postgres.sql("CREATE ROLE plaza_stranger LOGIN")
    with pytest.raises(Unavailable, match="was not let in"):
        open_store(postgres.url("plaza_stranger", name))
    with pytest.raises(Unavailable, match="owns its tables"):
        open_store(migrated.owner_url)
    postgres.sql(f"CREATE ROLE plaza_heir LOGIN IN ROLE {OWNER}")
    with pytest.raises(Unavailable, match="owns its tables"):
        open_store(postgres.url("plaza_heir", name))


def test_a_table_of_tenants_that_stands_open_is_refused(empty):
    migrate(empty.owner_url, app_role=APP)
    as_owner(empty, "CREATE TABLE forgotten (organisation text PRIMARY KEY)")
    as_owner(empty, "ALTER TABLE keys NO FORCE ROW LEVEL SECURITY")
    with pytest.raises(Unavailable, match="no row-level security on: forgotten, keys"):
        open_store(empty.url)


def test_a_wall_put_up_again_covers_what_is_new_and_leaves_the_rest(empty):
    migrate(empty.owner_url, app_role=APP)
    as_owner(empty, "CREATE TABLE later (organisation text PRIMARY KEY)")
    engine = dialect.writing(dialect.open_engine(empty.owner_url))
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    from plaza_tenancy.migrations.wall import wall_up

    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        wall_up()
    engine.dispose()
    open_store(empty.url)


def test_the_owner_can_migrate_beforehand_by_a_command(empty):
    command = [sys.executable, "-m", "plaza_tenancy"]
    environment = {**os.environ, "PLAZA_DATABASE_URL": empty.url}
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr == "the database is older than this Plaza: migrate it as its owner\n"
    environment["PLAZA_DATABASE_OWNER_URL"] = empty.owner_url
    subprocess.run(command, env=environment, check=True)
    open_store(empty.url)


def test_a_server_that_is_not_there_is_unavailable(postgres, tmp_path):
    with pytest.raises(Unavailable, match="does not answer"):
        open_store(f"postgresql+psycopg://{APP}@/x?host={tmp_path}")
