"""Worlds for the stories of this room, each told on SQLite and on PostgreSQL.

`-m postgres` selects the second half, `-m "not postgres"` the first. What is in a world is told in
`world.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from plaza_core.principal import TenantScope
from tests.postgres import Database, Server
from tests.tenancy.world import SqliteFiles, World, new_world

Databases = Server | SqliteFiles


@pytest.fixture(
    scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def databases(request, tmp_path_factory) -> Databases:
    """Makes databases, `empty()` or `migrated()`, of one of the two kinds."""
    if request.param == "sqlite":
        return SqliteFiles(tmp_path_factory.mktemp("databases"))
    return request.getfixturevalue("postgres")


@pytest.fixture
def database(databases) -> Iterator[Database]:
    made = databases.migrated()
    yield made
    databases.drop(made)


@pytest.fixture(scope="module")
def new_url(databases) -> Iterator[Callable[[], str]]:
    made: list[Database] = []

    def new() -> str:
        made.append(databases.migrated())
        return made[-1].url

    yield new
    for each in made:
        databases.drop(each)


@pytest.fixture
def world(database) -> Iterator[World]:
    world = new_world(database.url)
    yield world
    world.tenancy.close()


@pytest.fixture(scope="module")
def shared_world(new_url) -> Iterator[World]:
    """For properties: many examples in one database, each with organisations of its own."""
    world = new_world(new_url())
    yield world
    world.tenancy.close()


@pytest.fixture
def acme(world) -> TenantScope:
    return world.organisation("acme")
