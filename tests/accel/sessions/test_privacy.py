"""Importing the room tells nobody anything: no identifier, no background thread."""

from __future__ import annotations

import os
import subprocess
import sys

SCRIPT = """
import os, sys
if sys.argv[1] == "plaza": import plaza_accel.sessions.native
else: import onnxruntime
print(len(os.listdir("/proc/self/task")))
"""


def imported(home, what: str) -> tuple[int, list[str]]:
    """(threads, files under HOME) after importing in a fresh process."""
    env = {"HOME": str(home), "OPENBLAS_NUM_THREADS": "1", "PATH": os.environ["PATH"]}
    env["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, "-B", "-c", SCRIPT, what], env=env, capture_output=True, check=True
    )
    return int(done.stdout), [str(p) for p in home.rglob("*") if p.is_file()]


def test_telemetry_of_the_runtime_is_off(tmp_path):
    assert imported(tmp_path, "plaza") == (1, [])
