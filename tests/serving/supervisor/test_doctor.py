"""`plaza doctor` sees what is wrong, and its exit status says so."""

import json
import os
import socket

import pytest
import typer
from typer.testing import CliRunner

from plaza_core.errors import Forbidden
from plaza_core.pools import Pool
from plaza_serving.supervisor.commands import doctor, down
from plaza_serving.supervisor.doctor import Verdict, examine
from plaza_serving.supervisor.family import Families, Family
from plaza_serving.supervisor.places import Places
from plaza_serving.supervisor.process import look


@pytest.fixture
def places(settings):
    made = Places.of(settings)
    made.prepare()
    return made


def verdicts(settings):
    return {finding.check: finding for finding in examine(settings)}


def claim_this_process(places):
    """Write this process into the record, as if the supervisor had started it."""
    identity = look(os.getpid()).identity
    Families(places.run / "processes.json").add(Family("ray", "m", identity, keeps_orphans=False))


def test_a_healthy_machine_has_no_bad_finding_about_places_and_ports(settings, places):
    found = verdicts(settings)
    for check in ("python", "ray", "mlflow", "state directory", "secrets", "clock", "ports"):
        assert found[check].verdict is Verdict.OK, found[check]


def test_a_secret_that_others_can_read_is_bad(settings, places):
    token = places.ray_token
    token.write_text("x")
    token.chmod(0o644)
    found = [f for f in examine(settings) if f.check == "secrets" and f.verdict is Verdict.BAD]
    assert "ray.token" in found[0].detail


def test_a_port_held_by_a_stranger_is_bad_and_the_stranger_named(settings, places):
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", settings.ray_port))
        stranger.listen()
        finding = verdicts(settings)[f"port {settings.ray_port}"]
    assert finding.verdict is Verdict.BAD
    assert f"pid {os.getpid()}" in finding.detail


def test_a_socket_of_ours_that_others_can_reach_is_bad_on_a_single_node(settings, places):
    claim_this_process(places)
    with socket.socket() as inside, socket.socket() as outside:
        inside.bind(("127.0.0.1", 0))
        outside.bind(("0.0.0.0", 0))
        inside.listen()
        outside.listen()
        found = verdicts(settings)
        assert found[f"open {outside.getsockname()[1]}"].verdict is Verdict.BAD
        assert f"open {inside.getsockname()[1]}" not in found


def test_in_a_cluster_it_comes_with_the_rule_that_closes_it_to_others(settings, places):
    claim_this_process(places)
    several = settings.model_copy(update={"node_ip": "10.7.0.1"})
    with socket.socket() as outside:
        outside.bind(("0.0.0.0", 0))
        outside.listen()
        port = outside.getsockname()[1]
        finding = verdicts(several)[f"open {port}"]
    assert finding.verdict is Verdict.NOTE
    assert f"dport {port}" in finding.detail


def test_a_pool_that_cannot_run_here_is_bad_and_in_a_cluster_worth_a_note(settings, places):
    pools = [Pool(name="npu", provider="cann"), Pool(name="two", provider="cpu")]
    several = settings.model_copy(update={"pools": pools})
    found = verdicts(several)
    assert found["pool npu"].verdict is Verdict.BAD
    assert "no Ascend NPU is on this node" in found["pool npu"].detail
    assert found["pool two"].verdict is Verdict.OK
    cluster = several.model_copy(update={"node_ip": "10.7.0.1"})
    assert verdicts(cluster)["pool npu"].verdict is Verdict.NOTE


def test_internal_ports_in_the_ephemeral_range_are_noted(settings, places):
    low = int(open_range()[0])
    moved = settings.model_copy(update={"internal_ports": low + 10})
    assert verdicts(moved)["internal ports"].verdict is Verdict.NOTE


def open_range():
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:  # noqa: PTH123 one line
        return file.read().split()


def test_the_command_prints_json_and_fails_when_something_is_bad(settings, places, monkeypatch):
    app = typer.Typer()
    app.command()(doctor)
    for name, value in settings.model_dump(exclude_none=True).items():
        monkeypatch.setenv(f"PLAZA_{name.upper()}", str(value).lower())
    monkeypatch.setenv("PLAZA_STATE_DIR", str(settings.state_dir))
    monkeypatch.setenv("PLAZA_LOG_LEVEL", "INFO")
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", settings.ray_port))
        stranger.listen()
        result = CliRunner().invoke(app, ["--json"])
    rows = json.loads(result.stdout)
    assert result.exit_code == 1
    assert {"check": "ray token", "verdict": "note", "detail": "made at the first start"} in rows


def test_down_without_a_hub_says_so(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("PLAZA_STATE_DIR", str(tmp_path / "nothing"))
    app = typer.Typer()
    app.command()(down)
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 1
    assert "no hub runs" in result.output


def test_a_state_directory_of_somebody_else_is_refused(places, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(Forbidden):
        places.prepare()
