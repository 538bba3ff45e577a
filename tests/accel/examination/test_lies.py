"""A child that has been taken over says what it likes: to its parent that is a refusal, or nothing.

A real child tells the lies; the parent is the real one.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import time
from pathlib import Path

import pytest

from benchmarks import graphs
from plaza_accel.examination import examine
from plaza_accel.examination.certifier import Place, SandboxCertifier
from plaza_accel.gate.rules import Rule
from plaza_accel.sandbox.process import run_child
from plaza_core.clock import SystemClock
from plaza_core.ids import Digest
from tests.accel.examination.children import children

DIGEST = Digest("b" * 64)
GOOD = {
    "environment": {
        "environment": {
            "provider": "cpu",
            "provider_version": "onnxruntime 1",
            "runtime": "onnxruntime 1",
            "device": "x",
            "cpu_features": "",
        }
    },
    "certificate": {
        "certificate": {
            "placement": {"CPUExecutionProvider": 1},
            "latency_us": {"1": 5},
            "rows_per_second": 1.0,
            "peak_bytes": 1,
            "load_us": 1,
        }
    },
    "verdict": {"verdict": {"runtime": "ort", "nodes": {"CPU": 1}, "peak_bytes": 1, "run_us": 1}},
}


@pytest.fixture
def told(monkeypatch, bundle):
    """told(text, …) -> the certificate when the child says `text`, and does what else is asked."""
    paths = [str(Path(__file__).parents[1] / "sandbox"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    certifier = SandboxCertifier([Place("cpu")], SystemClock(), timeout_s=3, memory_mb=1500)

    def tell(text, **more):
        lie = functools.partial(run_child, "talker", {"say": text, **more})
        monkeypatch.setattr(examine, "run_child", lambda _module, _request, **time: lie(**time))
        return certifier.certify(*bundle(graphs.tiny()), DIGEST, "cpu")

    return tell


def lines(*left_out, **changed):
    """What an honest child says, with some of it changed."""
    said = {word: json.loads(json.dumps(line)) for word, line in GOOD.items()}
    for path, value in changed.items():
        word, _, field = path.partition("__")
        said[word][word][field] = value
    return "".join(json.dumps(line) + "\n" for word, line in said.items() if word not in left_out)


def test_what_an_honest_child_says_passes(told):
    made = told(lines())
    assert (made.passed, made.latency_us) == (True, {1: 5})


REFUSED = {
    "nothing": "",
    "a million lines": "{}\n" * 1_000_000,
    "one line without end": '{"verdict": "' + "x" * 1_000_000,
    "nesting without end": lines("verdict") + "[" * 100_000 + "\n",
    "nesting inside": lines("verdict") + '{"a":' * 50_000 + "1" + "}" * 50_000 + "\n",
    "a verdict that is none": lines("verdict") + '{"verdict": [1]}\n',
    "a verdict of more": lines(verdict__more=1),
    "vast sizes": lines(verdict__peak_bytes=1 << 70),
    "vast counts": lines(certificate__placement={"CPU": 1 << 70}),
    "less than nothing": lines(verdict__run_us=-1),
    "many providers": lines(certificate__placement={f"p{i}": 1 for i in range(1000)}),
    "markup as a provider": lines(verdict__nodes={"\u001b[31m\n": 1}),
    "no number": lines(certificate__rows_per_second=float("nan")),
    "half a character": lines(verdict__runtime="\ud800"),
    "a refusal after all": lines() + '{"refused": "no", "rule": "time", "node": "x"}\n',
    "no certificate": lines("certificate"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_lie_is_no_certificate(told, name):
    made = told(REFUSED[name])
    assert not made.passed
    assert made.reason
    made.model_dump_json().encode()  # it can be kept and shown


def test_the_words_of_a_refusal_are_one_plain_line(told):
    said = {"refused": "\u001b[31m\r\n\u202e" + "x" * 5000, "rule": ["time"], "node": "a\nb"}
    made = told(json.dumps(said) + "\n")
    assert (made.rule, made.node) == (Rule.CRASH, "a?b")
    assert made.reason.isprintable()
    assert len(made.reason) == 500


def test_a_place_is_words_too(told):
    made = told(lines(environment__device="a\0b\n", environment__cpu_features="\u202eavx"))
    assert (made.key.device, made.key.cpu_features) == ("a?b?", "?avx")


def test_another_place_than_the_pools_is_not_believed(told):
    made = told(lines(environment__provider="cuda"))
    assert (made.key.provider, made.key.runtime) == ("cpu", "")


@pytest.mark.parametrize("number", [signal.SIGRTMIN + 3, signal.SIGSTKFLT, signal.SIGTERM])
def test_it_may_end_by_any_signal(told, number):
    made = told(lines(), signal=number)
    assert (made.passed, made.rule) == (False, Rule.CRASH)
    assert f"signal {int(number)}" in made.reason


def test_one_that_says_all_is_well_and_stays_is_ended_soon(told):
    started, before = time.monotonic(), children()
    made = told(lines(), close=True, wait=True)
    assert (made.passed, made.rule) == (False, Rule.MEMORY)  # by SIGKILL, which was ours
    assert time.monotonic() - started < 8
    assert children() <= before  # none is left, not even a dead one
