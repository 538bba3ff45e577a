"""Models that pass every examination and go wrong only at run time, on inputs that callers choose.

On zeros, which is what whoever opens a model tries it on, each of them is quick and right.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks import graphs
from plaza_core.tensors import DType, TensorSpec

LEAST = -(2**63)
"""What `overflow` cannot bear."""


def overflow() -> graphs.Graph:
    """y = x / -1. The quotient of the least integer is none, and x86 processors end who asks
    for it: SIGFPE (others answer with the least integer). ONNX Runtime 1.31 looks for a divisor of
    zero only."""
    return graphs.graph(
        "overflow",
        [helper.make_node("Div", ["x", "divisor"], ["y"])],
        [TensorSpec("x", DType.INT64, ("batch",))],
        [TensorSpec("y", DType.INT64, ("batch",))],
        [numpy_helper.from_array(np.array([-1]), "divisor")],
    )


def turns() -> graphs.Graph:
    """y = x, its sign changed as many `turns` as asked for."""
    body = _body(helper.make_node("Neg", ["v"], ["v2"]))
    return graphs.graph(
        "turns",
        [helper.make_node("Loop", ["turns", "", "x"], ["y"], body=body)],
        [TensorSpec("turns", DType.INT64, (1,)), TensorSpec("x", DType.FP32, (1,))],
        [TensorSpec("y", DType.FP32, (1,))],
    )


def vast() -> graphs.Graph:
    """As many zeros as asked for, in one tensor; then their sum."""
    return graphs.graph(
        "vast",
        [
            helper.make_node("ConstantOfShape", ["x"], ["zeros"]),
            helper.make_node("ReduceSum", ["zeros"], ["y"], keepdims=1),
        ],
        [TensorSpec("x", DType.INT64, (1,))],
        [TensorSpec("y", DType.FP32, (1,))],
    )


def hoard() -> graphs.Graph:
    """The sum of `size` zeros, made and added up `turns` times: memory that stays in use."""
    body = _body(
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["part"], keepdims=1),
        helper.make_node("Add", ["v", "part"], ["v2"]),
    )
    return graphs.graph(
        "hoard",
        [
            helper.make_node("Sub", ["size", "size"], ["none"]),
            helper.make_node("Cast", ["none"], ["zero"], to=TensorProto.FLOAT),
            helper.make_node("Loop", ["turns", "", "zero"], ["y"], body=body),
        ],
        [TensorSpec("turns", DType.INT64, (1,)), TensorSpec("size", DType.INT64, (1,))],
        [TensorSpec("y", DType.FP32, (1,))],
    )


def _body(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    """Of a loop whose condition stays as it is: `nodes` make `v2` of `v`."""
    value = helper.make_tensor_value_info
    return helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]), *nodes],
        "body",
        [
            value("i", TensorProto.INT64, []),
            value("c", TensorProto.BOOL, []),
            value("v", TensorProto.FLOAT, [1]),
        ],
        [value("c2", TensorProto.BOOL, []), value("v2", TensorProto.FLOAT, [1])],
    )
