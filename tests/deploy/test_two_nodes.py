"""A second node on the same machine: same token, own directories and ports, own ingress."""

import os
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import tests.serving.supervisor
from benchmarks.ports import own_ports
from plaza_core.settings import Settings
from plaza_serving.supervisor.places import Places
from tests.serving.supervisor.machine import wait_for

TRIVIAL = Path(tests.serving.supervisor.__path__[0])
HEAD = """
import asyncio, dataclasses, signal, sys
from plaza_core.settings import Settings
from plaza_serving.supervisor import children, hub

def trivial(settings, places, client, stand_in):
    control, ray = children.whole_hub(settings, places, client, stand_in)
    ports = (settings.control_port, settings.dashboard_port, settings.http_port)
    argv = (sys.executable, {control!r}, str(places.ray_token), *map(str, ports), "0.0.0.0", "2")
    return dataclasses.replace(control, argv=argv), ray

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await hub.run(Settings(), stop, lambda event: print(event, flush=True), make=trivial)

asyncio.run(main())
"""
NODE = "import sys; from plaza_serving.supervisor.commands import up; up(join=sys.argv[1])"


def own_address():
    """An address of this machine that is not loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback: two nodes cannot meet")
        return probe.getsockname()[0]


@contextmanager
def running(code, settings, log, *arguments):
    environment = {name: text for name, text in os.environ.items() if name[:6] != "PLAZA_"}
    environment["PYTHONPATH"] = os.pathsep.join([*filter(None, sys.path), str(TRIVIAL)])
    for name, value in settings.model_dump(exclude_none=True).items():
        environment[f"PLAZA_{name.upper()}"] = str(value)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env=environment,
            stdout=output,
            stderr=output,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)
            shutil.rmtree(Places.of(settings).temp, ignore_errors=True)


def replica(settings, address):
    """Pid of the replica that answers on this node's public port, None while none does."""
    try:
        url = f"http://{address}:{settings.http_port}/"
        answer = httpx.get(url, timeout=2, trust_env=False)
    except httpx.TransportError:
        return None
    return answer.json()["pid"] if answer.status_code == 200 else None


@pytest.fixture
def ports():
    with own_ports() as block:
        yield block.settings


@pytest.fixture
def others(ports):
    with own_ports() as block:
        yield block.settings


@pytest.mark.prove
@pytest.mark.timeout(300)
def test_a_second_node_joins_with_the_token_and_serves(tmp_path, ports, others):
    address = own_address()
    head = Settings(state_dir=tmp_path / "head", node_ip=address, listen="0.0.0.0", **ports)
    node = Settings(state_dir=tmp_path / "node", node_ip=address, listen="0.0.0.0", **others)
    with running(HEAD.format(control=str(TRIVIAL / "trivial_control.py")), head, tmp_path / "h"):
        wait_for(lambda: replica(head, address), seconds=120)
        # A replica per node is wanted and one node is there: its second replica needs another.
        Places.of(node).prepare()
        shutil.copy2(Places.of(head).ray_token, Places.of(node).ray_token)
        gcs = f"{address}:{head.ray_port}"
        with running(NODE, node, tmp_path / "n", gcs) as process:
            wait_for(lambda: replica(node, address), seconds=90)
            pids = set()
            wait_for(lambda: pids.add(replica(head, address)) or len(pids - {None}) == 2, 60)
        assert process.returncode == 0
        # Without the second node the head goes on alone.
        wait_for(lambda: replica(head, address), seconds=30)


def test_a_node_without_the_heads_token_does_not_start(tmp_path, ports):
    node = Settings(state_dir=tmp_path / "node", **ports)
    log = tmp_path / "n"
    with running(NODE, node, log, "127.0.0.1:1") as process:
        assert process.wait(30) == 1
    assert "secrets" in log.read_text()
