"""The second wall: what PostgreSQL itself shows to a tenant, whatever Plaza's queries ask for."""

from __future__ import annotations

import re
from contextlib import contextmanager

import pytest
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.orm import Session
from sqlalchemy.sql import visitors

from plaza_core.errors import PlazaError
from plaza_core.ids import KeyId
from plaza_core.principal import Right, Role
from plaza_core.table import Visibility
from plaza_tenancy import dialect
from plaza_tenancy.schema import Base, KeyRow, OrganisationRow
from tests.tenancy.test_every_verb import rows_of
from tests.tenancy.verbs import VERBS
from tests.tenancy.victims import settle
from tests.tenancy.world import make_record, make_version

OF_NO_TENANT = {
    "hub": "counters of the installation",
    "prices": "the operators', the same for everybody",
    "sessions": "a person's, who may be a member of several organisations",
    "alembic_version": "which revision the schema has",
}
TENANTS = [table for table in Base.metadata.sorted_tables if table.name not in OF_NO_TENANT]
ABOUT_TENANTS = re.compile(r"organisation|project|visibility")
ONLY_POSTGRES = [
    pytest.mark.postgres,
    pytest.mark.parametrize("databases", ["postgresql"], indirect=True, scope="session"),
]


def only_postgres(test):
    for mark in ONLY_POSTGRES:
        test = mark(test)
    return test


def whose(table):
    """The column of `table` that tells the tenant."""
    return table.c.id if table.name == "organisations" else table.c.organisation


@contextmanager
def checks_off():
    """No query of Plaza's has a condition any more that says whose rows it wants."""

    def blind(part):
        kept = (c for c in part._where_criteria if not ABOUT_TENANTS.search(str(c)))
        part._where_criteria = tuple(kept)

    def forget(state):
        everywhere = dict.fromkeys(("select", "update", "delete"), blind)
        state.statement = visitors.cloned_traverse(state.statement, {}, everywhere)

    event.listen(Session, "do_orm_execute", forget)
    try:
        yield
    finally:
        event.remove(Session, "do_orm_execute", forget)


@pytest.fixture
def city(world):
    world.organisation("city")
    return settle(world, "city", "main")


def test_without_the_checks_of_plaza_the_database_still_tells_nothing(world, acme, city, databases):
    settle(world, "acme", "main")
    before = rows_of(world, city)
    told, refusals = set(), set()
    for verb, (_, ask) in VERBS.items():
        asker = world.scope_of("acme", Role.ADMIN, Right.TENANTS_WRITE)
        with checks_off():
            try:
                answer = ask(world.tenancy, asker, city)
            except (PlazaError, sqlalchemy.exc.SQLAlchemyError) as error:
                answer = str(error)
                refusals.add(verb)
        if any(secret in repr(answer) for secret in city.secrets):
            told.add(verb)
    everything = {"organisations.list", "projects.list", "keys.list", "records.visible"}
    everything |= {"ledger.records", "ledger.report", "audit.list"}
    if databases.walled:
        assert told == set()
        assert rows_of(world, city) == before
        assert not everything & refusals  # they answered, with the asker's own
    else:
        # SQLite has no such wall: the proof that the checks were off.
        assert told >= everything - {"organisations.list"}


@only_postgres
def test_every_table_in_the_database_is_walled_or_of_no_tenant_for_a_reason(world):
    """Found in the database, not in the code: whatever table comes, it is one or the other."""
    query = """
        SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity,
               EXISTS (SELECT FROM pg_policies p
                       WHERE p.tablename = c.relname AND p.policyname = 'tenant'),
               EXISTS (SELECT FROM pg_attribute a
                       WHERE a.attrelid = c.oid AND a.attname = 'organisation')
        FROM pg_class c
        WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
    """
    with world.tenancy._store.read_everything() as session:
        found = {name: facts for name, *facts in session.execute(sqlalchemy.text(query))}
    assert found.keys() == {table.name for table in TENANTS} | OF_NO_TENANT.keys()
    for name, (forced, policy, organisation) in found.items():
        if name in OF_NO_TENANT:
            assert not organisation, f"{name} has tenants after all"
        else:
            assert forced, name
            assert policy, name
            assert organisation or name == "organisations"


