"""A model in 8-bit integers: which operators change, what is left alone, and how the difference
to the original is told."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, numpy_helper

from benchmarks import graphs
from plaza_accel.examination.examine import SandboxExaminer
from plaza_accel.quantised.differences import Differences
from plaza_accel.quantised.quantizer import Quantizer, new_file
from plaza_accel.sandbox.confinement import sandbox_support
from plaza_core.errors import InvalidBundle
from plaza_core.tensors import DType, Signature, TensorSpec

confined = pytest.mark.skipif(
    not sandbox_support()["usable"], reason="this kernel cannot confine a process"
)
Y = TensorSpec("y", DType.FP32, ("batch", 3))
SIGNATURE = Signature((Y,), (Y,))


def weights(name, *shape, dtype=np.float32):
    values = np.random.default_rng(7).standard_normal(shape).astype(dtype)
    return numpy_helper.from_array(values, name)


def dense():
    """A product, a Gemm, and one too small to be worth it; no node has a name."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Gemm", ["b", "v", "c"], ["d"]),
        helper.make_node("MatMul", ["d", "small"], ["y"]),
    ]
    return graphs.graph(
        "dense",
        nodes,
        [TensorSpec("x", DType.FP32, ("batch", 64))],
        [TensorSpec("y", DType.FP32, ("batch", 2))],
        [weights("w", 64, 64), weights("v", 64, 32), weights("c", 32), weights("small", 32, 2)],
    )


def embedding(dtype):
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["rows"]),
        helper.make_node("Cast", ["rows"], ["y"], to=TensorProto.FLOAT),
    ]
    return graphs.graph(
        "embedding",
        nodes,
        [TensorSpec("x", DType.INT64, ("batch", 4))],
        [TensorSpec("y", DType.FP32, ("batch", 4, 64))],
        [weights("table", 100, 64, dtype=dtype)],
    )


@pytest.fixture
def quantised(bundle):
    """quantised(graph) -> (what was made, its model, both bundles, the manifest)."""

    def make(graph, **options):
        directory, manifest = bundle(graph)
        with new_file() as file:
            made = Quantizer(60).quantise(directory, file, **options)
            file.seek(0)
            content = file.read()
        after, _ = bundle(graph)
        if content:
            (after / "model.onnx").write_bytes(content)
        return made, onnx.load_from_string(content), directory, after, manifest

    return make


def operators(model):
    return [node.op_type for node in model.graph.node]


@confined
def test_products_with_large_matrices_change_and_small_ones_stay(quantised):
    made, model, before, after, manifest = quantised(dense())
    assert made.nodes == 2
    assert 0.9 < made.share < 1
    assert operators(model).count("MatMulInteger") == 2
    assert operators(model).count("MatMul") == 1
    compared = Quantizer(60).compare(before, after, manifest)
    assert compared.basis == "random tensors"
    assert compared.rows == 4
    assert 0 < compared.mean < 0.05
    assert compared.us_before > 0 < compared.us_after
    examined = SandboxExaminer().examine(after, manifest)
    assert examined.passed, examined.why


@confined
def test_scales_by_channel_are_more_exact(quantised):
    def mean(**options):
        *_, before, after, manifest = quantised(dense(), **options)
        return Quantizer(60).compare(before, after, manifest).mean

    assert mean(per_channel=True) < mean()


@confined
def test_tables_of_32_bit_floats_shrink_and_half_precision_stays(quantised):
    made, model, before, after, manifest = quantised(embedding(np.float32))
    assert made.share == 1
    assert len(model.SerializeToString()) < (before / "model.onnx").stat().st_size / 3
    assert Quantizer(60).compare(before, after, manifest).mean < 0.02
    made, *_ = quantised(embedding(np.float16))
    assert (made.nodes, made.bytes) == (0, 0)


@confined
def test_convolutions_change_only_when_that_is_asked_for(quantised):
    graph = graphs.conv(layers=3, width=32)  # the first is too small to be worth it
    made, *_ = quantised(graph)
    assert made.share < 0.1
    made, model, before, after, manifest = quantised(graph, convolutions=True)
    assert operators(model).count("ConvInteger") == 2
    assert Quantizer(60).compare(before, after, manifest).mean < 0.1


@confined
def test_what_the_gate_refuses_is_not_quantised(bundle):
    directory, _ = bundle(graphs.tiny())
    (directory / "model.onnx").write_bytes(b"PK\x03\x04 no model")
    with new_file() as file, pytest.raises(InvalidBundle):
        Quantizer(60).quantise(directory, file)


@confined
def test_a_model_that_answers_otherwise_is_seen(bundle):
    before, manifest = bundle(graphs.tiny(seed=0))
    after, _ = bundle(graphs.tiny(seed=1))
    assert Quantizer(60).compare(before, after, manifest).mean > 0.2


answers = hnp.arrays(np.float32, (4, 3), elements=st.floats(-1e6, 1e6, width=32))


@given(answers)
def test_equal_answers_do_not_differ(values):
    differences = Differences(SIGNATURE)
    differences.add({"y": values}, {"y": values})
    assert (differences.largest, differences.mean, differences.agreement) == (0, 0, 1)


@given(answers, st.floats(0.01, 0.5))
def test_a_difference_is_told_as_a_part_of_the_magnitude(values, part):
    values = np.abs(values) + 1
    differences = Differences(SIGNATURE)
    differences.add({"y": values * np.float32(1 + part)}, {"y": values})
    assert differences.mean == pytest.approx(part, rel=0.01)
    assert differences.largest == pytest.approx(part, rel=0.01)
    assert differences.agreement == 1


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_no_number_is_the_largest_difference_there_is(wrong):
    ours = np.ones((1, 3), np.float32)
    ours[0, 1] = wrong
    differences = Differences(SIGNATURE)
    differences.add({"y": ours}, {"y": np.ones((1, 3), np.float32)})
    assert differences.largest == differences.mean == 1000


def test_labels_are_counted_over_all_runs():
    differences = Differences(SIGNATURE)
    one, two = np.array([[0, 1, 0]], np.float32), np.array([[0, 0, 1]], np.float32)
    for ours in (one, one, one, two):
        differences.add({"y": ours}, {"y": one})
    assert differences.agreement == 0.75


def test_integers_are_equal_or_not():
    spec = TensorSpec("y", DType.INT64, ("batch",))
    differences = Differences(Signature((spec,), (spec,)))
    differences.add({"y": np.array([1, 2, 3, 4])}, {"y": np.array([1, 2, 3, 5])})
    assert differences.mean == 0.25
