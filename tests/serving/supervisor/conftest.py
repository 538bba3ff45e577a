"""Real processes and ports for the supervisor's stories."""

import ctypes
import shutil
import socket

import pytest

from benchmarks.ports import own_ports
from plaza_core.settings import Settings
from plaza_serving.supervisor.places import Places
from plaza_serving.supervisor.process import adopt_orphans


@pytest.fixture
def subreaper():
    """This process adopts the orphans of its descendants for the length of a test."""
    adopt_orphans()
    yield
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def settings(tmp_path):
    with own_ports() as ports:
        made = Settings(state_dir=tmp_path / "state", **ports.settings)
        yield made
    shutil.rmtree(Places.of(made).temp, ignore_errors=True)
