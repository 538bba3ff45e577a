"""The revisions make exactly the schema that the code expects, on both databases."""

from __future__ import annotations

import contextlib
import io
import re

import pytest
import sqlalchemy
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.schema import CreateIndex, CreateTable

from plaza_core.errors import Unavailable
from plaza_tenancy import dialect
from plaza_tenancy.migrate import configuration, migrate
from plaza_tenancy.schema import Base


def parts(ddl: str) -> dict[str, set[str]]:
    """Each CREATE statement as the set of its columns and constraints, order aside; columns that
    a later revision adds count as if they had been there from the start, tables that it drops as if
    they had never been."""
    found = {}
    made = r"CREATE (?:TABLE|(?:UNIQUE )?INDEX) .*?(?=;|$(?![\s\S]))"
    for statement in re.findall(made, ddl, re.DOTALL):
        head, _, body = statement.partition("(")
        lines = re.split(r",\s*\n", body.rstrip().rstrip(")"))
        found[" ".join(head.split())] = {" ".join(line.split()) for line in lines}
    for table, column in re.findall(r"ALTER TABLE (\S+) ADD COLUMN ([^;]*)", ddl):
        found[f"CREATE TABLE {table}"].add(" ".join(column.split()))
    for table in re.findall(r"DROP TABLE (\S+)", ddl):
        del found[f"CREATE TABLE {table.rstrip(';')}"]
    return found


def expected(name: str) -> dict[str, set[str]]:
    kind = sqlalchemy.create_mock_engine(f"{name}://", lambda *_: None).dialect
    statements = []
    for table in Base.metadata.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=kind)))
        statements += [str(CreateIndex(index).compile(dialect=kind)) for index in table.indexes]
    return parts(";".join(statements))


@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_the_revisions_write_the_statements_that_the_metadata_would(name):
    config = configuration()
    config.set_main_option("dialect", name)
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        command.upgrade(config, "head", sql=True)
    made = parts(written.getvalue())
    assert made.pop("CREATE TABLE alembic_version")
    assert made == expected(name)
    tables = Base.metadata.sorted_tables
    assert len(made) == len(tables) + sum(len(table.indexes) for table in tables)


def test_a_migrated_database_has_no_difference_to_the_metadata(databases):
    url = databases.empty().owner_url
    migrate(url)
    migrate(url)  # again: nothing to do
    engine = dialect.open_engine(url)
    with dialect.reading(engine).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_the_revisions_can_be_taken_back(databases):
    url = databases.empty().owner_url
    migrate(url)
    engine = dialect.writing(dialect.open_engine(url))
    config = configuration()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert sqlalchemy.inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()
    migrate(url)


def test_a_database_from_the_future_is_left_alone(databases):
    url = databases.empty().owner_url
    migrate(url)
    engine = dialect.writing(dialect.open_engine(url))
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(Unavailable, match="newer version"):
        migrate(url)


def test_the_tenant_is_in_a_key_of_every_table():
    for table in Base.metadata.sorted_tables:
        # A person may be of several organisations.
        if table.name in {"hub", "organisations", "prices", "sessions"}:
            continue
        keys = [table.primary_key.columns.keys()]
        keys += [
            constraint.columns.keys()
            for constraint in table.constraints
            if isinstance(constraint, sqlalchemy.UniqueConstraint)
        ]
        assert any(columns[0] == "organisation" for columns in keys), table.name
