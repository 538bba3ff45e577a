"""A real `mlflow server` on a free port, over SQLite and files in a directory of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from plaza_registry.mlflow_client import DEFAULTS


@dataclass
class MlflowServer:
    """`address` stays the same over `stop` and `start`."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        store, files = self.directory / "mlflow.db", self.directory / "artifacts"
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{store}"]
        command += ["--serve-artifacts", "--artifacts-destination", str(files)]
        with (self.directory / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.directory, env=os.environ | DEFAULTS, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self._wait()

    def stop(self) -> None:
        """Kill it, with its workers: what it was doing is not finished."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=10)
            self.process = None

    def pause(self) -> None:
        """It takes connections and answers nothing."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    def _wait(self) -> None:
        pause, deadline = threading.Event(), time.monotonic() + 120  # 5 s on an idle machine
        while time.monotonic() < deadline:
            assert self.process.poll() is None, (self.directory / "server.log").read_text()
            try:
                urllib.request.urlopen(f"{self.address}/health", timeout=5).close()
                return
            except OSError:
                pause.wait(0.1)
        raise AssertionError("the MLflow server did not come up")


@contextmanager
def running_mlflow(directory: Path) -> Iterator[MlflowServer]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = MlflowServer(directory, port)
    try:
        server.start()
        yield server
    finally:
        server.stop()
