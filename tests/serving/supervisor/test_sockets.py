"""Listening sockets as the kernel shows them, and whose they are."""

import os
import socket

import pytest

from plaza_core.errors import Conflict
from plaza_serving.supervisor.claims import require_free
from plaza_serving.supervisor.sockets import held, owners


@pytest.fixture(params=["127.0.0.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"])
def listening(request):
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.socket(family) as made:
        made.bind((request.param, 0))
        made.listen()
        yield made, request.param


def test_a_listener_is_found_with_its_owner_and_reach(listening):
    made, address = listening
    port = made.getsockname()[1]
    (found,) = held([port])[port]
    assert owners([os.getpid()])[found.inode] == os.getpid()
    assert found.local is (address not in {"0.0.0.0", "::"})


def test_a_bound_socket_that_does_not_listen_holds_nothing(free_port):
    with socket.socket() as made:
        made.bind(("127.0.0.1", free_port))
        assert held([free_port]) == {}


def test_a_taken_port_is_named_with_its_use_and_its_holder(listening):
    port = listening[0].getsockname()[1]
    with pytest.raises(Conflict, match=rf"port {port} \(control\) .* pid {os.getpid()}"):
        require_free({port: "control"})


def test_free_ports_are_no_conflict(free_port):
    require_free({free_port: "control"})
