"""Connections to PostgreSQL that engines are done with, kept for the next engine of the same URL.

A server's process learns a schema anew with every connection, and a test's engine is new: that was
a third of what PostgreSQL's half of a story took. A hub has one engine.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import psycopg
import sqlalchemy
from psycopg.pq import TransactionStatus

_FRESH = "RESET ALL; SELECT pg_advisory_unlock_all()"
_idle: dict[str, list[psycopg.Connection]] = defaultdict(list)
"""By URL."""


def keep_for(engine: sqlalchemy.Engine) -> None:
    """Have `engine` begin with what another one of its URL left. Its dialect gives back by
    `park`."""
    url = engine.url.render_as_string(hide_password=False)

    def connect(_dialect: object, _record: object, _arguments: object, _more: object) -> Any:
        while (connection := _taken(url)) is not None:
            if _fresh(connection):
                return connection
        return None  # SQLAlchemy makes one

    def name(connection: Any, _record: object) -> None:
        connection.parked_at = url

    sqlalchemy.event.listen(engine, "do_connect", connect)
    sqlalchemy.event.listen(engine, "connect", name)


def park(_dialect: object, connection: Any) -> None:
    """Instead of closing it."""
    if connection.info.transaction_status is TransactionStatus.IDLE:
        _idle[connection.parked_at].append(connection)
    else:
        connection.close()


def _taken(url: str) -> psycopg.Connection | None:
    try:
        return _idle[url].pop()
    except IndexError:  # perhaps just now, by another thread
        return None


def _fresh(connection: psycopg.Connection) -> bool:
    """Whether it still works; it knows nothing of its last engine."""
    try:
        connection.autocommit = True
        connection.execute(_FRESH)
        connection.autocommit = False
    except psycopg.OperationalError:
        connection.close()
        return False
    return True


def close_parked(database: str | None = None) -> None:
    """Those to `database`, else all: it can then be copied and dropped."""
    for url, connections in _idle.items():
        if database is None or sqlalchemy.make_url(url).database == database:
            while connections:
                connections.pop().close()
