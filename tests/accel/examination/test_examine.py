"""Hostile and broken models are refused with a reason, in bounded time, by a parent that lives."""

from __future__ import annotations

import itertools
import os
import re
import resource
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks import graphs
from plaza_accel.examination.certifier import Place, SandboxCertifier
from plaza_accel.examination.child import walk_file
from plaza_accel.examination.environment import environment_of
from plaza_accel.examination.examine import SandboxExaminer, _said
from plaza_accel.gate.rules import Refused, Rule
from plaza_accel.providers.cpu import provider
from plaza_accel.sandbox.confinement import sandbox_support
from plaza_core.clock import SystemClock
from plaza_core.ids import Digest
from tests.accel.hostile import corpus

pytestmark = pytest.mark.skipif(
    not sandbox_support()["usable"], reason="this kernel cannot confine a process"
)

EXAMINER = SandboxExaminer()
CERTIFIER = SandboxCertifier([Place("cpu")], SystemClock(), timeout_s=30, memory_mb=3072)
DIGEST = Digest("b" * 64)
WITHIN_S = 10
BUSY_WITHIN_S = 20
"""On a machine that others use too: what a child waits for a processor is not its doing."""


def test_the_corpus_is_as_large_as_promised_and_names_many_rules():
    made = [make() for make in corpus.CORPUS.values()]
    assert len(made) >= 25
    unbroken = set(Rule) - {case.rule for case in made}
    # What a provider refuses needs one that is not there; it has a test of its own below.
    assert unbroken == {Rule.PROVIDER}


def test_the_page_of_the_gate_names_every_rule_and_no_other():
    page = (Path(__file__).parents[3] / "docs" / "gate.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall("`([^`]*)`", row)} == set(Rule)


BY_READING = frozenset(itertools.takewhile(lambda rule: rule is not Rule.CHECKER, Rule))


def cases():
    """In full, a process each, for the longer proof. What the reader refuses is the test's below,
    but for some; of those that take seconds one is left."""
    for name, make in corpus.CORPUS.items():
        rule = make().rule
        longer = (rule in BY_READING or rule is Rule.TIME) and name not in corpus.SHORT
        yield pytest.param(name, marks=[pytest.mark.prove] if longer else [])


@pytest.mark.parametrize(
    "name", [name for name, make in corpus.CORPUS.items() if make().rule in BY_READING]
)
def test_the_reader_alone_refuses_what_breaks_a_rule_of_the_file(tmp_path, name):
    """Before onnx or ONNX Runtime sees a byte of it."""
    case = corpus.CORPUS[name]()
    with pytest.raises(Refused) as caught:
        walk_file(case.write(tmp_path / "bundle") / "model.onnx")
    refused_as(case, said(caught.value), tmp_path)


def said(refused):
    """As the examiner passes it on."""
    told = _said({"refused": str(refused), "rule": refused.rule, "node": refused.node})
    return EXAMINER._refused(told)


@pytest.mark.parametrize("name", list(cases()))
def test_a_hostile_model_gets_a_certificate_that_names_rule_and_reason(tmp_path, name):
    """As registration has it made; what is not passed is no version."""
    case = corpus.CORPUS[name]()
    directory = case.write(tmp_path / "bundle")
    started, used = time.monotonic(), _children_s()
    made = CERTIFIER.certify(directory, case.parsed, DIGEST, "cpu")
    refused_as(case, made, tmp_path)
    assert made.key.environment == environment_of(provider)
    assert not made.latency_us
    assert _children_s() - used < WITHIN_S
    assert time.monotonic() - started < BUSY_WITHIN_S


@pytest.mark.parametrize("name", [name for name in corpus.SHORT if name not in corpus.INPUTS])
def test_a_hostile_model_is_refused_alike_where_nothing_is_certified(tmp_path, name):
    case = corpus.CORPUS[name]()
    verdict = EXAMINER.examine(case.write(tmp_path / "bundle"), case.parsed)
    refused_as(case, verdict, tmp_path)


def refused_as(case, verdict, tmp_path):
    assert (verdict.passed, verdict.rule) == (False, case.rule), verdict
    assert case.words in verdict.reason
    if case.node:
        assert verdict.node == case.node
    for leak in (str(tmp_path), "/", "Traceback", "ONNXRuntimeError", str(os.getpid())):
        assert leak not in verdict.reason


def _children_s():
    """Processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("graph", [graphs.tiny(), graphs.conv()], ids=["tiny", "conv"])
def test_a_good_model_passes_with_its_placement(bundle, graph):
    verdict = EXAMINER.examine(*bundle(graph))
    assert verdict.passed, verdict.reason
    assert verdict.provider == "cpu"
    assert verdict.runtime.startswith("onnxruntime ")
    assert set(verdict.nodes) == {"CPUExecutionProvider"}
    assert sum(verdict.nodes.values()) >= 1
    assert verdict.run_us >= 1
    assert verdict.peak_bytes > 0


def test_a_link_in_place_of_the_model_is_not_followed(tmp_path, bundle):
    directory, manifest = bundle(graphs.tiny())
    (directory / "model.onnx").rename(tmp_path / "elsewhere.onnx")
    (directory / "model.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    verdict = EXAMINER.examine(directory, manifest)
    assert (verdict.passed, verdict.reason) == (
        False,
        "model.onnx cannot be read as a file of the bundle",
    )


def test_a_manifest_that_disagrees_is_refused_by_tensor(bundle):
    directory, _ = bundle(graphs.tiny())
    verdict = EXAMINER.examine(directory, graphs.identity().parsed())
    assert (verdict.passed, verdict.rule) == (False, Rule.SIGNATURE)
    assert verdict.reason.startswith(("x:", "y:"))


def test_a_provider_that_is_not_installed_is_named(bundle):
    verdict = SandboxExaminer(timeout_s=10, provider="nonesuch").examine(*bundle(graphs.tiny()))
    assert (verdict.passed, verdict.rule) == (False, Rule.PROVIDER)
    assert "nonesuch" in verdict.reason


def test_too_little_memory_for_the_interpreter_is_a_refusal_too(bundle):
    verdict = SandboxExaminer(timeout_s=10, memory_mb=16).examine(*bundle(graphs.tiny()))
    assert not verdict.passed
    assert verdict.reason


def test_what_a_model_takes_is_its_own_and_nothing_of_the_process_that_asks(bundle):
    """A child's `ru_maxrss` begins with the peak of the process it was forked from."""
    directory, manifest = bundle(graphs.tiny())
    large = bytearray(b"x" * (700 << 20))
    verdict = EXAMINER.examine(directory, manifest)
    assert len(large) > verdict.peak_bytes * 2


def test_the_line_of_a_refusal_has_rule_and_node(tmp_path):
    case = corpus.CORPUS["EPContext in a branch"]()
    verdict = EXAMINER.examine(case.write(tmp_path / "bundle"), case.parsed)
    assert verdict.why.endswith("is not accepted (rule op.native, node 'inner')")


SEED = graphs.tiny().model.SerializeToString()


@given(st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255)), max_size=4))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_model_with_flipped_bytes_gets_a_verdict(flips):
    """Whatever comes of it, the examiner lives, answers in time, and a refusal has its rule."""
    data = bytearray(SEED)
    for position, byte in flips:
        data[position] = byte
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "model.onnx").write_bytes(bytes(data))
        verdict = EXAMINER.examine(Path(name), graphs.tiny().parsed())
    assert verdict.passed == (verdict.rule is None)
    assert verdict.passed or verdict.rule in set(Rule)
