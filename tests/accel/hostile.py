"""Model files that try to hurt whoever opens them, made here and never stored.

Each is what an ill-meaning or broken client could send. `CORPUS` maps a name to (bytes of
model.onnx, manifest, words that the refusal must contain).
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from benchmarks import graphs
from plaza_core.manifest import Manifest
from plaza_core.tensors import DType, TensorSpec

Case = tuple[bytes, Manifest, str]

X = TensorSpec("x", DType.FP32, ("batch", 4))
Y = TensorSpec("y", DType.FP32, ("batch", 4))


def plain(*nodes, weights=(), inputs=(X,), outputs=(Y,)) -> graphs.Graph:
    return graphs.graph("hostile", nodes, inputs, outputs, weights)


def case(graph: graphs.Graph, words: str) -> Case:
    return graph.model.SerializeToString(), graph.parsed(), words


def content(data: bytes, words: str) -> Case:
    return data, graphs.tiny().parsed(), words


def constant(name: str, *values: int) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def with_functions(bodies: dict[str, list[str]], call: str) -> graphs.Graph:
    """Local functions of one input: `bodies` maps a name to the functions it calls in turn."""
    graph = plain(helper.make_node(call, ["x"], ["y"], domain="local"))
    imports = [helper.make_opsetid("", graphs.OPSET), helper.make_opsetid("local", 1)]
    graph.model.opset_import.append(imports[1])
    for name, calls in bodies.items():
        values = ["a", *(f"t{i}" for i in range(1, len(calls))), "b"]
        nodes = [
            helper.make_node(inner, [before], [after], domain="local" if inner in bodies else "")
            for inner, (before, after) in zip(calls, itertools.pairwise(values), strict=True)
        ]
        graph.model.functions.append(
            helper.make_function("local", name, ["a"], ["b"], nodes, imports)
        )
    return graph


def doubling_functions() -> Case:
    """Two kilobytes that expand to 2^28 nodes."""
    bodies = {f"f{i}": [f"f{i + 1}"] * 2 for i in range(28)} | {"f28": ["Relu"]}
    return case(with_functions(bodies, "f0"), "deeper than 16")


def wide_functions() -> Case:
    """Only twelve levels, eight calls on each."""
    bodies = {f"f{i}": [f"f{i + 1}"] * 8 for i in range(12)} | {"f12": ["Relu"]}
    return case(with_functions(bodies, "f0"), "functions are expanded")


def function_chain() -> Case:
    """1,500 functions, each calling the next: overflows the stack of a recursive expander."""
    bodies = {f"f{i}": [f"f{i + 1}"] for i in range(1500)} | {"f1500": ["Relu"]}
    return case(with_functions(bodies, "f0"), "deeper than 16")


def function_cycle() -> Case:
    return case(with_functions({"f": ["g"], "g": ["f"]}, "f"), "deeper than 16")


def standard_function() -> Case:
    graph = with_functions({"f": ["Relu"]}, "f")
    graph.model.functions[0].domain = ""
    return case(graph, "standard domain")


def nested_graphs() -> Case:
    """If within If, twenty-five deep."""
    yes = numpy_helper.from_array(np.array(True), "yes")
    nodes = [helper.make_node("Identity", ["x"], ["out25"])]
    for level in range(25, 0, -1):
        result = helper.make_tensor_value_info(f"out{level}", TensorProto.FLOAT, None)
        branch = helper.make_graph(nodes, "branch", [], [result])
        nodes = [helper.make_node("If", ["yes"], [f"out{level - 1}"], then_branch=branch)]
    nodes.append(helper.make_node("Identity", ["out0"], ["y"]))
    return case(plain(*nodes, weights=[yes]), "nested deeper than 16")


def endless_loop() -> Case:
    """2^62 turns of nothing."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Identity", ["state"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    turns = numpy_helper.from_array(np.array(2**62, np.int64), "turns")
    yes = numpy_helper.from_array(np.array(True), "yes")
    loop = helper.make_node("Loop", ["turns", "yes", "x"], ["y"], body=body)
    return case(plain(loop, weights=[turns, yes]), "not finished after")


def _reduced(node, *weights) -> Case:
    """A node that makes something vast, reduced to one number so that the signature is honest."""
    x, y = TensorSpec("x", DType.FP32, (1,)), TensorSpec("y", DType.FP32, (1,))
    add = helper.make_node("Add", ["x", "least"], ["y"])
    least = helper.make_node("ReduceMin", ["vast"], ["least"], keepdims=0)
    return case(plain(node, least, add, weights=weights, inputs=[x], outputs=[y]), "memory")


def vast_constant() -> Case:
    """A handful of bytes, 256 GB."""
    node = helper.make_node("ConstantOfShape", ["shape"], ["vast"])
    return _reduced(node, constant("shape", 1 << 36))


def vast_expand() -> Case:
    node = helper.make_node("Expand", ["x", "shape"], ["vast"])
    return _reduced(node, constant("shape", 1 << 32))


def vast_range() -> Case:
    x, y = TensorSpec("x", DType.INT64, ()), TensorSpec("y", DType.INT64, ())
    ends = [
        numpy_helper.from_array(np.array(v, np.int64), n)
        for n, v in (("end", 1 << 33), ("step", 1))
    ]
    nodes = [
        helper.make_node("Range", ["x", "end", "step"], ["vast"]),
        helper.make_node("ReduceMin", ["vast"], ["y"], keepdims=0),
    ]
    return case(plain(*nodes, weights=ends, inputs=[x], outputs=[y]), "memory")


def integer_overflow() -> Case:
    """-2^31 / -1, worked out from x at run time: the processor stops the whole process."""
    least, one = (
        numpy_helper.from_array(np.array([v], np.int32), n)
        for v, n in ((-(2**31), "least"), (1, "one"))
    )
    nodes = [
        helper.make_node("Add", ["x", "least"], ["a"]),
        helper.make_node("Sub", ["x", "one"], ["b"]),
        helper.make_node("Div", ["a", "b"], ["y"]),
    ]
    x, y = (TensorSpec(n, DType.INT32, ("batch",)) for n in ("x", "y"))
    graph = plain(*nodes, weights=[least, one], inputs=[x], outputs=[y])
    return case(graph, "arithmetic fault")


def integer_overflow_at_load() -> Case:
    """The same division on constants: it stops the process while the graph is optimised."""
    least, one = (
        numpy_helper.from_array(np.array([v], np.int32), n)
        for v, n in ((-(2**31), "least"), (-1, "one"))
    )
    nodes = [
        helper.make_node("Div", ["least", "one"], ["q"]),
        helper.make_node("Add", ["x", "q"], ["y"]),
    ]
    x, y = (TensorSpec(n, DType.INT32, ("batch",)) for n in ("x", "y"))
    graph = plain(*nodes, weights=[least, one], inputs=[x], outputs=[y])
    return case(graph, "arithmetic fault")


def depth_to_space() -> Case:
    x = TensorSpec("x", DType.FP32, (1, 4, 2, 2))
    y = TensorSpec("y", DType.FP32, (1, 4, 2, 2))
    node = helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=0)
    return case(plain(node, inputs=[x], outputs=[y]), "checker")


