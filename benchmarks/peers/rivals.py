"""Who takes part in a comparison: each is up, answers, and can be put under load.

Programs of peers stand still (SIGSTOP) while another is measured, so that nobody's idle work is in
another's number.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import wrk
from benchmarks.hub import Hub
from benchmarks.peers import asked
from benchmarks.peers.asked import Asked
from benchmarks.peers.catalogue import SERVERS, Peer
from benchmarks.peers.processes import Tree, running, said, wait
from benchmarks.ports import Block, own_ports

ROOT = Path(__file__).parents[2]
_START_S = 90.0
_LOOKS = 10
"""Of a second each."""


@dataclass(frozen=True, slots=True)
class Rival:
    name: str
    title: str
    dialect: str
    port: int
    load: Asked | bytes
    """Requests of HTTP, or one message of gRPC."""
    tree: Tree
    key: str = ""
    freezes: bool = False

    def measure(self, connections: int, seconds: float) -> dict[str, float]:
        """Closed loop. To what the generator tells comes µs of processor of the server's whole
        tree, user and system, per request that was not answered with an error."""
        with self.awake():
            before = self.tree.cpu_s()
            found = _generate(self, connections, seconds)
            spent = self.tree.cpu_s() - before
        return {**found, "cpu_us": round(spent / max(1.0, found["requests"]) * 1e6, 1)}

    def once(self) -> bool:
        """Whether it answers all requests of a second as it should; wrk counts whole seconds."""
        with contextlib.suppress(subprocess.CalledProcessError):
            found = _generate(self, 1, 1)
            return found["requests"] > found["errors"] == 0
        return False

    def freeze(self) -> None:
        if self.freezes:
            self.tree.signal(signal.SIGSTOP)

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Who was stopped first gets time to answer well again: an ingress that slept with its
        replicas takes them for dead until it has asked how they are."""
        if self.freezes:
            self.tree.signal(signal.SIGCONT)
            any(self.once() for _ in range(_LOOKS))
        try:
            yield
        finally:
            self.freeze()


def generate(port: int, load: Asked, connections: int, seconds: float) -> dict[str, float]:
    """Requests of HTTP, closed loop: wrk, else our own generator as its own process."""
    requests = load.requests()
    if wrk.installed():
        return wrk.run(port, connections, seconds, *requests)
    where = ["127.0.0.1", str(port), str(connections), str(seconds)]
    lengths = [str(len(request)) for request in requests]
    return _told(["benchmarks.load", *where, *lengths], b"".join(requests))


def rooms() -> str:
    """Where the programs find `work` and the families that it uses."""
    return ":".join(str(place) for place in (ROOT / "core", ROOT / "models", SERVERS))


def _generate(rival: Rival, connections: int, seconds: float) -> dict[str, float]:
    if isinstance(rival.load, Asked):
        return generate(rival.port, rival.load, connections, seconds)
    amount = [str(rival.port), str(connections), str(seconds), rival.key]
    return _told(["benchmarks.peers.calls", *amount], rival.load)


def _told(module: list[str], given: bytes) -> dict[str, float]:
    command = [sys.executable, "-m", *module]
    done = subprocess.run(command, input=given, capture_output=True, check=True)  # noqa: S603 ours
    told: dict[str, float] = json.loads(done.stdout)
    return told


def plaza(hub: Hub, key: str, model: str, dialect: str) -> Rival:
    tree = Tree(hub.process.pid, str(hub.state_dir))
    if dialect == "grpc":
        port = int(hub.environment["PLAZA_GRPC_PORT"])
        name = asked.NAMES.get(model, model)
        return Rival("plaza", "Plaza", dialect, port, asked.call(model, name), tree, key)
    port = int(hub.environment["PLAZA_HTTP_PORT"])
    return Rival("plaza", "Plaza", dialect, port, asked.to_plaza(model, dialect, key), tree)


@contextlib.contextmanager
def up(peer: Peer, python: Path, model: str, dialect: str, scratch: Path) -> Iterator[Rival]:
    """Start the peer's program for one model and dialect. Raises RuntimeError when it does not
    answer as it should."""
    with own_ports() as ports, _up(peer, python, model, dialect, scratch, ports=ports) as rival:
        yield rival


@contextlib.contextmanager
def _up(
    peer: Peer, python: Path, model: str, dialect: str, scratch: Path, *, ports: Block
) -> Iterator[Rival]:
    http, grpc = ports.spare[:2]
    environment = {
        "MODEL": model,
        "BUNDLE": str(asked.bundle(model, scratch)),
        "DIALECT": dialect,
        "PORT": str(http),
        "GRPC_PORT": str(grpc),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": rooms(),
        "OMP_NUM_THREADS": "1",
        **peer.settings,
        **peer.tuning.get(model, {}),
    }
    command = [str(python), str(peer.script)]
    with running(command, environment, scratch, peer.name) as tree:
        in_grpc = dialect == "grpc"
        load = (
            asked.call(model, "served") if in_grpc else asked.to_peer(peer.program, model, dialect)
        )
        port = grpc if in_grpc else http
        rival = Rival(peer.name, peer.title, dialect, port, load, tree, freezes=peer.freezes)
        wait(lambda: _listens(port), tree, _START_S)
        try:
            wait(rival.once, tree, 20.0)
        except RuntimeError as error:
            raise RuntimeError(f"{peer.name}: {error}\n{said(tree)}") from None
        yield rival


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
