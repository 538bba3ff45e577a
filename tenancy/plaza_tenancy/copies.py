"""Copies of an embedded database: made while the hub runs, and made ready to be a hub again.

Only SQLite: it is a file of this installation. A PostgreSQL server has tools of its own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url

from plaza_core.errors import InvalidInput, Unavailable
from plaza_core.ids import RandomBytes, base62

_WAIT_S = 30.0


def sqlite_file(url: str) -> Path:
    """The file of an embedded database. Raises InvalidInput when there is none."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in {None, "", ":memory:"}:
        raise InvalidInput(
            "the database is a server: back it up and restore it with its own tools (pg_dump and "
            "pg_restore), and copy the directories `blobs` and `secrets` beside it",
            input="database_url",
        )
    assert parsed.database is not None
    return Path(parsed.database)


def copy_sqlite(source: Path, target: Path) -> None:
    """Write one consistent state of a database in use to a new file, and check it.

    Raises Unavailable when it cannot be read or is damaged.
    """
    with _reported("the database cannot be copied"):
        # Not read-only: what a killed writer left half done is rolled back by the first to open it.
        address = f"{source.absolute().as_uri()}?mode=rw"
        with (
            closing(sqlite3.connect(address, uri=True, timeout=_WAIT_S)) as live,
            closing(sqlite3.connect(target)) as copy,
        ):
            live.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, whatever the hub uses
    check_sqlite(target)


def check_sqlite(path: Path) -> None:
    """Raises Unavailable for a damaged database."""
    with _reported("the copy of the database is damaged"), closing(sqlite3.connect(path)) as copy:
        (found,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)


def bundle_files(path: Path) -> set[str]:
    """The digests of all files that the versions in a database name."""
    with _reported("this is no database of a hub"), closing(sqlite3.connect(path)) as copy:
        rows = copy.execute("SELECT files FROM model_versions").fetchall()
    return {file["sha256"] for (files,) in rows for file in json.loads(files)}


def begin_anew(path: Path, random: RandomBytes) -> None:
    """Give a restored database an epoch of its own.

    It counts on from an older state; under the old epoch, replicas would take one of its coming
    tables for another that they have seen.
    """
    epoch = base62(int.from_bytes(random(12), "big"), 17)
    with _reported("this is no database of a hub"), closing(sqlite3.connect(path)) as copy:
        copy.execute("UPDATE hub SET epoch = ?", [epoch])
        copy.commit()


@contextmanager
def _reported(message: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(message) from error
