"""Files that do no harm on one row of zeros, which is what a model is opened with: their weapon is
in the values or the number of rows that certification tries after that."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from plaza_accel.gate.rules import Rule
from plaza_core.tensors import DType, TensorSpec
from tests.accel.hostile.making import Case, case, constant, node, plain, scalar, value


# ── values: everything but integers is drawn at random ───────────────────────────────────────────
def turns_of_the_input(scale: float, *body, rule: Rule, words: str) -> Case:
    """A loop of as many turns as the largest number of the input says, none for zeros."""
    nodes = [
        node("ReduceMax", ["x"], ["most"], keepdims=0),
        node("Mul", ["most", "scale"], ["scaled"]),
        node("Cast", ["scaled"], ["turns"], to=TensorProto.INT64),
        node("Loop", ["turns", "yes", "x"], ["y"], "turning", body=looped(*body)),
    ]
    weights = [scalar("scale", scale, np.float32), scalar("yes", True, bool)]
    return case(plain(*nodes, weights=weights), rule, words)


def looped(*body) -> object:
    return helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), *body],
        "body",
        [value("turn", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("state")],
        [value("go_on", TensorProto.BOOL, []), value("next")],
    )


def branch_of_the_input() -> Case:
    """A gigabyte on that side of an If which no zero takes."""
    vast = [
        node("ConstantOfShape", ["shape"], ["vast"]),
        node("ReduceMin", ["vast"], ["least"], keepdims=0),
        node("Add", ["x", "least"], ["c"]),
    ]
    nodes = [
        node("ReduceMax", ["x"], ["most"], keepdims=0),
        node("Greater", ["most", "zero"], ["above"]),
        node(
            *("If", ["above"], ["y"], "choose"),
            then_branch=helper.make_graph(vast, "then", [], [value("c")]),
            else_branch=helper.make_graph([node("Identity", ["x"], ["c"])], "or", [], [value("c")]),
        ),
    ]
    weights = [constant("shape", 1 << 28), scalar("zero", 0, np.float32)]
    return case(plain(*nodes, weights=weights), Rule.MEMORY, "memory", "choose")


# ── rows: batches of 2, 4 and 16 are run ─────────────────────────────────────────────────────────
def rows(*nodes, weights, rule: Rule, words: str, name=None) -> Case:
    """`nodes` know the number of rows as "rows", a list of one."""
    count = node("Shape", ["x"], ["rows"], start=0, end=1)
    return case(plain(count, *nodes, weights=weights), rule, words, name)


def endless_for_four() -> Case:
    nodes = [
        node("Sub", ["rows", "two"], ["more"]),
        node("Max", ["more", "none"], ["above"]),
        node("Mul", ["above", "many"], ["times"]),
        node("Squeeze", ["times"], ["turns"]),
        node("Loop", ["turns", "yes", "x"], ["y"], body=looped(node("Neg", ["state"], ["next"]))),
    ]
    numbers = [constant("two", 2), constant("none", 0), constant("many", 1 << 50)]
    weights = [*numbers, scalar("yes", True, bool)]
    return rows(*nodes, weights=weights, rule=Rule.TIME, words="opened and run")


def failing_for_four() -> Case:
    """Divides by the number of rows less four."""
    nodes = [
        node("Sub", ["rows", "four"], ["less"]),
        node("Div", ["four", "less"], ["quotient"], "split"),
        node("Cast", ["quotient"], ["number"], to=TensorProto.FLOAT),
        node("Add", ["x", "number"], ["y"]),
    ]
    weights = [constant("four", 4)]
    return rows(*nodes, weights=weights, rule=Rule.RUNTIME, words="4 rows at once", name="split")


def crashing_for_sixteen() -> Case:
    """-2^63 / -1, for sixteen rows only."""
    nodes = [
        node("Sub", ["fifteen", "rows"], ["less"]),
        node("Div", ["least", "less"], ["quotient"]),
        node("Cast", ["quotient"], ["number"], to=TensorProto.FLOAT),
        node("Add", ["x", "number"], ["y"]),
    ]
    weights = [constant("fifteen", 15), constant("least", -(1 << 63))]
    return rows(*nodes, weights=weights, rule=Rule.CRASH, words="arithmetic fault")


def losing_rows() -> Case:
    """Three rows at most come back: the fourth caller would wait for ever, or get another's."""
    nodes = [
        node("Min", ["rows", "three"], ["some"]),
        node("Slice", ["x", "none", "some", "none"], ["y"]),
    ]
    weights = [constant("three", 3), constant("none", 0)]
    return rows(*nodes, weights=weights, rule=Rule.SIGNATURE, words="4 row(s) gave 3")


# ── rows that are vast themselves ────────────────────────────────────────────────────────────────
def gigabyte_row() -> Case:
    sides = [TensorSpec(name, DType.FP32, ("batch", 1 << 28)) for name in ("x", "y")]
    graph = plain(node("Relu", ["x"], ["y"]), inputs=sides[:1], outputs=sides[1:])
    return case(graph, Rule.MEMORY, "memory")


def text_that_is_none() -> Case:
    x, y = (TensorSpec(name, DType.BYTES, ("batch", 1)) for name in ("x", "y"))
    seed = helper.make_tensor("seed", TensorProto.STRING, [1], [b"\xff\xfe"])
    graph = plain(
        node("StringConcat", ["x", "seed"], ["y"]), weights=[seed], inputs=[x], outputs=[y]
    )
    return case(graph, Rule.RUNTIME, "runtime failed")


def named_as_the_input() -> Case:
    """A weight takes the place of the only input: every caller would get the sender's answer."""
    weight = numpy_helper.from_array(np.zeros((1, 4), np.float32), "x")
    graph = plain(node("Relu", ["x"], ["y"]), weights=[weight])
    return case(graph, Rule.SIGNATURE, "no such input")


INPUTS: dict[str, Callable[[], Case]] = {
    "turns of the input": lambda: turns_of_the_input(
        1e15, node("Neg", ["state"], ["next"]), rule=Rule.TIME, words="opened and run"
    ),
    "doubling by the input": lambda: turns_of_the_input(
        60,
        node("Concat", ["state", "state"], ["next"], axis=0),
        rule=Rule.MEMORY,
        words="memory",
    ),
    "branch of the input": branch_of_the_input,
    "endless for four rows": endless_for_four,
    "failing for four rows": failing_for_four,
    "crashing for sixteen rows": crashing_for_sixteen,
    "losing rows": losing_rows,
    "gigabyte row": gigabyte_row,
    "text that is none": text_that_is_none,
    "named as the input": named_as_the_input,
}
