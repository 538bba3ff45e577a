"""A small hub, its door, and a client of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from plaza_core.settings import Settings
from plaza_serving.doors.http import HttpDoor
from tests.serving.doors.asgi import Client
from tests.serving.doors.small_hub import SmallHub, SmallRepository
from tests.serving.doors.small_models import stock


@pytest.fixture(scope="session")
def new_hub() -> Callable[[], SmallHub]:
    """A factory, for tests that need a hub per example."""

    def make() -> SmallHub:
        hub = SmallHub()
        stock(hub)
        return hub

    return make


@pytest.fixture(scope="session")
def new_repository() -> type[SmallRepository]:
    return SmallRepository


@pytest.fixture
def hub(new_hub) -> SmallHub:
    return new_hub()


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(max_body_mb=1)


@pytest.fixture
def repository(hub) -> SmallRepository:
    return SmallRepository(hub)


@pytest.fixture
def door(hub, settings, repository) -> HttpDoor:
    return HttpDoor(hub, settings, repository=repository)


@pytest.fixture
def client(door) -> Client:
    return Client(door)


@pytest.fixture(scope="session")
def new_client() -> type[Client]:
    return Client
