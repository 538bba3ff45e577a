"""The example settings are read as they stand, and the two nodes fit together."""

import shutil
from pathlib import Path

import pytest

from plaza_core.settings import Settings
from plaza_serving.supervisor.environment import ray_command, ray_environment, ray_node_command
from plaza_serving.supervisor.places import Places

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Read one example as `plaza` would: as plaza.toml of the working directory."""

    def load(name):
        directory = tmp_path / name
        directory.mkdir()
        shutil.copy(DEPLOY / name, directory / "plaza.toml")
        monkeypatch.chdir(directory)
        return Settings()

    for name in Settings.model_fields:
        monkeypatch.delenv(f"PLAZA_{name.upper()}", raising=False)
    return load


def test_both_examples_are_valid_settings(read):
    head, worker = read("head.toml"), read("worker.toml")
    assert head.node_ip != worker.node_ip
    assert worker.control_url == head.control_url == f"http://{head.node_ip}:{head.control_port}"
    assert head.internal_ports == worker.internal_ports
    assert head.http_port == worker.http_port


def test_the_worker_joins_the_port_on_which_the_head_listens(read):
    head, worker = read("head.toml"), read("worker.toml")
    assert f"--port={head.ray_port}" in ray_command(head, Places.of(head))
    text = (DEPLOY / "two-nodes.md").read_text()
    assert f"PLAZA_HEAD={head.node_ip}:{head.ray_port}" in text
    join = ray_node_command(worker, Places.of(worker), f"{head.node_ip}:{head.ray_port}")
    assert f"--node-ip-address={worker.node_ip}" in join


def test_neither_node_is_told_to_stay_on_loopback(read):
    for name in ("head.toml", "worker.toml"):
        settings = read(name)
        made = ray_environment(settings, Places.of(settings), {}, joins=name == "worker.toml")
        assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in made
        assert made["RAY_AUTH_MODE"] == "token"
