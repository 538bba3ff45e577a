"""The door to the database: all of a change or nothing, and its audit row with it."""

from __future__ import annotations

import sqlite3

import pytest
import sqlalchemy

from plaza_core.errors import Conflict, Unavailable
from plaza_core.principal import TenantScope
from plaza_core.table import RateLimit
from plaza_core.testing import FakeClock
from plaza_tenancy import Tenancy, dialect
from plaza_tenancy.schema import AuditRow, OrganisationRow, ProjectRow
from tests.tenancy.world import RATE, new_world


def counts(world) -> tuple[int, int, str]:
    with world.tenancy._store.read_everything() as session:
        projects = session.scalar(sqlalchemy.select(sqlalchemy.func.count(ProjectRow.id)))
        audit = session.scalar(sqlalchemy.select(sqlalchemy.func.count(AuditRow.id)))
    return projects, audit, world.tenancy.table_version()


class Interrupted(Exception):
    pass


def test_a_change_that_fails_half_way_leaves_nothing(world, acme):
    before = counts(world)
    with (
        pytest.raises(Interrupted),
        world.tenancy._store.change(acme, "project.create", "half") as change,
    ):
        change.session.add(
            ProjectRow(organisation=acme.organisation, id="prj_half", name="half", created=0)
        )
        change.session.flush()
        raise Interrupted
    assert counts(world) == before


def test_a_change_without_its_audit_row_does_not_happen(world, acme, database):
    engine = dialect.writing(dialect.open_engine(database.owner_url))
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit RENAME TO audit_gone")
    with pytest.raises((Unavailable, sqlalchemy.exc.ProgrammingError)):
        world.tenancy.projects.create(acme, "lab")
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_gone RENAME TO audit")
    engine.dispose()
    assert [project.name for project in world.tenancy.projects.list(acme)] == ["main"]


def test_a_change_writes_its_audit_row_without_being_asked(world, acme):
    with world.tenancy._store.change(acme, "test.nothing", "x"):
        pass
    assert world.tenancy.audit.list(acme)[0].action == "test.nothing"


def test_a_change_with_nothing_to_do_cannot_leave_anything_behind(world, acme):
    before = counts(world)
    with world.tenancy._store.change(acme, "project.create", "half") as change:
        change.session.add(
            ProjectRow(organisation=acme.organisation, id="prj_half", name="half", created=0)
        )
        change.session.flush()
        change.nothing_to_do()
    assert counts(world) == before


def test_a_change_of_no_organisation_is_a_mistake_of_ours(world):
    before = counts(world)
    with (
        pytest.raises(RuntimeError, match="belongs to an organisation"),
        world.tenancy._store.change(world.platform(), "test.nothing", "x"),
    ):
        pass
    assert counts(world) == before


def test_reading_cannot_write(world, acme):
    with (
        pytest.raises((Unavailable, sqlalchemy.exc.InternalError)),
        world.tenancy._store.read_everything() as session,
    ):
        session.execute(sqlalchemy.delete(OrganisationRow))
    assert world.tenancy.organisations.get(acme, "acme")


def test_rows_never_point_into_another_organisation(world, acme):
    city = world.organisation("city")
    main = world.tenancy.projects.get(city, "main")
    with pytest.raises(Conflict), world.tenancy._store.change(acme, "test.cross", "x") as change:
        change.session.execute(
            sqlalchemy.text(
                "INSERT INTO keys (organisation, id, project, mac, role, label, created) "
                "VALUES (:whose, 'k', :project, 'm', 'admin', '', 0)"
            ),
            {"whose": acme.organisation, "project": main.id},
        )


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path):
    missing = f"sqlite+pysqlite:///{tmp_path}/no/such/folder/plaza.db"
    with pytest.raises(Unavailable) as refused:
        Tenancy(missing, pepper=b"", clock=FakeClock(), random=bytes, default_rate=RATE)
    assert str(tmp_path) not in refused.value.message
    assert refused.value.retry_after


def test_sqlite_is_durable_and_never_uses_an_unsafe_log(tmp_path):
    world = new_world(f"sqlite+pysqlite:///{tmp_path}/plaza.db")
    with world.tenancy._store.read_everything() as session:
        journal = session.scalar(sqlalchemy.text("PRAGMA journal_mode"))
        assert session.scalar(sqlalchemy.text("PRAGMA synchronous")) == 2
        assert session.scalar(sqlalchemy.text("PRAGMA foreign_keys")) == 1
    world.tenancy.close()
    assert journal == ("wal" if sqlite3.sqlite_version_info >= (3, 51, 3) else "truncate")


def test_an_in_memory_database_serves_a_whole_hub():
    tenancy = Tenancy(
        "sqlite+pysqlite:///:memory:",
        pepper=b"x",
        clock=FakeClock(),
        random=lambda n: bytes(range(n)),
        default_rate=RateLimit(per_second=1, burst=1),
    )
    first = tenancy.bootstrap()
    assert first is not None
    assert tenancy.authenticate(first.text).operator
    tenancy.close()


def test_a_scope_of_the_installation_itself_says_so(world):
    (first,) = world.tenancy.audit.list(world.platform())
    assert (first.action, first.actor, first.target) == (
        "hub.bootstrap",
        "system",
        world.operator.key,
    )
    assert isinstance(world.platform(), TenantScope)