def external(location: str) -> Case:
    graph = graphs.tiny()
    tensor = graph.model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return case(graph, "in no plain file of the bundle")


def hidden_external() -> Case:
    """The reference sits in an attribute of a node inside a branch, not in an initializer."""
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../secret"
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=tensor)],
        "branch",
        [],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [4])],
    )
    yes = numpy_helper.from_array(np.array(True), "yes")
    node = helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)
    return case(plain(node, weights=[yes]), "outside the model file")


def operator(name: str, domain: str, words: str, **attributes) -> Case:
    graph = plain(helper.make_node(name, ["x"], ["y"], domain=domain, **attributes))
    graph.model.opset_import.append(helper.make_opsetid(domain, 1))
    return case(graph, words)


def opset(version: int) -> Case:
    graph = graphs.tiny()
    graph.model.opset_import[0].version = version
    return case(graph, f"operator set {version}")


def wrong_bytes() -> Case:
    graph = graphs.tiny()
    graph.model.graph.initializer[0].dims[0] = 1 << 20
    return case(graph, "bytes than its shape")


def impossible_size() -> Case:
    graph = graphs.tiny()
    graph.model.graph.initializer[0].dims[:] = [1 << 31, 1 << 31, 4]
    return case(graph, "impossible size")


def many_nodes() -> Case:
    names = ["x", *(f"v{i}" for i in range(60_000)), "y"]
    nodes = [helper.make_node("Relu", [a], [b]) for a, b in itertools.pairwise(names)]
    return case(plain(*nodes), "more than 50000 nodes")


def training() -> Case:
    graph = graphs.tiny()
    graph.model.training_info.add()
    return case(graph, "training information")


def joined_rows() -> Case:
    """Drops rows that are equal: right for one row, not for two, and no shape shows it."""
    return case(plain(helper.make_node("Unique", ["x"], ["y"], axis=0)), "2 row(s)")


def unknown_operator() -> Case:
    return case(plain(helper.make_node("NoSuchOperator", ["x"], ["y"])), "checker")


class _Evil:
    def __reduce__(self):
        return print, ("executed",)


TRUNCATED = graphs.conv().model.SerializeToString()[:-1000]

CORPUS: dict[str, Callable[[], Case]] = {
    "doubling functions": doubling_functions,
    "wide functions": wide_functions,
    "function chain": function_chain,
    "function cycle": function_cycle,
    "function in a standard domain": standard_function,
    "nested graphs": nested_graphs,
    "endless loop": endless_loop,
    "vast constant": vast_constant,
    "vast expand": vast_expand,
    "vast range": vast_range,
    "integer overflow": integer_overflow,
    "integer overflow at load": integer_overflow_at_load,
    "DepthToSpace of size 0": depth_to_space,
    "external data above": lambda: external("../../../../etc/passwd"),
    "external data absolute": lambda: external("/etc/passwd"),
    "external data beside": lambda: external("weights.data"),
    "external data in an attribute": hidden_external,
    "custom domain": lambda: operator("Anything", "com.example.evil", "com.example.evil"),
    "markup as a domain": lambda: operator("Anything", "<script>\n", "?script??"),
    "EPContext": lambda: operator(
        "EPContext", "com.microsoft", "EPContext", ep_cache_context="../../etc/passwd", embed_mode=0
    ),
    "operator left out": lambda: operator("MatMulNBits", "com.microsoft", "'MatMulNBits'"),
    "unknown operator": unknown_operator,
    "future operators": lambda: opset(99),
    "ancient operators": lambda: opset(1),
    "wrong bytes": wrong_bytes,
    "impossible size": impossible_size,
    "many nodes": many_nodes,
    "training information": training,
    "joined rows": joined_rows,
    "empty": lambda: content(b"", "content"),
    "text": lambda: content(b"not a model at all\n" * 50, "not an ONNX model"),
    "zeros": lambda: content(bytes(4096), "not an ONNX model"),
    "truncated": lambda: content(TRUNCATED, "not an ONNX model"),
    "pickle": lambda: content(pickle.dumps(_Evil()), "not an ONNX model"),
    "zip": lambda: content(b"PK\x03\x04" + bytes(100), "not an ONNX model"),
}
