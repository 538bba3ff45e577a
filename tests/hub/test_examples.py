"""One example per group of users, each run twice, in a process of its own, with its own key."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub.typed import clean_environment

pytestmark = pytest.mark.hub

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(hub, tmp_path):
    """Run one; returns what it printed."""

    def run(name, key, **more):
        environment = clean_environment(
            tmp_path,
            PLAZA_URL=hub.url,
            PLAZA_CONTROL_URL=hub.control_url,
            PLAZA_API_KEY=key,
            **more,
        )
        done = subprocess.run(
            [sys.executable, EXAMPLES / f"{name}.py"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def says(output, *lines):
    """Each pattern is found in the output after the one before it."""
    at = 0
    for line in lines:
        found = re.compile(line, re.MULTILINE).search(output, at)
        assert found, f"not after {output[:at]!r}: {line}\n{output}"
        at = found.end()


def test_every_example_is_run():
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= tests


def test_enterprise(hub, example):
    hub.admin.orgs.create("calling-enterprise")
    key = hub.admin.keys.create("calling-enterprise", role="admin").key
    for _ in range(2):
        says(
            example("enterprise", key),
            r"^calling-enterprise, as admin$",
            r"^plaza\.\w+\.traffic-speed-quantiles  version 1  \w+",
            r"^speed in an hour: \d\d\.\d mph, by version 1$",
            r"^values: FP32 \[-1, 288\]$",
            r"^7 quantiles for each of 12 steps$",
            r"^charged [1-9]\d* units: [1-9]\d* µs of device, \d+ µs of host$",
            r"^[1-9]\d* of 40 at once were too fast: again in \d+ s$",
            r"^[1-9]\d* more requests at [1-9]\d* units each$",
            r"^after [1-9]\d* more: quota_exceeded, the tightest budget is the key's$",
            r"^raised; [1-9]\d+ units are left$",
            r"^traffic-speed-quantiles: [1-9]\d* answers, [1-9]\d* units$",
        )
    left = [k for k in hub.admin.keys.list("calling-enterprise") if k.revoked_unix_us is None]
    assert len(left) == 1, "the job's keys are revoked"


def test_ml_engineer(hub, example):
    for name in ("building-engineers", "their-partner"):
        hub.admin.orgs.create(name)
    key = hub.admin.keys.create("building-engineers", role="engineer").key
    admin = hub.admin.keys.create("building-engineers", role="admin").key
    for state in ("new", "known already"):
        says(
            example("ml_engineer", key, PLAZA_ADMIN_KEY=admin, PLAZA_PARTNER="their-partner"),
            r"^building-engineers, as engineer$",
            r"^bundle: CARD\.md, model\.onnx, plaza\.yaml, samples$",
            rf"^version 1: {state}$\n^version 2: {state}$",
            r"^version 2: examined$\n^version 1: serving$",
            r"^version 1 says 13\.\d hours$\n^version 2 says 13\.\d hours$",
            r"^compatible for callers$",
            r"^mae_hours: 0\.\d+ → 0\.\d+$",
            r"^answers by version: \{1: \d+, 2: \d+\}$",
            r"^rollout running, 25 % to version 2$",
            r"^rollout promoted$",
            r"^champion: 2$",
            r"^rolled back to 1$",
            r"^  rollback: version 1 to show how$",
            r"^card revision 2 by ",
            r"^tags: harbour, planning$",
            r"^found building-engineers\.main\.berth-hours: Hours at the berth",
            r"^shared with their-partner$",
        )


def test_admin(hub, example):
    for _ in range(2):
        says(
            example("admin", hub.admin_key),
            r"^plaza, operator$",
            r"^example engineer: engineer of berths$\n^example admin: admin of the organisation$",
            r"^example-harbour: 200 h per month, used \d+ units$",
            r"^berths: 40 h per month, used 0 units$",
            r"^weight 4, may borrow 200 % of its part$",
            r"^models: [01] of at most 50$",
            r"^https://hooks\.example\.org/plaza: budget\.80, rollout\.stopped, on$",
            r"^example-harbour\.main\.example-load asks: useful beyond the harbour$",
            r"^approved$",
            r"^public: \['example-harbour\.main\.example-load'\]$",
            r"^statement of \d{4}-\d\d: [1-9]\d* lines$",
            r"^audit: [1-9]\d* links, intact$",
            r"^usage: \d+ links, intact$",
        )
