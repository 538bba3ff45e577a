"""A real hub for tests, proofs and measurements: own ports, own state, stopped and checked after.

with running_hub(state_dir) as hub:
    hub.admin.models.register(directory, visibility="public")
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import httpx
import psutil

import plaza
from benchmarks.ports import NAMES, Block, own_ports
from plaza_core.settings import Settings
from plaza_serving.supervisor.places import Places
from plaza_serving.supervisor.sockets import held

_READY_S = 90.0
_STOP_S = 20.0


@dataclass
class Hub:
    """Where a running hub answers, and its processes."""

    state_dir: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    log: Path
    started_s: float = 0.0
    """Seconds from start to the first ready answer."""
    _clients: dict[str, plaza.Client] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environment['PLAZA_HTTP_PORT']}"

    @property
    def control_url(self) -> str:
        return f"http://127.0.0.1:{self.environment['PLAZA_CONTROL_PORT']}"

    @property
    def admin_key(self) -> str:
        return (self.state_dir / "admin.key").read_text().strip()

    @property
    def admin(self) -> plaza.Client:
        return self.client(self.admin_key)

    def client(self, key: str) -> plaza.Client:
        """One per key: each keeps its connections, and to make one costs 20 ms."""
        if key not in self._clients:
            self._clients[key] = plaza.Client(self.url, control_url=self.control_url, api_key=key)
        return self._clients[key]

    def close_clients(self) -> None:
        for client in self._clients.values():
            client.close()

    def ready(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/v2/health/ready", timeout=2).status_code == httpx.codes.OK
        return False

    def wait_ready(self, within_s: float = _READY_S) -> float:
        """Seconds until the front door is ready; raises with the log's end if it is not."""
        begin = time.monotonic()
        while not self.ready():
            waited = time.monotonic() - begin
            if waited > within_s or self.process.poll() is not None:
                raise TimeoutError(f"not ready after {waited:.0f} s:\n{self.tail()}")
            time.sleep(0.1)
        return time.monotonic() - begin

    def tail(self, lines: int = 60) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@contextlib.contextmanager
def running_hub(state_dir: Path, *, keep: bool = False, **settings: object) -> Iterator[Hub]:
    """Start `plaza up`, wait until it answers, stop it, and see that no process remains.

    `keep`: leave what Ray wrote in its own directory, for who looks into it and tidies up.
    """
    with own_ports() as ports, hub_on(ports, state_dir, keep=keep, **settings) as hub:
        yield hub


@contextlib.contextmanager
def hub_on(
    ports: Block, state_dir: Path, *, keep: bool = False, **settings: object
) -> Iterator[Hub]:
    """The same on ports that the caller has, who needs to know them before or more of them."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PLAZA_", "RAY_"))}
    for name, value in {"state_dir": state_dir, **ports.settings, **settings}.items():
        environment[f"PLAZA_{name.upper()}"] = str(value)
    state_dir.mkdir(parents=True, exist_ok=True)
    log = state_dir / "up.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "plaza_serving.cli", "up"],
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    hub = Hub(state_dir, environment, process, log)
    try:
        with _terminated_as_an_exception():
            hub.started_s = hub.wait_ready()
            yield hub
    finally:
        hub.close_clients()
        stop(hub)
        if not keep:
            tidy(state_dir)


def tidy(state_dir: Path) -> None:
    """Remove sockets and logs of the Ray of the hub that ran there. `plaza up` keeps the last ones
    for its operator; nobody looks for those of a state directory that is gone."""
    shutil.rmtree(Places.of(Settings(state_dir=state_dir)).temp, ignore_errors=True)


@contextlib.contextmanager
def _terminated_as_an_exception() -> Iterator[None]:
    """Whoever measures with a time limit must not leave a hub behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def stop(hub: Hub) -> float:
    """Interrupt the hub as Ctrl-C does; return the seconds it took. Nothing may be left behind."""
    family = hub.descendants() if hub.process.poll() is None else []
    begin = time.monotonic()
    if hub.process.poll() is None:
        hub.process.send_signal(signal.SIGINT)
        try:
            hub.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            hub.process.kill()
            raise
        finally:
            left = [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
            for process in left:
                process.kill()
            if left:
                raise RuntimeError(f"left behind: {left}")
        ports = [int(hub.environment[f"PLAZA_{name.upper()}"]) for name in NAMES]
        if still := held(ports):
            raise RuntimeError(f"somebody still listens on {sorted(still)}")
    return time.monotonic() - begin
