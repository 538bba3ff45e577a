"""Worlds for the stories of this room; what is in one is told in `world.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from plaza_core.principal import TenantScope
from tests.tenancy.world import World, new_database, new_world


@pytest.fixture(scope="module")
def new_url(tmp_path_factory) -> Callable[[], str]:
    directory = tmp_path_factory.mktemp("databases")
    return lambda: new_database(directory)


@pytest.fixture
def world(new_url) -> Iterator[World]:
    world = new_world(new_url())
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
