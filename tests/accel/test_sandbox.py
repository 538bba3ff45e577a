"""The sandbox denies what it says, shown by a child that tries, beside one that is free to."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from plaza_accel.process import run_child
from plaza_accel.sandbox import sandbox_support

SUPPORT = sandbox_support()
needs_sandbox = pytest.mark.skipif(
    not SUPPORT["usable"], reason=f"this kernel cannot confine a process: {SUPPORT}"
)


@pytest.fixture
def prison(tmp_path, monkeypatch):
    """try_all(confined) -> what a child could do, with things to attack set up afresh."""
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    bundle = tmp_path / "bundle"
    outside = tmp_path / "outside" / "secret"
    for directory in (bundle, outside.parent):
        directory.mkdir()
    (bundle / "model.onnx").write_bytes(b"weights")
    (bundle / "link").symlink_to(outside)
    outside.write_bytes(b"secret")
    (outside.parent / "victim").write_bytes(b"")
    name = "plaza-" + secrets.token_hex(8)
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as abstract,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other,
    ):
        udp.bind(("127.0.0.1", 0))
        abstract.bind("\0" + name)
        abstract.listen()

        def try_all(*, confined: bool) -> dict[str, str]:
            request = {
                "confined": confined,
                "bundle": str(bundle),
                "outside": str(outside),
                "tcp": tcp.getsockname()[1],
                "udp": udp.getsockname()[1],
                "abstract": name,
                "other": other.pid,
            }
            ended = run_child("prisoner", request, timeout_s=30)
            assert ended.returncode == 0, ended
            return {answer["tried"]: answer["result"] for answer in ended.answers}

        yield try_all
        other.communicate(b"\n")


@needs_sandbox
def test_a_confined_child_can_read_its_bundle_and_nothing_else(prison):
    results = prison(confined=True)
    assert results.pop("read the bundle") == "done"
    if not SUPPORT["signals_denied"]:
        for name in ("signal the parent", "abstract socket"):
            results.pop(name)
    if not SUPPORT["network_namespace"]:
        results.pop("send by UDP")
    assert [name for name, result in results.items() if result == "done"] == []
    assert results["take 4 GB"] == "MemoryError"
    assert results["read /etc/passwd"] == "PermissionError"


def test_the_same_child_can_do_all_of_it_when_it_is_free(prison):
    """The control: each attempt would succeed, so the sandbox is what makes it fail."""
    results = prison(confined=False)
    results.pop("trace another process")  # some systems forbid that to everybody
    assert [name for name, result in results.items() if result != "done"] == []


@needs_sandbox
def test_a_process_with_threads_is_not_confined():
    script = """
import threading, sys
from pathlib import Path
from plaza_accel.sandbox import Confinement, SandboxError, enter
wait = threading.Event()
threading.Thread(target=wait.wait).start()
try: enter(Confinement((Path("/tmp"),), 1 << 30, 10))
except SandboxError as error: print(error)
finally: wait.set()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b"2 threads are running"


def test_a_kernel_without_landlock_confines_nothing_and_says_so(monkeypatch):
    from plaza_accel import landlock

    monkeypatch.setattr(landlock, "abi", lambda: 0)
    with pytest.raises(OSError, match="not available"):
        landlock.restrict([])
    support = sandbox_support()
    assert support["files_denied"] is False
    assert support["usable"] is False
