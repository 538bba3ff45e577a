"""What the hostile files are made of: a case, and small graphs that differ from honest ones in one
place."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from benchmarks import graphs
from plaza_accel.gate.rules import Rule
from plaza_core.manifest import Manifest
from plaza_core.tensors import DType, TensorSpec

X = TensorSpec("x", DType.FP32, ("batch", 4))
Y = TensorSpec("y", DType.FP32, ("batch", 4))


@dataclass(frozen=True)
class Case:
    """One hostile bundle and how it must be refused."""

    data: bytes
    manifest: dict
    rule: Rule
    words: str
    """Part of the reason that its sender reads."""
    node: str | None = None
    beside: Callable[[Path], object] | None = None
    """Puts more into the directory."""

    @property
    def parsed(self) -> Manifest:
        return graphs.manifest_from(self.manifest)

    def write(self, directory: Path) -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "model.onnx").write_bytes(self.data)
        (directory / "plaza.yaml").write_text(graphs.yaml.safe_dump(self.manifest))
        if self.beside:
            self.beside(directory)
        return directory


def plain(*nodes, weights=(), inputs=(X,), outputs=(Y,)) -> graphs.Graph:
    return graphs.graph("hostile", nodes, inputs, outputs, weights)


def case(graph: graphs.Graph, rule: Rule, words: str, node=None, beside=None) -> Case:
    return Case(graph.model.SerializeToString(), graph.manifest, rule, words, node, beside)


def content(data: bytes, rule: Rule, words: str, beside=None) -> Case:
    return Case(data, graphs.tiny().manifest, rule, words, None, beside)


def node(operator: str, inputs, outputs, name: str | None = None, **attributes):
    return helper.make_node(
        operator, inputs, outputs, name=name or f"{operator}_{outputs[0]}", **attributes
    )


def constant(name: str, *values: int) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def scalar(name: str, value, kind=np.int64) -> TensorProto:
    return numpy_helper.from_array(np.array(value, kind), name)


def value(name: str, kind=TensorProto.FLOAT, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def with_functions(bodies: dict[str, list[str]], call: str) -> graphs.Graph:
    """Local functions of one input: `bodies` maps a name to the functions it calls in turn."""
    graph = plain(node(call, ["x"], ["y"], "caller", domain="local"))
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


def branch(*nodes, result="c") -> object:
    """A graph for one side of an If."""
    return helper.make_graph(nodes, "branch", [], [value(result)])


def either(inner, outer=("y",)) -> graphs.Graph:
    """`inner` as both sides of an If."""
    choose = node("If", ["yes"], list(outer), "choose", then_branch=inner, else_branch=inner)
    return plain(choose, weights=[scalar("yes", True, bool)])


def loop(body, turns: int, weights=()) -> graphs.Graph:
    """y = the state after `turns` of `body`, a list of nodes from `state` to `next`."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), *body],
        "body",
        [value("turn", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("state")],
        [value("go_on", TensorProto.BOOL, []), value("next")],
    )
    return plain(
        node("Loop", ["turns", "yes", "x"], ["y"], "turning", body=graph),
        weights=[scalar("turns", turns), scalar("yes", True, bool), *weights],
    )
