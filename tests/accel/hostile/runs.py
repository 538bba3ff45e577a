"""Files of a harmless shape that hurt whoever checks, opens or runs them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from benchmarks import graphs
from plaza_accel.gate.rules import Rule
from plaza_core.tensors import DType, TensorSpec
from tests.accel.hostile.making import (
    Case,
    case,
    constant,
    content,
    loop,
    node,
    plain,
    scalar,
    value,
)

ONE = TensorSpec("x", DType.FP32, (1,)), TensorSpec("y", DType.FP32, (1,))


# ── for ever ─────────────────────────────────────────────────────────────────────────────────────
def endless_loop() -> Case:
    """2^62 turns of nothing."""
    graph = loop([node("Identity", ["state"], ["next"])], 2**62)
    return case(graph, Rule.TIME, "while it was opened and run")


def loops_in_loops() -> Case:
    """A million turns of a million turns."""
    inner = loop([node("Identity", ["state"], ["next"])], 10**6).model.graph.node[0].attribute[0].g
    for part in (*inner.input, *inner.output):
        part.name = f"inner_{part.name}"
    for step in inner.node:
        step.name, step.input[0], step.output[0] = (
            f"inner_{word}" for word in (step.name, step.input[0], step.output[0])
        )
    again = node("Loop", ["turns", "yes", "state"], ["next"], "again", body=inner)
    return case(loop([again], 10**6), Rule.TIME, "while it was opened and run")


def long_scan() -> Case:
    """Sixteen million steps, as many as a tensor of 64 MB has rows."""
    body = helper.make_graph(
        [node("Add", ["state", "row"], ["next"])],
        "body",
        [value("state", shape=[1]), value("row", shape=[1])],
        [value("next", shape=[1])],
    )
    nodes = [
        node("Expand", ["x", "shape"], ["rows"]),
        node("Scan", ["x", "rows"], ["y"], num_scan_inputs=1, body=body),
    ]
    graph = plain(*nodes, weights=[constant("shape", 1 << 24, 1)], inputs=ONE[:1], outputs=ONE[1:])
    return case(graph, Rule.TIME, "while it was opened and run")


def slow_kernel() -> Case:
    """Products of large matrices, seconds each: no place within one to stop at."""
    nodes = [
        node("Expand", ["x", "shape"], ["big"]),
        node("MatMul", ["big", "big"], ["square"]),
        node("MatMul", ["square", "big"], ["cube"]),
        node("MatMul", ["cube", "big"], ["product"]),
        node("ReduceMax", ["product"], ["top"], keepdims=0),
        node("Add", ["x", "top"], ["y"]),
    ]
    weights = [constant("shape", 6000, 6000)]
    graph = plain(*nodes, weights=weights, inputs=ONE[:1], outputs=ONE[1:])
    return case(graph, Rule.TIME, "while it was opened and run")


# ── memory ───────────────────────────────────────────────────────────────────────────────────────
def vast(make, *weights, rule=Rule.MEMORY, words="memory") -> Case:
    """A node that makes something vast, reduced to one number so that the signature is honest."""
    nodes = [
        make,
        node("ReduceMin", ["vast"], ["least"], keepdims=0),
        node("Add", ["x", "least"], ["y"]),
    ]
    graph = plain(*nodes, weights=weights, inputs=ONE[:1], outputs=ONE[1:])
    return case(graph, rule, words)


def vast_range() -> Case:
    x, y = TensorSpec("x", DType.INT64, ()), TensorSpec("y", DType.INT64, ())
    nodes = [
        node("Range", ["x", "end", "step"], ["vast"]),
        node("ReduceMin", ["vast"], ["y"], keepdims=0),
    ]
    weights = [scalar("end", 1 << 33), scalar("step", 1)]
    return case(plain(*nodes, weights=weights, inputs=[x], outputs=[y]), Rule.MEMORY, "memory")


def vast_resize() -> Case:
    x = TensorSpec("x", DType.FP32, (1, 1, 1, 1))
    y = TensorSpec("y", DType.FP32, (1,))
    nodes = [
        node("Resize", ["x", "", "", "sizes"], ["vast"], mode="nearest"),
        node("ReduceMin", ["vast", "axes"], ["y"], keepdims=0),
    ]
    weights = [constant("sizes", 1, 1, 1 << 17, 1 << 17), constant("axes", 1, 2, 3)]
    return case(plain(*nodes, weights=weights, inputs=[x], outputs=[y]), Rule.MEMORY, "memory")


def vast_one_hot() -> Case:
    x, y = TensorSpec("x", DType.INT64, (1,)), TensorSpec("y", DType.INT64, ())
    nodes = [
        node("OneHot", ["x", "depth", "values"], ["vast"]),
        node("ReduceMin", ["vast"], ["y"], keepdims=0),
    ]
    weights = [scalar("depth", 1 << 33), constant("values", 0, 1)]
    return case(plain(*nodes, weights=weights, inputs=[x], outputs=[y]), Rule.MEMORY, "memory")


def doubling_state() -> Case:
    """A loop that joins its state to itself: 16 bytes, 32, 64 …"""
    graph = loop([node("Concat", ["state", "state"], ["next"], axis=0)], 60)
    return case(graph, Rule.MEMORY, "memory")


def doubling_text() -> Case:
    """The same with text, whose sizes no shape shows."""
    x, y = TensorSpec("x", DType.BYTES, (1,)), TensorSpec("y", DType.BYTES, (1,))
    body = helper.make_graph(
        [node("Identity", ["go"], ["go_on"]), node("StringConcat", ["state", "state"], ["next"])],
        "body",
        [
            value("turn", TensorProto.INT64, []),
            value("go", TensorProto.BOOL, []),
            value("state", TensorProto.STRING, [1]),
        ],
        [value("go_on", TensorProto.BOOL, []), value("next", TensorProto.STRING, [1])],
    )
    nodes = [
        node("StringConcat", ["x", "seed"], ["begin"]),
        node("Loop", ["turns", "yes", "begin"], ["y"], body=body),
    ]
    seed = helper.make_tensor("seed", TensorProto.STRING, [1], [b"0123456789abcdef"])
    weights = [seed, scalar("turns", 60), scalar("yes", True, bool)]
    return case(plain(*nodes, weights=weights, inputs=[x], outputs=[y]), Rule.MEMORY, "memory")


def smallest_constant() -> Case:
    """74 bytes that were a gigabyte at load; it has no input and so fits no manifest either."""
    shape = TensorProto(data_type=TensorProto.INT64, dims=[1], int64_data=[1 << 28], name="s")
    output = value("y", TensorProto.FLOAT, ["n"])
    made = helper.make_node("ConstantOfShape", ["s"], ["y"])
    body = helper.make_graph([made], "g", [], [output], [shape])
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 9)], ir_version=4)
    model.producer_name = ""
    return content(model.SerializeToString(), Rule.SIGNATURE, "no such input")


# ── crashes ──────────────────────────────────────────────────────────────────────────────────────
def integer_overflow() -> Case:
    """-2^31 / -1, worked out from x at run time: the processor stops the whole process."""
    nodes = [
        node("Add", ["x", "least"], ["a"]),
        node("Sub", ["x", "one"], ["b"]),
        node("Div", ["a", "b"], ["y"]),
    ]
    return division(nodes, least=-(2**31), one=1)


def integer_overflow_at_load() -> Case:
    """The same division on constants: it stops the process while the graph is optimised."""
    nodes = [node("Div", ["least", "one"], ["q"]), node("Add", ["x", "q"], ["y"])]
    return division(nodes, least=-(2**31), one=-1)


def division(nodes, **numbers: int) -> Case:
    weights = [numpy_helper.from_array(np.array([v], np.int32), n) for n, v in numbers.items()]
    x, y = (TensorSpec(n, DType.INT32, ("batch",)) for n in ("x", "y"))
    graph = plain(*nodes, weights=weights, inputs=[x], outputs=[y])
    return case(graph, Rule.CRASH, "arithmetic fault")


def depth_to_space() -> Case:
    """A hundred bytes; a block of size 0 divides by it when a session is made."""
    x = TensorSpec("x", DType.FP32, (1, 4, 2, 2))
    y = TensorSpec("y", DType.FP32, (1, 4, 2, 2))
    made = node("DepthToSpace", ["x"], ["y"], "d", blocksize=0)
    return case(plain(made, inputs=[x], outputs=[y]), Rule.CHECKER, "checker", "d")


# ── nonsense ─────────────────────────────────────────────────────────────────────────────────────
def checked(*nodes, weights=(), name=None) -> Case:
    return case(plain(*nodes, weights=weights), Rule.CHECKER, "checker", name)


def weight_twice() -> Case:
    """Two weights of one name: which one counts is up to the reader."""
    weights = [numpy_helper.from_array(np.full(4, n, np.float32), "w") for n in (1, 2)]
    graph = plain(node("Add", ["x", "w"], ["y"]), weights=weights)
    return case(graph, Rule.CHECKER, "checker")


def cycle() -> Case:
    nodes = [node("Add", ["x", "b"], ["a"], "first"), node("Relu", ["a"], ["b"], "second")]
    return checked(*nodes, node("Relu", ["b"], ["y"]), name="first")


def at_run_time(*numbers: int) -> tuple[list, TensorProto]:
    """Nodes that give `numbers` as "late", in a way that no optimiser can work out beforehand."""
    nodes = [
        node("Cast", ["x"], ["whole"], to=TensorProto.INT64),
        node("ReduceSum", ["whole"], ["zero"], keepdims=0),
        node("Add", ["numbers", "zero"], ["late"]),
    ]
    return nodes, constant("numbers", *numbers)


def far_gather() -> Case:
    """Reads four thousand million rows past the end."""
    nodes, numbers = at_run_time(1 << 32)
    table = numpy_helper.from_array(np.zeros((2, 4), np.float32), "table")
    last = [node("Gather", ["table", "late"], ["row"], "far"), node("Add", ["x", "row"], ["y"])]
    graph = plain(*nodes, *last, weights=[table, numbers])
    return case(graph, Rule.RUNTIME, "failed", "far")


def reshaped(operator: str, rule: Rule, words: str, *numbers: int, name=None) -> Case:
    nodes, late = at_run_time(*numbers)
    graph = plain(*nodes, node(operator, ["x", "late"], ["y"], "shape"), weights=[late])
    return case(graph, rule, words, name)


def joined_rows() -> Case:
    """Drops rows that are equal: right for one row, not for two, and no shape shows it."""
    graph = plain(node("Unique", ["x"], ["y"], axis=0))
    return case(graph, Rule.SIGNATURE, "2 row(s)")


def vocabulary(text: str, words: str) -> Case:
    """A text model whose tokens are fine and whose file of labels is not."""
    inputs = [TensorSpec("indices", DType.INT64, ("batch", 128)),
              TensorSpec("weights", DType.FP32, ("batch", 128))]  # fmt: skip
    graph = plain(
        node("Cast", ["indices"], ["numbers"], to=TensorProto.FLOAT),
        node("Mul", ["numbers", "weights"], ["rows"]),
        inputs=inputs,
        outputs=[TensorSpec("rows", DType.FP32, ("batch", 128))],
    )
    graph.manifest.update(family="text.classify", options={"buckets": 512, "width": 128})
    put = lambda directory: (directory / "labels.txt").write_text(text)  # noqa: E731
    return case(graph, Rule.FAMILY, words, None, put)


RUNS: dict[str, Callable[[], Case]] = {
    "endless loop": endless_loop,
    "loops in loops": loops_in_loops,
    "long scan": long_scan,
    "slow kernel": slow_kernel,
    "vast constant": lambda: vast(
        node("ConstantOfShape", ["shape"], ["vast"]), constant("shape", 1 << 36)
    ),
    "gigabyte constant": lambda: vast(
        node("ConstantOfShape", ["shape"], ["vast"]), constant("shape", 1 << 28)
    ),
    "half a gigabyte constant": lambda: vast(
        node("ConstantOfShape", ["shape"], ["vast"]), constant("shape", 1 << 27)
    ),
    "smallest constant": smallest_constant,
    "vast expand": lambda: vast(
        node("Expand", ["x", "shape"], ["vast"]), constant("shape", 1 << 32)
    ),
    "vast tile": lambda: vast(
        node("Tile", ["x", "times"], ["vast"]),
        constant("times", 1 << 34),
        rule=Rule.RUNTIME,
        words="failed",
    ),
    "vast pad": lambda: vast(node("Pad", ["x", "pads"], ["vast"]), constant("pads", 0, 1 << 40)),
    "vast random": lambda: vast(node("RandomNormal", [], ["vast"], shape=[1 << 20, 1 << 20])),
    "vast range": vast_range,
    "vast resize": vast_resize,
    "vast one-hot": vast_one_hot,
    "doubling state": doubling_state,
    "doubling text": doubling_text,
    "integer overflow": integer_overflow,
    "integer overflow at load": integer_overflow_at_load,
    "DepthToSpace of size 0": depth_to_space,
    "unknown operator": lambda: checked(node("NoSuchOperator", ["x"], ["y"], "none"), name="none"),
    "cycle": cycle,
    "value from nowhere": lambda: checked(
        node("Add", ["x", "nowhere"], ["y"], "lost"), name="lost"
    ),
    "value made twice": lambda: checked(
        node("Relu", ["x"], ["y"], "one"), node("Neg", ["x"], ["y"], "two")
    ),
    "weight twice": weight_twice,
    "far gather": far_gather,
    # A shape whose product is 2^64, which is 0 to those who do not look.
    "wrapping reshape": lambda: reshaped(
        "Reshape", Rule.RUNTIME, "failed", 1 << 32, 1 << 32, name="shape"
    ),
    "joined rows": joined_rows,
    # Declares two dimensions and gives three.
    "other rank": lambda: reshaped("Unsqueeze", Rule.SIGNATURE, "dimensions", 0),
    "other manifest": lambda: content(
        graphs.identity(DType.INT8).model.SerializeToString(), Rule.SIGNATURE, "the graph has"
    ),
    "hostile vocabulary": lambda: vocabulary("same\n" * 200_000, "labels must be unique"),
    "short vocabulary": lambda: vocabulary("one\n", "has 1 labels"),
}
