"""Bringing a database to this version's schema, by the revisions in `migrations/versions`."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Engine

from plaza_core.errors import Unavailable
from plaza_tenancy import dialect


def configuration() -> Config:
    """Alembic's configuration, without a file: the revisions travel inside the package."""
    config = Config()
    config.set_main_option("script_location", "plaza_tenancy:migrations")
    config.set_main_option("path_separator", "os")
    return config


def migrate(url: str) -> None:
    """Create or upgrade the schema at `url`. Raises Unavailable when a newer Plaza made it."""
    engine = dialect.open_engine(url)
    try:
        upgrade(dialect.writing(engine))
    finally:
        engine.dispose()


def upgrade(engine: Engine) -> None:
    """All missing revisions in one transaction."""
    config = configuration()
    with engine.begin() as connection:
        dialect.lock_schema(connection)
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise Unavailable("the database was made by a newer version of Plaza") from error
