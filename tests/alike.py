"""Databases of one kind, one after the other in one process, share their compiled statements, and
those on PostgreSQL connections.

SQLAlchemy compiles a statement once for an engine, and a test's engine is new: half of what a story
about the database took was compiling what the test before it had compiled. A hub has one engine.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy
from sqlalchemy.util import LRUCache

from plaza_tenancy import dialect
from tests.parked import keep_for, park

_STATEMENTS = 5000


@cache
def _kind(of: type[Any]) -> tuple[type[Any], LRUCache[Any, Any]]:
    """A dialect that equals every other of its kind, as part of a statement's key; and the cache.

    All that could tell two apart is alike: the driver, the server and what `open_engine` asks for.
    """
    alike = {
        "__eq__": lambda one, other: type(one) is type(other),
        "__hash__": lambda one: hash(type(one)),
        "supports_statement_cache": True,
    }
    if of.name == "postgresql":
        alike["do_close"] = park
    return type(of.__name__, (of,), alike), LRUCache(_STATEMENTS)


def share_statements() -> None:
    """Have all engines that this process opens from now on share them."""
    opened = dialect.open_engine

    def open_engine(url: str) -> sqlalchemy.Engine:
        engine = opened(url)
        engine.dialect.__class__, engine._compiled_cache = _kind(type(engine.dialect))
        if engine.dialect.name == "postgresql":
            keep_for(engine)
        return engine

    dialect.open_engine = open_engine
