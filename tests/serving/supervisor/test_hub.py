"""The real thing, once: Ray with HAProxy under the supervisor, its head killed, then stopped.

Part of `make prove`. `tests/hub/test_restart.py` sees the same of a whole hub, of which this one
has only the supervisor and Ray: which of them a fault is in is told here.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from plaza_serving.supervisor.children import RAY_PROGRAMS
from plaza_serving.supervisor.family import leftovers
from plaza_serving.supervisor.places import Places
from plaza_serving.supervisor.process import Identity, command_line, look
from plaza_serving.supervisor.sockets import held, listeners, owners
from tests.serving.supervisor.machine import wait_for

HERE = Path(__file__).parent
HUB = """
import asyncio, dataclasses, signal, sys
from plaza_core.settings import Settings
from plaza_serving.supervisor import children, hub

def trivial(settings, places, client, stand_in):
    control, ray = children.whole_hub(settings, places, client, stand_in)
    ports = (settings.control_port, settings.dashboard_port, settings.http_port)
    argv = (sys.executable, {control!r}, str(places.ray_token), *map(str, ports))
    return dataclasses.replace(control, argv=argv), ray

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    say = lambda event: print(event.child, event.what, event.detail, flush=True)
    await hub.run(Settings(), stop, say, make=trivial)

asyncio.run(main())
"""


@pytest.fixture
def hub(settings, tmp_path):
    """A running supervisor with the real Ray, a trivial control and a trivial pool."""
    environment = {name: text for name, text in os.environ.items() if name[:6] != "PLAZA_"}
    environment["PYTHONPATH"] = os.pathsep.join([*filter(None, sys.path), str(HERE)])
    for name, value in settings.model_dump(exclude_none=True).items():
        environment[f"PLAZA_{name.upper()}"] = value if isinstance(value, str) else str(value)
    code = HUB.format(control=str(HERE / "trivial_control.py"))
    log = tmp_path / "supervisor.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdout=output, stderr=output
        )
    yield process, settings, log
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def answers(settings):
    """(status, body) of the public port; (0, what happened) without an answer."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{settings.http_port}/x", timeout=30, trust_env=False)
    except httpx.TransportError as error:
        return 0, repr(error)
    return answer.status_code, answer.text


def ok(settings):
    return answers(settings)[0] == 200


def members(settings):
    """Everything the supervisor has written down, and what is below it."""
    return leftovers(Places.of(settings).run / "processes.json")


@pytest.mark.hub
@pytest.mark.prove
@pytest.mark.timeout(240)
def test_the_head_dies_and_comes_back_and_a_stop_leaves_nothing(hub):
    process, settings, log = hub
    wait_for(lambda: ok(settings), seconds=100)

    everybody = members(settings)
    mine = owners([one.pid for one in everybody] + [process.pid])
    open_to_others = [one for one in listeners() if one.inode in mine and not one.local]
    # The trivial pool does not close Serve's port for calls between deployments; Plaza's own does.
    assert len(open_to_others) <= 1, open_to_others

    (gcs,) = [one for one in everybody if RAY_PROGRAMS[0] in command_line(one.pid)[0]]
    os.kill(gcs.pid, signal.SIGKILL)
    killed = time.monotonic()
    wait_for(lambda: "ray died gcs_server" in log.read_text(), seconds=5)
    # From the reaping of the old ingress to the new one: 503, never a refused connection.
    seen = []
    wait_for(lambda: all(not one.alive() for one in everybody if not _control(one)), seconds=10)
    while (answer := answers(settings))[0] != 200:
        seen.append(answer)
        assert time.monotonic() - killed < 100, log.read_text()
    assert [one for one in seen if one[0] != 503] == []

    everybody = members(settings)
    assert len(everybody) > 8
    process.send_signal(signal.SIGTERM)
    stopping = time.monotonic()
    assert process.wait(15) == 0
    assert time.monotonic() - stopping < 12
    assert [one for one in everybody if one.alive()] == []
    ports = {value for name, value in settings.model_dump().items() if name.endswith("_port")}
    assert held(ports) == {}


def _control(one: Identity):
    seen = look(one.pid)
    return seen is not None and any("trivial_control" in word for word in command_line(one.pid))
