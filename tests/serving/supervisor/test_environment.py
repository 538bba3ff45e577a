"""What children are told: nothing by accident, no password they do not need, only own ports."""

import os

import pytest

from plaza_core.settings import Settings
from plaza_serving.supervisor.environment import (
    control_environment,
    ray_command,
    ray_environment,
    ray_node_command,
)
from plaza_serving.supervisor.places import Places
from plaza_serving.supervisor.ports import Ports, fixed_ports


def ray_env(inherited=None, **options):
    settings = Settings(**options)
    return ray_environment(settings, Places.of(settings), inherited or {})


def test_flags_of_the_operators_shell_do_not_reach_ray():
    inherited = {"RAY_ADDRESS": "10.0.0.1:6379", "RAY_AUTH_MODE": "disabled", "HOME": "/home/a"}
    made = ray_env(inherited)
    assert "RAY_ADDRESS" not in made
    assert made["RAY_AUTH_MODE"] == "token"
    assert made["HOME"] == "/home/a"


def test_replicas_get_no_password_and_control_gets_no_client_key():
    secrets = {
        "database_url": "postgresql://u:secret@db/x",
        "database_owner_url": "postgresql://o:secret@db/x",
        "api_key": "plz_x",
        "mlflow_uri": "m",
    }
    replicas = ray_env(dict.fromkeys(("PLAZA_DATABASE_URL", "PLAZA_API_KEY"), "old"), **secrets)
    assert not {"PLAZA_DATABASE_URL", "PLAZA_API_KEY", "PLAZA_MLFLOW_URI"} & replicas.keys()
    control = control_environment(Settings(**secrets), {})
    assert control["PLAZA_DATABASE_URL"] == secrets["database_url"]
    assert "PLAZA_API_KEY" not in control


def test_settings_arrive_as_they_were_with_absolute_paths(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    sent = Settings(state_dir="somewhere", http_port=1234, bypass=False, rate_per_second=2.5)
    for name in [n for n in os.environ if n.startswith("PLAZA_")]:
        monkeypatch.delenv(name)
    for name, text in control_environment(sent, {}).items():
        monkeypatch.setenv(name, text)
    monkeypatch.chdir("/")
    assert Settings() == sent.model_copy(update={"state_dir": tmp_path / "somewhere"})


def test_relative_import_paths_become_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert ray_env({"PYTHONPATH": "core:/srv"})["PYTHONPATH"] == f"{tmp_path}/core:/srv"


@pytest.mark.parametrize("bypass", [True, False])
def test_the_middleware_hook_is_set_with_and_without_the_bypass(bypass):
    made = ray_env(bypass=bypass)
    assert made["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"].startswith("plaza_serving.rayapp.edge")


def test_one_node_stays_on_loopback_and_a_cluster_uses_its_address():
    assert ray_env()["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in ray_env(node_ip="10.7.0.1")


_PORTS = ("http", "grpc", "control", "dashboard", "ray", "haproxy_stats", "haproxy_metrics")


def test_two_installations_share_no_port_no_socket_and_no_directory(tmp_path):
    def everything(base, name):
        settings = Settings(
            state_dir=tmp_path / name,
            internal_ports=base,
            **{f"{what}_port": base + 1000 + number for number, what in enumerate(_PORTS)},
        )
        places = Places.of(settings)
        values = ray_environment(settings, places, {}).items()
        owned = {
            value for key, value in values if key.endswith(("_PORT", "_PATH", "_LOC", "_BASE"))
        }
        flags = [word for word in ray_command(settings, places) if "port" in word or "dir" in word]
        return set(fixed_ports(settings)), owned | set(flags)

    ports, places = everything(21_000, "a")
    other_ports, other_places = everything(24_000, "b")
    assert not ports & other_ports
    shared = places & other_places
    assert shared == {"plaza_serving.rayapp.edge:middlewares"}


def test_the_block_of_internal_ports_is_divided_without_overlap():
    ports = Ports.of(Settings(internal_ports=21_000))
    ranges = [range(a, b + 1) for a, b in (ports.replicas_http, ports.replicas_grpc, ports.workers)]
    used = [port for one in ranges for port in one]
    fixed = [p for p in fixed_ports(Settings(internal_ports=21_000)) if 21_000 <= p < 22_000]
    assert len(set(used) | set(fixed)) == len(used) + len(fixed)
    assert max(used) < 22_000


def test_unix_sockets_of_haproxy_stay_below_the_kernels_limit(tmp_path):
    settings = Settings(state_dir=tmp_path / "a" / ("long" * 40))
    socket = Places.of(settings).haproxy / ("f" * 56) / "admin.sock.1234567.tmp"
    assert len(os.fsencode(socket)) <= 107


def test_a_worker_node_joins_the_head_with_the_same_options(tmp_path):
    settings = Settings(state_dir=tmp_path, node_ip="10.7.0.2")
    places = Places.of(settings)
    words = ray_node_command(settings, places, "10.7.0.1:6379")
    assert "--address=10.7.0.1:6379" in words
    assert "--node-ip-address=10.7.0.2" in words
    head = set(ray_command(settings, places))
    assert set(words) - head == {"--address=10.7.0.1:6379"}


def test_every_grpc_port_must_be_free_before_a_start():
    pools = [{"name": "second", "grpc_port": 9001}, {"name": "third"}]
    named = fixed_ports(Settings(grpc_port=9000, pools=pools))
    assert {port for port, what in named.items() if "gRPC, pool" in what} == {9000, 9001}
    assert 0 not in fixed_ports(Settings(grpc_port=0))
