"""Two hubs never begin to listen on the same ports, however close together they start."""

import os
import subprocess
import sys

import pytest

from plaza_core.errors import Conflict
from plaza_serving.supervisor.claims import claim, claimed
from plaza_serving.supervisor.places import Places
from plaza_serving.supervisor.ports import fixed_ports

HOLD = """
import sys
sys.path[:0] = {path!r}
from plaza_serving.supervisor.claims import claimed
with claimed({ports!r}):
    print("claimed", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def ports(settings):
    return {settings.http_port: "inference over HTTP", settings.ray_port: "Ray's GCS"}


def test_who_starts_second_is_told_what_and_by_whom_before_anybody_listens(ports):
    http = next(iter(ports))
    named = rf"port {http} \(inference over HTTP\) is taken by pid {os.getpid()}, "
    with claimed(ports), pytest.raises(Conflict, match=named), claimed({http: ports[http]}):
        raise AssertionError("two have the port")


def test_a_refused_hub_leaves_nothing_claimed(ports):
    http, ray = ports
    with claimed({ray: "GCS"}), pytest.raises(Conflict, match=f"port {ray} "), claimed(ports):
        raise AssertionError("two have the port")
    with claimed(ports):
        assert claim(f"port-{http}") is None


def test_plaza_up_starts_nothing_on_ports_that_another_hub_claims(settings):
    given = {"PATH": os.environ["PATH"], "COLUMNS": "4000"}
    given["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    for name, value in settings.model_dump(exclude_none=True).items():
        given[f"PLAZA_{name.upper()}"] = value if isinstance(value, str) else str(value)
    with claimed(fixed_ports(settings)):
        done = subprocess.run(
            [sys.executable, "-m", "plaza_serving.cli", "up"],
            env=given,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert f"port {settings.ray_port} (Ray's GCS) is taken by pid {os.getpid()}," in done.stderr
    assert not (Places.of(settings).run / "processes.json").exists()


def test_a_killed_hub_claims_nothing(ports):
    code = HOLD.format(path=sys.path, ports=ports)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        assert process.stdout.readline() == b"claimed\n"
        with pytest.raises(Conflict, match=f"pid {process.pid}, "), claimed(ports):
            raise AssertionError("two have the port")
        process.kill()
    with claimed(ports):
        pass
