"""Everything that differs between SQLite and PostgreSQL. Only `roles` and revisions name them too.

SQLite is for one process: one pooled connection, so writers and readers queue in the process, each
write transaction starts with BEGIN IMMEDIATE, and each read transaction is read-only. Write-ahead
logging only from 3.51.3 on: before, a reset of the log could corrupt the file. `synchronous=FULL`
either way: a verb that was acknowledged, and usage that left a spool, survive a power cut.

PostgreSQL is for several processes. Each transaction says whose rows it is about, for row-level
security (`migrations/wall.py`); settings travel with the transaction, so that a pooler may stand
between.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Executable,
    Integer,
    Table,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

Serial = BigInteger().with_variant(Integer(), "sqlite")
"""A column that counts up by itself. SQLite does so for INTEGER only (which has 64 bits there)."""

_SAFE_WAL = (3, 51, 3)
_READ_ONLY = "plaza_read_only"
_WAIT_S = 10.0
_AT_ONCE = 1000  # times two dozen columns: under the 32,766 values that SQLite takes at once
_SCHEMA_LOCK = 0x706C617A61  # any number that nobody else locks: the letters "plaza"
_TURNS = 0x706C7A61  # the same for the first of two numbers: "plza"
_POOL = {"pool_size": 10, "max_overflow": 10, "pool_timeout": _WAIT_S, "pool_pre_ping": True}
# A server that is gone is noticed within seconds, not when the kernel gives up after a quarter of
# an hour. What the URL says comes first.
_PATIENCE = {"connect_timeout": int(_WAIT_S), "tcp_user_timeout": int(_WAIT_S * 1000)}

EVERYBODY = "*"
"""Instead of an organisation: all of them."""


def open_engine(url: str) -> Engine:
    """An engine of which `reading` and `writing` make the two kinds of transactions."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        patience = {name: s for name, s in _PATIENCE.items() if name not in parsed.query}
        return create_engine(parsed, connect_args=patience, **_POOL)
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=_WAIT_S,
        connect_args={"check_same_thread": False, "timeout": _WAIT_S},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def reading(engine: Engine) -> Engine:
    """Transactions that see one consistent state and refuse to write."""
    if is_sqlite(engine):
        return engine.execution_options(**{_READ_ONLY: True})
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def writing(engine: Engine) -> Engine:
    """Transactions in which a statement sees all that was committed before it began."""
    if is_sqlite(engine):
        return engine.execution_options(**{_READ_ONLY: False})
    return engine.execution_options(isolation_level="READ COMMITTED")


def is_sqlite(bound: Engine | Connection) -> bool:
    return bound.dialect.name == "sqlite"


def confine(session: Session, organisation: str, actor: str) -> None:
    """Show the rest of this transaction only the rows of `organisation`, and of the key `actor`
    what tells who it is. Also bounds how long it waits for a lock and how long it may hold one
    without a word."""
    if is_sqlite(session.get_bind()):
        return
    settings = {
        "plaza.organisation": organisation,
        "plaza.actor": actor,
        "lock_timeout": f"{_WAIT_S * 1000:.0f}ms",
        "idle_in_transaction_session_timeout": "2min",
    }
    session.execute(select(*(func.set_config(name, s, True) for name, s in settings.items())))


@contextmanager
def turn(engine: Engine, name: str) -> Iterator[bool]:
    """Whether the caller alone, of all processes on this database, does `name` until the end of
    the block. Never waits. A process that dies loses its turn with its connection."""
    if is_sqlite(engine):
        yield True
        return
    with engine.begin() as connection:
        lock = func.pg_try_advisory_xact_lock(_TURNS, func.hashtext(name))
        yield bool(connection.scalar(select(lock)))


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver starts no transactions; `_begin_sqlite` does
    journal = "WAL" if sqlite3.sqlite_version_info >= _SAFE_WAL else "TRUNCATE"
    for pragma in (f"journal_mode={journal}", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql(f"PRAGMA query_only={'ON' if read_only else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def lock_schema(connection: Connection) -> None:
    """Let one process at a time migrate, and see every row. SQLite's transaction already does."""
    if not is_sqlite(connection):
        connection.execute(select(func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
        connection.execute(select(func.set_config("plaza.organisation", EVERYBODY, True)))


def insert_new(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> int:
    """Insert those `rows` whose primary key is not there yet; return how many were new."""
    insert = sqlite.insert if is_sqlite(connection) else postgresql.insert
    keys = list(table.primary_key.columns)
    # Counted by what comes back: psycopg does not count rows of a statement with many values.
    statement = insert(table).on_conflict_do_nothing(index_elements=keys).returning(keys[0])
    return len(connection.execute(statement, rows).all())


def insert_tuples(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> int:
    """Insert those `rows` whose primary key is not there yet; return how many that were.

    As `insert_new`, for many rows: statements of a thousand rows written out, which the driver
    takes as they are. That halves what a row costs on the ledger's path.
    """
    keys = ", ".join(column.name for column in table.primary_key.columns)
    mark = "?" if is_sqlite(connection) else "%s"
    one = "(" + ", ".join([mark] * len(columns)) + ")"
    names = ", ".join(connection.dialect.identifier_preparer.quote(name) for name in columns)
    new = 0
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        statement = (
            f"INSERT INTO {table.name} ({names}) VALUES "  # noqa: S608 names of ours, values bound
            f"{', '.join([one] * len(part))} ON CONFLICT ({keys}) DO NOTHING"
        )
        values = tuple(itertools.chain.from_iterable(part))
        done = connection.exec_driver_sql(
            statement, values, execution_options={"preserve_rowcount": True}
        )
        new += done.rowcount
    return new


def add_up(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert `rows`; where the primary key is there, add their other columns to it."""
    connection.execute(_adding(is_sqlite(connection), table), rows)


@cache  # making the statement takes longer than a hundred rows of it
def _adding(on_sqlite: bool, table: Table) -> Executable:
    insert = sqlite.insert if on_sqlite else postgresql.insert
    statement = insert(table)
    keys = list(table.primary_key.columns)
    sums = {c.name: c + statement.excluded[c.name] for c in table.columns if not c.primary_key}
    return statement.on_conflict_do_update(index_elements=keys, set_=sums)
