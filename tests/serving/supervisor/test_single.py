"""Two supervisors never share a state directory."""

import os
import subprocess
import sys

import pytest

from plaza_core.errors import Conflict
from plaza_serving.supervisor.single import holder, only_one

HOLD = """
import pathlib, sys, time
sys.path[:0] = {path!r}
from plaza_serving.supervisor.single import only_one
with only_one(pathlib.Path({run!r})):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_start_is_told_who_runs(tmp_path):
    with only_one(tmp_path):
        assert holder(tmp_path).pid == os.getpid()
        with pytest.raises(Conflict, match=str(os.getpid())), only_one(tmp_path):
            raise AssertionError("two hold the lock")
    assert holder(tmp_path) is None


def test_a_killed_supervisor_holds_nothing(tmp_path):
    code = HOLD.format(path=sys.path, run=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert holder(tmp_path).pid == process.pid
        process.kill()
    assert holder(tmp_path) is None
    with only_one(tmp_path):
        assert holder(tmp_path).pid == os.getpid()
