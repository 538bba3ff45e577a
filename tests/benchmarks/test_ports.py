"""Who starts hubs side by side gets ports for each that no other has."""

import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest

from benchmarks.ports import BASES, SIZE, own_ports
from plaza_core.settings import Settings
from plaza_serving.supervisor.ports import Ports, fixed_ports

CHOOSE = """
import sys
sys.path[:0] = {path!r}
from benchmarks.ports import own_ports
with own_ports() as ports:
    print(ports.base, flush=True)
    sys.stdin.read()
"""


def test_processes_that_choose_before_anybody_listens_choose_different_blocks():
    command = [sys.executable, "-c", CHOOSE.format(path=sys.path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with ExitStack() as end:
        others = [end.enter_context(subprocess.Popen(command, **pipes)) for _ in range(2)]
        bases = {int(process.stdout.readline()) for process in others}
        with own_ports() as first, own_ports() as second:
            bases |= {first.base, second.base}
        for process in others:
            process.stdin.close()
    assert len(bases) == 4
    assert bases <= set(BASES)


def test_a_block_in_which_somebody_listens_is_passed_over():
    with own_ports() as ports:
        base = ports.base
        stranger = socket.create_server(("127.0.0.1", ports.spare[3]))
    with stranger, own_ports() as ports:
        assert ports.base != base


def test_a_hubs_ports_lie_in_its_block_once_each():
    with own_ports() as ports:
        settings = Settings(**ports.settings)
        inside = Ports.of(settings)
        ranges = (inside.replicas_http, inside.replicas_grpc, inside.workers)
        used = [*fixed_ports(settings), *ports.spare]
        used += [port for first, last in ranges for port in range(first, last + 1)]
        assert len(set(used)) == len(used)
        assert set(used) <= set(range(ports.base, ports.base + SIZE))
        assert ports.environment["PLAZA_HTTP_PORT"] == str(settings.http_port)


def test_when_all_blocks_are_taken_that_is_said(monkeypatch):
    monkeypatch.setattr("benchmarks.ports.BASES", BASES[:1])
    with ExitStack() as end, pytest.raises(RuntimeError, match="all 1 blocks of ports are taken"):
        for _ in range(2):
            end.enter_context(own_ports())
