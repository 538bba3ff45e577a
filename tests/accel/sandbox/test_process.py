"""A child is heard up to a limit, waited for up to a limit, and its end is told apart."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from plaza_accel.sandbox import process
from plaza_accel.sandbox.process import MAX_ANSWER, run_child


@pytest.fixture(autouse=True)
def talker_is_importable(monkeypatch):
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def test_answers_are_the_lines_that_are_json_objects():
    said = '{"phase": "read"}\n[1, 2]\nnoise\n{"verdict": 1}\n{"torn'
    ended = run_child("talker", {"say": said}, timeout_s=30)
    assert ended.answers == ({"phase": "read"}, {"verdict": 1})
    assert (ended.returncode, ended.signal, ended.timed_out) == (0, None, False)


def test_a_child_that_floods_is_cut_off():
    ended = run_child("talker", {"flood": True}, timeout_s=30)
    assert ended.overflowed
    assert not ended.timed_out
    assert sum(len(str(answer)) for answer in ended.answers) <= MAX_ANSWER


def test_a_child_that_waits_for_ever_is_killed():
    ended = run_child("talker", {"say": '{"phase": "read"}\n', "wait": True}, timeout_s=1)
    assert ended.timed_out
    assert ended.signal is None  # it was ours
    assert ended.answers == ({"phase": "read"},)


def test_the_signal_of_a_crash_is_known():
    ended = run_child("talker", {"signal": signal.SIGSEGV}, timeout_s=30)
    assert ended.signal == signal.SIGSEGV


def test_a_child_that_had_no_processor_gets_its_time_later(monkeypatch):
    """What the kernel counts as waited for a processor is added, up to a limit."""
    monkeypatch.setattr(process, "_waited_s", lambda _: 100.0)
    started = time.monotonic()
    ended = run_child("talker", {"wait": True}, timeout_s=0.2, busy_s=1.5)
    assert ended.timed_out
    assert 1.5 <= time.monotonic() - started < 10


def test_the_kernel_counts_what_a_process_waits():
    before = process._waited_s(os.getpid())
    assert before >= 0
    if Path("/proc/self/schedstat").exists():
        assert before > 0
    assert process._waited_s(1 << 30) == 0


def test_a_child_inherits_no_secret(monkeypatch):
    monkeypatch.setenv("PLAZA_API_KEY", "hub_secret")
    monkeypatch.setenv("https_proxy", "http://proxy")
    (answer,) = run_child("talker", {"environment": True}, timeout_s=30).answers
    allowed = {
        "LANG", "LC_CTYPE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ORT_DISABLE_TELEMETRY",
        "PYTHONPATH",
    }  # fmt: skip
    assert set(answer["environment"]) <= allowed
    assert answer["cwd"] == "/"
