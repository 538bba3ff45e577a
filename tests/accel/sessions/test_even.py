"""What a run costs is told by earlier ones only where nothing but its rows decides it."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks import graphs
from plaza_accel.contract.provider import select
from plaza_accel.sessions.even import OPS
from plaza_core.tensors import DType, TensorSpec

ROW = (1, 4)


def opened(graph, place):
    return select("cpu", {}).open(graph.write(place), graph.parsed())


@pytest.mark.parametrize("make", [graphs.tiny, graphs.conv])
def test_layers_of_fixed_width_are_even(make, tmp_path):
    assert opened(make(), tmp_path).even


def test_a_model_whose_requests_differ_in_more_than_rows_is_not(tmp_path):
    assert not opened(graphs.identity(rank=2), tmp_path).even


def test_a_model_for_texts_is_not(tmp_path):
    graph = graphs.graph(
        "texts",
        [helper.make_node("Identity", ["x"], ["y"])],
        [TensorSpec("x", DType.BYTES, ("batch", 1))],
        [TensorSpec("y", DType.BYTES, ("batch", 1))],
    )
    assert not opened(graph, tmp_path).even


def test_a_model_that_does_as_its_input_says_is_not(tmp_path):
    """As many rounds as a number in the request says: a small request may take for ever."""
    one = numpy_helper.from_array(np.array(True), "again")
    step = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Add", ["sum", "sum"], ["more"]),
        ],
        "step",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("more", TensorProto.FLOAT, None),
        ],
    )
    graph = graphs.graph(
        "rounds",
        [helper.make_node("Loop", ["n", "again", "x"], ["y"], body=step)],
        [TensorSpec("x", DType.FP32, ROW), TensorSpec("n", DType.INT64, ())],
        [TensorSpec("y", DType.FP32, ROW)],
        [one],
    )
    assert not opened(graph, tmp_path).even


def test_operators_that_are_trusted_exist_and_repeat_nothing():
    known = {schema.name for schema in onnx.defs.get_all_schemas()}
    fused = {name for name in OPS if name not in known}
    assert fused == {
        "BiasGelu", "FastGelu", "FusedConv", "FusedGemm", "FusedMatMul", "QGemm", "QuickGelu",
        "SkipLayerNormalization",
    }  # fmt: skip
    assert not OPS & {"Loop", "Scan", "If", "Range", "Expand", "Tile", "Resize", "ConstantOfShape"}