@only_postgres
def test_a_tenant_sees_its_own_rows_and_a_transaction_that_says_nothing_sees_none(
    world, acme, city
):
    settle(world, "acme", "main")
    lab = world.organisation("lab")
    world.tenancy.records.add_version(lab, make_version(5, visibility=Visibility.PUBLIC))
    for name in ("acme", "city"):
        world.tenancy.shares.set(world.platform(), name, weight=2, borrow_percent=None)
    store = world.tenancy._store
    with store.read_everything() as session:
        everywhere = {table: len(session.execute(table.select()).all()) for table in TENANTS}
    empty = {table.name for table, rows in everywhere.items() if not rows}
    webhooks = {"webhooks", "webhook_hosts", "webhook_outbox", "budget_alerts"}
    assert empty <= {"members", "key_successions", "idempotency", "holding_limits"} | webhooks
    with store.read(acme) as session:
        for table in TENANTS:
            seen = set(session.scalars(sqlalchemy.select(whose(table))))
            assert seen <= {acme.organisation, lab.organisation, world.operator.organisation}
    own = world.scope_of("acme", Role.ADMIN, Right.TENANTS_READ)
    with store.read(own) as session:
        for table in TENANTS:
            found = set(session.scalars(sqlalchemy.select(whose(table))))
            assert found - {lab.organisation} <= {acme.organisation}, table.name
            assert found or table.name in empty
    with store.read_actor(KeyId("")) as session:
        assert not any(session.execute(table.select()).all() for table in TENANTS)
    # Connections go from tenant to tenant; what one said is not remembered.
    with dialect.reading(store._engine).connect() as connection:
        assert not any(connection.execute(table.select()).all() for table in TENANTS)


@only_postgres
def test_an_unknown_key_opens_no_other_rows_than_its_own(world, acme, city):
    key = world.tenancy.authenticate(world.key("acme", Role.CONSUMER)).key
    with world.tenancy._store.read_actor(key) as session:
        assert session.scalars(sqlalchemy.select(KeyRow.id)).all() == [key]
        names = session.scalars(sqlalchemy.select(OrganisationRow.name)).all()
        assert names == ["acme"]
        counts = {table.name: len(session.execute(table.select()).all()) for table in TENANTS}
    assert {name for name, count in counts.items() if count} == {
        "keys",
        "organisations",
        "projects",
    }


@only_postgres
def test_a_tenant_writes_no_rows_but_its_own(world, acme, city):
    settle(world, "acme", "main")
    before = rows_of(world, city)
    foreign = city.scope.organisation
    store = world.tenancy._store
    refused = pytest.raises(sqlalchemy.exc.ProgrammingError, match="row-level security")
    for table in TENANTS:
        if table.name != "audit":  # not even its own, see below
            with store.append(acme) as session:
                theirs = whose(table) == foreign
                moved = session.execute(table.update().where(theirs).values({whose(table): "x"}))
                assert moved.rowcount == 0
        if table.name not in {"audit", "organisations"}:
            with store.append(acme) as session:
                gone = session.execute(table.delete().where(theirs))
                assert gone.rowcount == 0
    theirs = make_record(foreign, "forged")
    fields = {name: getattr(theirs, name) for name in ("organisation", "request_id", "at_unix_us")}
    zeros = dict.fromkeys(("version", "rows", "compute_us", "host_us", "latency_us"), 0)
    texts = dict.fromkeys(("key", "model", "digest", "provider", "outcome", "replica"), "")
    usage = Base.metadata.tables["usage"]
    with refused, store.append(acme) as session:
        session.execute(usage.insert().values(**fields, **zeros, **texts))
    with refused, store.append(acme) as session:
        session.execute(sqlalchemy.update(KeyRow).values(organisation=foreign))
    assert rows_of(world, city) == before


@only_postgres
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'somebody else'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "ALTER TABLE keys DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON keys",
        "CREATE TABLE mine (id int)",
        "DELETE FROM alembic_version",
        "SET ROLE plaza_owner",
    ],
)
def test_the_role_of_the_hub_cannot_take_the_wall_down_or_rewrite_the_trail(world, statement):
    with (
        pytest.raises(sqlalchemy.exc.ProgrammingError, match=r"permission denied|must be owner"),
        world.tenancy._store.append_everything() as session,
    ):
        session.execute(sqlalchemy.text(statement))


@only_postgres
def test_a_public_model_shows_itself_and_the_names_above_it(world, acme, city):
    whole = world.tenancy.scope(world.operator, Right.TENANTS_WRITE, organisation="city")
    other = world.tenancy.projects.create(whole, "lab")
    world.tenancy.records.add_version(
        city.scope, make_version(9, name="open", visibility=Visibility.PUBLIC)
    )
    own = world.scope_of("acme", Role.CONSUMER, Right.MODELS_READ)
    seen = {}
    with world.tenancy._store.read(own) as session:
        for table in TENANTS:
            query = table.select().where(whose(table) == city.scope.organisation)
            seen[table.name] = session.execute(query).mappings().all()
    assert {name for name, rows in seen.items() if rows} == {
        "organisations",
        "projects",
        "models",
        "model_versions",
        "aliases",
    }
    assert [row["name"] for row in seen["models"]] == ["open"]
    assert other.id not in [row["id"] for row in seen["projects"]]
    (version,), (alias,) = seen["model_versions"], seen["aliases"]
    assert version["model"] == alias["model"] == seen["models"][0]["id"]
