"""The servers of a session, one of a kind, and the order: what needs a hub comes last, so that its
processes are nobody else's neighbours."""

from collections.abc import Iterator

import pytest

from tests.mlflow_server import MlflowServer, running_mlflow
from tests.postgres import Server, running_server
from tests.registry.s3_server import S3Server, s3_server


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("hub") is not None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """Starts with the first test that asks."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def s3(tmp_path_factory) -> Iterator[S3Server]:
    """Starts with the first test that asks; each takes a prefix of its own."""
    with s3_server(tmp_path_factory.mktemp("s3-server")) as server:
        yield server


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory) -> Iterator[MlflowServer]:
    """Starts with the first test that asks. Tests that stop it start it again."""
    with running_mlflow(tmp_path_factory.mktemp("mlflow-server")) as server:
        yield server
