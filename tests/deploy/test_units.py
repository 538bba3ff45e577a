"""The unit files are what systemd takes, and start commands that exist."""

import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))


def directives(unit):
    lines = unit.read_text().splitlines()
    return [line.split("=", 1) for line in lines if "=" in line and line[0] != "#"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit(unit, tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed: the unit files were not verified")
    # The program is not installed in /opt here, and its absence is all systemd may complain of.
    program = shutil.which("true")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/plaza/bin/plaza", program))
    checked = subprocess.run([analyze, "verify", copy], capture_output=True, text=True, check=False)
    complaints = [line for line in checked.stderr.splitlines() if unit.name in line]
    assert (checked.returncode, complaints) == (0, [])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_whole_group_is_stopped_and_the_hub_comes_back(unit):
    found = dict(directives(unit))
    assert found["KillMode"] == "mixed"
    assert found["Restart"] == "always"
    assert int(found["TimeoutStopSec"]) > 10
    assert found["StateDirectoryMode"] == "0700"


def test_the_two_units_differ_in_what_they_start_only():
    hub, node = (directives(DEPLOY / name) for name in ("plaza.service", "plaza-node.service"))
    differing = {name for name, _ in set(map(tuple, hub)) ^ set(map(tuple, node))}
    assert differing == {"Description", "ExecStart", "EnvironmentFile"}
