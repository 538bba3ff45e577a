"""Identities that survive pid reuse, and processes that end with their parent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from plaza_serving.supervisor.process import (
    Identity,
    collect,
    command_line,
    descendants,
    look,
    spawn,
    table,
)
from tests.serving.supervisor.machine import python, wait_for

SLEEP = python("import time; time.sleep(60)")


def autogroup(pid):
    """What the kernel calls the group of its session and how nice that is."""
    told = Path(f"/proc/{pid}/autogroup")
    return told.read_text().strip() if told.exists() else ""


def test_a_process_is_itself_until_it_ends(tmp_path):
    one = spawn(SLEEP, os.environ, tmp_path / "log", dies_with_parent=True)
    assert one.alive()
    assert collect(one) is None
    assert one.signal(signal.SIGTERM)
    assert wait_for(lambda: collect(one)) == -signal.SIGTERM
    assert not one.alive()
    assert not one.signal(signal.SIGTERM)


def test_a_zombie_is_not_alive(tmp_path):
    one = spawn(python("pass"), os.environ, tmp_path / "log", dies_with_parent=True)
    wait_for(lambda: look(one.pid).state == "Z")
    assert not one.alive()
    assert collect(one) == 0


def test_a_signal_never_reaches_whoever_got_the_pid_later(tmp_path):
    one = spawn(SLEEP, os.environ, tmp_path / "log", dies_with_parent=True)
    earlier = Identity(one.pid, one.started - 1)
    assert not earlier.alive()
    assert not earlier.signal(signal.SIGKILL)
    assert one.alive()
    one.signal(signal.SIGKILL)
    wait_for(lambda: collect(one))


def test_a_child_has_its_own_session_and_writes_to_its_log(tmp_path):
    log = tmp_path / "log"
    one = spawn(
        python("import os; print(os.getsid(0) == os.getpid())"),
        os.environ,
        log,
        dies_with_parent=True,
    )
    wait_for(lambda: collect(one) == 0)
    assert log.read_text() == "True\n"


@pytest.mark.skipif(not autogroup(os.getpid()), reason="this kernel knows no groups of sessions")
def test_a_whole_session_yields_to_others(tmp_path):
    start = {"environment": os.environ, "log": tmp_path / "log", "dies_with_parent": True}
    plain, nicer = spawn(SLEEP, **start), spawn(SLEEP, **start, nicer=2)
    assert autogroup(plain.pid).endswith(" nice 0")
    assert autogroup(nicer.pid).endswith(" nice 2")
    for one in (plain, nicer):
        one.signal(signal.SIGKILL)
        wait_for(lambda one=one: collect(one))


def test_what_dies_with_its_parent_does_so_even_when_that_is_killed(tmp_path):
    parent = f"""
import os, pathlib, sys, time
from plaza_serving.supervisor.process import spawn
one = spawn({SLEEP!r}, os.environ, pathlib.Path({str(tmp_path / "log")!r}), dies_with_parent=True)
print(one.pid, one.started, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    with process:
        one = Identity(*map(int, process.stdout.readline().split()))
        assert one.alive()
        process.kill()
    wait_for(lambda: not one.alive())


def test_names_with_parentheses_and_spaces_do_not_confuse_the_table(tmp_path):
    rename = "import ctypes; ctypes.CDLL(None).prctl(15, b'a) S 1 (b', 0, 0, 0); "
    one = spawn(
        python(rename + "import time; time.sleep(60)"),
        os.environ,
        tmp_path / "log",
        dies_with_parent=True,
    )
    wait_for(lambda: look(one.pid).name == "a) S 1 (b")
    assert look(one.pid).identity == one
    assert look(one.pid).parent == os.getpid()
    assert one.pid in descendants([os.getpid()], table())
    assert command_line(one.pid)[0] == sys.executable
    one.signal(signal.SIGKILL)
    wait_for(lambda: collect(one))


def test_a_pid_that_nobody_has_is_nothing():
    assert look(2**22 + 1) is None
    assert command_line(2**22 + 1) == ()
    assert not Identity(2**22 + 1, 5).signal(signal.SIGTERM)
