"""Operators that are harmless as such, with numbers that no kernel of theirs was written for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from benchmarks import graphs
from plaza_accel.gate.rules import Rule
from plaza_core.tensors import DType, TensorSpec
from tests.accel.hostile.making import Case, case, constant, node, plain, scalar, value

ONE = TensorSpec("x", DType.FP32, (1,)), TensorSpec("y", DType.FP32, (1,))
TEXTS = TensorSpec("x", DType.BYTES, ("batch", 1)), TensorSpec("y", DType.BYTES, ("batch", 1))


def number(value, name: str, kind=np.float32) -> TensorProto:
    return numpy_helper.from_array(np.array(value, kind), name)


def failing(*nodes, weights=(), rule=Rule.RUNTIME, words="", name=None, domain=None, sides=None):
    """A model of x (batch, 4), or of `sides`, that must not open or not run."""
    x, y = sides or (
        TensorSpec("x", DType.FP32, ("batch", 4)),
        TensorSpec("y", DType.FP32, ("batch", 4)),
    )
    graph = plain(*nodes, weights=weights, inputs=[x], outputs=[y])
    if domain:
        graph.model.opset_import.append(helper.make_opsetid(*domain))
    return case(graph, rule, words, name)


ML = ("ai.onnx.ml", 3)
MICROSOFT = ("com.microsoft", 1)


def heavy(shape, *nodes, rule: Rule, words: str, weights=(), name=None) -> Case:
    """`nodes` make "out" of "big", which has `shape`; one number of it is the answer."""
    all_nodes = [
        node("Expand", ["x", "shape"], ["big"]),
        *nodes,
        node("ReduceMax", ["out"], ["top"], keepdims=0),
        node("Add", ["x", "top"], ["y"]),
    ]
    graph = plain(
        *all_nodes,
        weights=[constant("shape", *shape), *weights],
        inputs=ONE[:1],
        outputs=ONE[1:],
    )
    return case(graph, rule, words, name)


# ── slow ─────────────────────────────────────────────────────────────────────────────────────────
def boxes() -> Case:
    """Two million boxes, none of which suppresses another."""
    nodes = [
        node("Expand", ["x", "four"], ["corners"]),
        node("Reshape", ["big", "flat"], ["scores"]),
        node("NonMaxSuppression", ["corners", "scores", "most", "all"], ["chosen"]),
        node("Cast", ["chosen"], ["out"], to=TensorProto.FLOAT),
    ]
    weights = [
        constant("four", 1, 2_000_000, 4),
        constant("flat", 1, 1, 2_000_000),
        scalar("most", 1 << 40),
        scalar("all", 1, np.float32),
    ]
    return heavy((2_000_000,), *nodes, weights=weights, rule=Rule.TIME, words="opened and run")


def folded() -> Case:
    """Thirty products of constants: the optimiser itself works them out."""
    nodes = [node("Expand", ["zero", "shape"], ["a0"])]
    nodes += [node("MatMul", [f"a{i}", "a0"], [f"a{i + 1}"]) for i in range(30)]
    nodes += [node("ReduceMax", ["a30"], ["top"], keepdims=0), node("Add", ["x", "top"], ["y"])]
    weights = [scalar("zero", 0, np.float32), constant("shape", 3000, 3000)]
    return case(plain(*nodes, weights=weights), Rule.TIME, "opened and run")


def growing_sequence() -> Case:
    """A list that no shape shows: 2^40 times the same tensor."""
    kind = helper.make_tensor_sequence_value_info
    body = helper.make_graph(
        [node("Identity", ["go"], ["go_on"]), node("SequenceInsert", ["list", "x"], ["longer"])],
        "body",
        [
            value("turn", TensorProto.INT64, []),
            value("go", TensorProto.BOOL, []),
            kind("list", TensorProto.FLOAT, None),
        ],
        [value("go_on", TensorProto.BOOL, []), kind("longer", TensorProto.FLOAT, None)],
    )
    nodes = [
        node("SequenceEmpty", [], ["empty"]),
        node("Loop", ["turns", "yes", "empty"], ["full"], body=body),
        node("SequenceLength", ["full"], ["length"]),
        node("Cast", ["length"], ["number"], to=TensorProto.FLOAT),
        node("Add", ["x", "number"], ["y"]),
    ]
    weights = [scalar("turns", 1 << 40), scalar("yes", True, bool)]
    return case(plain(*nodes, weights=weights), Rule.TIME, "opened and run")


# ── numbers of a kernel ──────────────────────────────────────────────────────────────────────────
def tree(*, mode="BRANCH_LEQ", targets=4) -> Case:
    """A tree whose only node is its own child."""
    made = node(
        *("TreeEnsembleRegressor", ["x"], ["y"]),
        domain="ai.onnx.ml",
        n_targets=targets,
        nodes_treeids=[0],
        nodes_nodeids=[0],
        nodes_featureids=[0],
        nodes_modes=[mode],
        nodes_values=[0.0],
        nodes_truenodeids=[0],
        nodes_falsenodeids=[0],
        target_treeids=[0],
        target_nodeids=[0],
        target_ids=[0],
        target_weights=[1.0],
    )
    return failing(made, words="cannot open", domain=ML)


def vectors() -> Case:
    """Claims 2^31 support vectors and has one number."""
    made = node(
        *("SVMRegressor", ["x"], ["y"]),
        domain="ai.onnx.ml",
        n_supports=2**31 - 1,
        coefficients=[1.0],
        support_vectors=[1.0],
        rho=[1.0],
        kernel_type="LINEAR",
    )
    return failing(made, words="cannot open", domain=ML)


def grams() -> Case:
    made = node(
        *("TfIdfVectorizer", ["x"], ["y"]),
        mode="TF",
        min_gram_length=1,
        max_gram_length=2**31 - 1,
        max_skip_count=2**31 - 1,
        ngram_counts=[0],
        ngram_indexes=[0],
        pool_int64s=[1],
    )
    sides = TensorSpec("x", DType.INT64, ("batch", 4)), TensorSpec("y", DType.FP32, ("batch", 1))
    return failing(made, words="cannot open", sides=sides)


def pattern(text: str) -> Case:
    nodes = [
        node("RegexFullMatch", ["x"], ["found"], pattern=text),
        node("Where", ["found", "x", "x"], ["y"]),
    ]
    return failing(*nodes, words="cannot open", sides=TEXTS)


def far_angle() -> Case:
    """Rotates by the angle of a place that its tables do not have."""
    nodes = [
        node("Unsqueeze", ["x", "one"], ["u"]),
        node("RotaryEmbedding", ["u", "at", "cos", "sin"], ["a"], "far", domain=MICROSOFT[0]),
        node("Squeeze", ["a", "one"], ["y"]),
    ]
    tables = [number(np.zeros((8, 2)), name) for name in ("cos", "sin")]
    weights = [constant("one", 1), constant("at", 1 << 40), *tables]
    return failing(*nodes, weights=weights, words="failed", name="far", domain=MICROSOFT)


def scattered(indices, shape) -> Case:
    weights = [number(indices, "at", np.int64), number(np.zeros(shape), "new")]
    return failing(
        node("ScatterND", ["x", "at", "new"], ["y"], "far"),
        weights=weights,
        words="failed",
        name="far",
    )


# ── the file ─────────────────────────────────────────────────────────────────────────────────────
def ir(version: int) -> Case:
    graph = graphs.tiny()
    graph.model.ir_version = version
    return case(graph, Rule.CHECKER, "checker")


def opsets(*more) -> Case:
    graph = graphs.tiny()
    graph.model.opset_import.extend(helper.make_opsetid(*each) for each in more)
    return case(graph, Rule.OPSET, "imported twice, or more than")


def weights_of_holes() -> Case:
    """Sixteen gigabytes that are nowhere."""
    graph = graphs.tiny()
    tensor = graph.model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.dims[:] = [1 << 30, 4]
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "weights.data"

    def put(directory):
        with (directory / "weights.data").open("wb") as file:
            file.truncate(1 << 34)

    return case(graph, Rule.CHECKER, "checker", None, put)


def checked(*nodes, weights=(), name=None) -> Case:
    return failing(*nodes, weights=weights, rule=Rule.CHECKER, words="checker", name=name)


KERNELS: dict[str, Callable[[], Case]] = {
    "two million boxes": boxes,
    "folded products": folded,
    "growing sequence": growing_sequence,
    "vast pooling": lambda: heavy(
        (1, 1, 2000, 2000),
        node("AveragePool", ["big"], ["out"], kernel_shape=[999, 999], pads=[499] * 4),
        rule=Rule.TIME,
        words="opened and run",
    ),
    "vast sort": lambda: heavy(
        (20_000_000,),
        node("TopK", ["big", "all"], ["out", "places"], axis=0),
        weights=[constant("all", 20_000_000)],
        rule=Rule.MEMORY,
        words="memory",
    ),
    "vast split": lambda: heavy(
        (30_000_000,),
        node("SplitToSequence", ["big", "one"], ["parts"]),
        node("SequenceAt", ["parts", "none"], ["out"]),
        weights=[scalar("one", 1), scalar("none", 0)],
        rule=Rule.MEMORY,
        words="memory",
    ),
    "vast padding": lambda: heavy(
        (1, 1, 4, 4),
        node("Conv", ["big", "big"], ["out"], "pads", pads=[1 << 30] * 4),
        rule=Rule.RUNTIME,
        words="failed",
        name="pads",
    ),
    "vast memory of a cell": lambda: heavy(
        (1, 1, 1),
        node("LSTM", ["big", "w", "w"], ["all", "out"], "long", hidden_size=2**31 - 1),
        weights=[number(np.zeros((1, 4, 1)), "w")],
        rule=Rule.RUNTIME,
        words="failed",
        name="long",
    ),
    "tree that is its own child": tree,
    "claimed vectors": vectors,
    "claimed words": grams,
    "counted pattern": lambda: pattern("((a{0,100}){0,100}){0,100}"),
    "far angle": far_angle,
    "far scatter": lambda: scattered([[1 << 40]], (1, 4)),
    "empty optional": lambda: failing(
        node("Optional", [], ["o"], type=helper.make_tensor_type_proto(TensorProto.FLOAT, None)),
        node("OptionalGetElement", ["o"], ["y"], "nothing"),
        words="failed",
        name="nothing",
    ),
    "many outputs of a node": lambda: failing(
        node("Split", ["x"], [f"o{i}" for i in range(50_000)], "split", num_outputs=50_000),
        node("Identity", ["o0"], ["y"]),
        words="failed",
        name="split",
    ),
    "sequence as an output": lambda: checked(
        node("SequenceConstruct", ["x", "x"], ["y"], "list"), name="list"
    ),
    "step of the least number": lambda: checked(
        node("Slice", ["x", "none", "four", "one", "step"], ["y"], "slice"),
        weights=[
            constant("none", 0),
            constant("four", 4),
            constant("one", 1),
            constant("step", -(1 << 63)),
        ],
        name="slice",
    ),
    "scale that is no number": lambda: checked(
        node("Resize", ["x", "", "scales"], ["y"], "resize", mode="linear"),
        weights=[number([1, np.nan], "scales")],
        name="resize",
    ),
    "version 0 of the format": lambda: ir(0),
    "version 2^62 of the format": lambda: ir(1 << 62),
    "operators twice": lambda: opsets(("", 7)),
    "operators of many domains": lambda: opsets(*((f"d{i}", 1) for i in range(1000))),
    "weights of holes": weights_of_holes,
}
