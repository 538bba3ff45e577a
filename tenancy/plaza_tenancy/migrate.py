"""Bringing a database to this version's schema, by the revisions in `migrations/versions`."""

from __future__ import annotations

from functools import cache

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from plaza_core.errors import Unavailable
from plaza_tenancy import dialect
from plaza_tenancy.roles import check_roles, check_walls, grant


def configuration() -> Config:
    """Alembic's configuration, without a file: the revisions travel inside the package."""
    config = Config()
    config.set_main_option("script_location", "plaza_tenancy:migrations")
    config.set_main_option("path_separator", "os")
    return config


def prepare(engine: Engine, owner_url: str | None) -> None:
    """Make sure that the database of `engine` is of this version, and safe to work with.

    SQLite is upgraded in place. On PostgreSQL the role of `owner_url` upgrades; without one the
    database must have been upgraded before. Raises Unavailable when it was not, when a newer Plaza
    made it, or when the role of `engine` is not held back by row-level security.
    """
    if dialect.is_sqlite(engine):
        upgrade(dialect.writing(engine))
        return
    with engine.connect() as connection:
        role = connection.scalar(text("SELECT session_user"))
    if owner_url is not None:
        migrate(owner_url, app_role=role)
    with engine.connect() as connection:
        check_roles(connection)
        try:
            _check_version(connection)
        except ProgrammingError as error:
            raise Unavailable("the database role of the hub was not let in by its owner") from error
        check_walls(connection)


def migrate(url: str, *, app_role: str | None = None) -> None:
    """Create or upgrade the schema at `url`. Raises Unavailable when a newer Plaza made it.

    `app_role` is the PostgreSQL role that may use the tables afterwards.
    """
    engine = dialect.open_engine(url)
    try:
        upgrade(dialect.writing(engine), app_role=app_role)
    finally:
        engine.dispose()


def upgrade(engine: Engine, *, app_role: str | None = None) -> None:
    """All missing revisions in one transaction."""
    config = configuration()
    with engine.begin() as connection:
        dialect.lock_schema(connection)
        config.attributes["connection"] = connection
        if MigrationContext.configure(connection).get_current_revision() != _revisions()[0]:
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise Unavailable(_NEWER) from error
        if app_role is not None and not dialect.is_sqlite(connection):
            grant(connection, app_role)


_NEWER = "the database was made by a newer version of Plaza"


def _check_version(connection: Connection) -> None:
    newest, known = _revisions()
    current = MigrationContext.configure(connection).get_current_revision()
    if current == newest:
        return
    if current is None or current in known:
        raise Unavailable("the database is older than this Plaza: migrate it as its owner")
    raise Unavailable(_NEWER)


@cache
def _revisions() -> tuple[str | None, frozenset[str]]:
    """(the newest, all that this Plaza knows). They are files of the package: read once."""
    scripts = ScriptDirectory.from_config(configuration())
    return scripts.get_current_head(), frozenset(s.revision for s in scripts.walk_revisions())
