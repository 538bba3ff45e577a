"""The sandbox denies what it says, shown by a child that tries, beside one that is free to."""

from __future__ import annotations

import json
import os
import platform
import re
import secrets
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from plaza_accel.sandbox import seccomp
from plaza_accel.sandbox.confinement import sandbox_support
from plaza_accel.sandbox.process import run_child

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
        socket.socket(socket.AF_UNIX) as path,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other,
    ):
        udp.bind(("127.0.0.1", 0))
        abstract.bind("\0" + name)
        abstract.listen()
        path.bind(str(outside.parent / "socket"))
        path.listen()

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
    if not SUPPORT["system_calls_filtered"]:
        for name in ("socket by path", "fork", "keys of the session", "add a key"):
            results.pop(name, None)
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
from plaza_accel.sandbox.confinement import Confinement, SandboxError, enter
wait = threading.Event()
threading.Thread(target=wait.wait).start()
try: enter(Confinement((Path("/tmp"),), 1 << 30, 10))
except SandboxError as error: print(error)
finally: wait.set()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b"2 threads are running"


def on_a_machine_without(what, directory):
    """What a process finds whose kernel answers as one without `what` would."""
    script = Path(__file__).with_name("lacking.py")
    root = str(Path(__file__).parents[3])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, str(script), what, str(directory)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)


needs_x86 = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="lacking.py knows the call numbers of x86-64"
)


@needs_sandbox
@needs_x86
def test_a_machine_that_lacks_nothing_examines(tmp_path):
    """The control of the next three."""
    found = on_a_machine_without("nothing", tmp_path)
    assert (found["support"]["usable"], found["end"]) == (True, "passed")
    assert found["cell"] == "started"


@needs_x86
def test_without_landlock_no_model_is_opened(tmp_path):
    found = on_a_machine_without("landlock", tmp_path)
    assert found["support"]["files_denied"] is False
    assert found["support"]["usable"] is False
    assert found["end"].startswith("sandbox_unavailable: ")
    assert "files outside can still be reached" in found["end"]
    assert found["cell"].startswith("sandbox_unavailable: ")


@needs_x86
@pytest.mark.skipif(not SUPPORT["files_denied"], reason="this kernel has no Landlock")
def test_without_a_way_to_close_the_network_no_model_is_opened(tmp_path):
    """Landlock is there and closes TCP, but not UDP."""
    found = on_a_machine_without("network", tmp_path)
    assert found["support"]["network_denied"] is False
    assert found["support"]["system_calls_filtered"] is False
    assert found["end"].startswith("sandbox_unavailable: ")
    assert "network can still be reached" in found["end"]
    assert found["cell"].startswith("sandbox_unavailable: ")


@needs_sandbox
@needs_x86
def test_without_namespaces_the_filter_closes_the_network(tmp_path):
    found = on_a_machine_without("namespaces", tmp_path)
    assert found["support"]["network_namespace"] is False
    assert found["support"]["network_denied"] is True
    assert found["end"] == "passed"


def test_denied_calls_have_the_numbers_of_this_systems_headers():
    """The table is by hand; where a compiler's headers are installed they are the oracle."""
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.exists():
        pytest.skip("the kernel's headers are not installed")
    theirs = dict(re.findall(r"#define __NR_(\w+) (\d+)", header.read_text()))
    ours = {name: str(x86) for name, (x86, _) in seccomp.DENIED.items()}
    assert ours.items() <= theirs.items()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a child a user of its own")
@needs_sandbox
def test_a_child_of_root_has_a_user_of_its_own_and_a_limit_on_threads():
    script = """
import os, threading
from plaza_accel.sandbox.confinement import Confinement, enter
enter(Confinement((), 1 << 32, 10, threads=20))
wait, started = threading.Event(), 0
try:
    for _ in range(100):
        threading.Thread(target=wait.wait, daemon=True).start()
        started += 1
except RuntimeError:
    pass
print(os.getuid(), started, flush=True)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    user, started = map(int, done.stdout.split())
    assert user > 0x70000000
    assert started == 19  # and the first one
