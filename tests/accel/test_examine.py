"""Hostile and broken models are refused with a reason, in bounded time, by a parent that lives."""

from __future__ import annotations

import os

import pytest

from benchmarks import graphs
from plaza_accel.examine import SandboxExaminer
from plaza_accel.sandbox import sandbox_support
from tests.accel import hostile

pytestmark = pytest.mark.skipif(
    not sandbox_support()["usable"], reason="this kernel cannot confine a process"
)

EXAMINER = SandboxExaminer(timeout_s=10, memory_mb=1500)
IMPATIENT = SandboxExaminer(timeout_s=4, memory_mb=1500)


@pytest.mark.parametrize("name", hostile.CORPUS)
def test_a_hostile_model_is_refused_with_a_reason(tmp_path, name):
    data, manifest, words = hostile.CORPUS[name]()
    (tmp_path / "model.onnx").write_bytes(data)
    examiner = IMPATIENT if name == "endless loop" else EXAMINER
    verdict = examiner.examine(tmp_path, manifest)
    assert not verdict.passed
    assert words in verdict.reason
    for leak in (str(tmp_path), "/", "Traceback", "ONNXRuntimeError", str(os.getpid())):
        assert leak not in verdict.reason


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
    assert not verdict.passed
    assert verdict.reason.startswith(("x:", "y:"))


def test_a_provider_that_is_not_installed_is_named(bundle):
    verdict = SandboxExaminer(timeout_s=10, provider="nonesuch").examine(*bundle(graphs.tiny()))
    assert not verdict.passed
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
