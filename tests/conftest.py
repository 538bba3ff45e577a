"""The one database server of a session, and the order: what needs a hub comes last, so that its
processes are nobody else's neighbours."""

from collections.abc import Iterator

import pytest

from tests.postgres import Server, running_server


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("hub") is not None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """Starts with the first test that asks."""
    with running_server() as server:
        yield server
