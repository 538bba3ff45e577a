"""Tensors that lie about their size, and weights in files where they must not be."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from benchmarks import graphs
from plaza_accel.gate.rules import Rule
from tests.accel.hostile.making import Case, branch, case, constant, either, node, plain, scalar

CONTENT = bytes(64)


def external(location: str, beside=None, rule=Rule.EXTERNAL_OUTSIDE, words="plain file", **more):
    """`graphs.tiny` with its matrix at `location`."""
    graph = graphs.tiny()
    tensor = graph.model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in {"location": location, **more}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, text
    return case(graph, rule, words, None, beside)


def beside(make: Callable[[Path, Path], object]) -> Callable[[Path], object]:
    """Put something called weights.data into the bundle, given a file that lies outside."""

    def put(directory):
        outside = directory.parent / f"{directory.name}-outside.data"
        outside.write_bytes(CONTENT)
        make(directory / "weights.data", outside)

    return put


def linked_directory(path: Path, outside: Path) -> None:
    away = outside.with_suffix(".d")
    away.mkdir()
    (away / "w.data").write_bytes(CONTENT)
    path.symlink_to(away)


def hidden_external() -> Case:
    """The reference sits in an attribute of a node inside a branch, not in an initializer."""
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../secret"
    graph = either(branch(node("Constant", [], ["c"], "hidden", value=tensor)))
    return case(graph, Rule.EXTERNAL_KIND, "outside the model file", "hidden")


def shape(rule: Rule, words: str, *dims: int) -> Case:
    """The matrix of `graphs.tiny` claims another shape."""
    graph = graphs.tiny()
    graph.model.graph.initializer[0].dims[:] = dims
    return case(graph, rule, words)


def claimed_small() -> Case:
    """Four megabytes of bytes behind a shape of four by four."""
    graph = graphs.tiny()
    graph.model.graph.initializer[0].raw_data = bytes(4 << 20)
    return case(graph, Rule.TENSOR_BYTES, "bytes than its shape")


def few_floats() -> Case:
    """A million numbers claimed, one there, not in `raw_data`: the checker's own arithmetic."""
    graph = graphs.tiny()
    tensor = graph.model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.float_data.append(1.0)
    tensor.dims[:] = [1024, 1024]
    return case(graph, Rule.CHECKER, "checker")


def strings() -> Case:
    """A thousand million texts claimed, one there."""
    tensor = TensorProto(data_type=TensorProto.STRING, dims=[1 << 30], string_data=[b"x"], name="t")
    graph = plain(
        node("Identity", ["x"], ["y"]), node("Identity", ["t"], ["unused"]), weights=[tensor]
    )
    return case(graph, Rule.TENSOR_BYTES, "strings than its shape")


def sparse_tensor():
    values = numpy_helper.from_array(np.ones(1, np.float32), "s")
    return helper.make_sparse_tensor(values, constant("i", 1 << 40), [1 << 20, 1 << 20])


def sparse() -> Case:
    """One number, at a place far outside; dense it is four terabytes."""
    graph = graphs.tiny()
    graph.model.graph.sparse_initializer.append(sparse_tensor())
    return case(graph, Rule.TENSOR_SPARSE, "sparse")


def sparse_attribute() -> Case:
    made = node("Constant", [], ["c"], "thin", sparse_value=sparse_tensor())
    return case(plain(made, node("Add", ["x", "c"], ["y"])), Rule.TENSOR_SPARSE, "sparse", "thin")


def stray(make: Callable[[Path, Path], object]) -> Case:
    """An honest model; beside it lies something that is not a file."""
    graph = graphs.tiny()
    return case(graph, Rule.FILE_KIND, "not a plain file", None, beside(make))


def vast_attribute() -> Case:
    tensor = scalar("c", 0, np.float32)
    tensor.dims[:] = [1 << 31, 1 << 31]
    made = node("Constant", [], ["c"], "vast", value=tensor)
    graph = plain(made, node("Add", ["x", "c"], ["y"]))
    return case(graph, Rule.TENSOR_SIZE, "impossible size", "vast")


WEIGHTS: dict[str, Callable[[], Case]] = {
    "external data above": lambda: external("../../../../etc/passwd"),
    "external data absolute": lambda: external("/etc/passwd"),
    "external data missing": lambda: external("weights.data"),
    "external data in memory": lambda: external("*/_ORT_MEM_ADDR_/*"),
    "external data by symbolic link": lambda: external(
        "weights.data", beside(lambda path, outside: path.symlink_to(outside))
    ),
    "external data by hard link": lambda: external(
        "weights.data", beside(lambda path, outside: path.hardlink_to(outside))
    ),
    "external data in a linked directory": lambda: external(
        "weights.data/w.data", beside(linked_directory)
    ),
    "external data in a pipe": lambda: external(
        "weights.data", beside(lambda path, _: os.mkfifo(path))
    ),
    "external data in a device": lambda: external(
        "weights.data", beside(lambda path, _: path.symlink_to("/dev/zero"))
    ),
    "external data past the end": lambda: external(
        "weights.data",
        beside(lambda path, _: path.write_bytes(CONTENT[:-1])),
        Rule.EXTERNAL_RANGE,
        "past the end",
    ),
    "external data of a vast offset": lambda: external(
        "weights.data",
        beside(lambda path, _: path.write_bytes(CONTENT)),
        Rule.EXTERNAL_RANGE,
        "past the end",
        offset=str(10**14),
    ),
    "external data of another length": lambda: external(
        "weights.data",
        beside(lambda path, _: path.write_bytes(CONTENT)),
        Rule.EXTERNAL_RANGE,
        "another length",
        length=str(1 << 40),
    ),
    "external data with a private key": lambda: external(
        "weights.data", None, Rule.EXTERNAL_KEYS, "unknown", prepacked_0="x"
    ),
    "external data in an attribute": hidden_external,
    "unused link": lambda: stray(lambda path, outside: path.symlink_to(outside)),
    "unused pipe": lambda: stray(lambda path, _: os.mkfifo(path)),
    "wrong bytes": lambda: shape(Rule.TENSOR_BYTES, "bytes than its shape", 1 << 20, 4),
    "impossible size": lambda: shape(Rule.TENSOR_SIZE, "impossible", 1 << 31, 1 << 31, 4),
    "negative size": lambda: shape(Rule.TENSOR_SIZE, "impossible", -1, 4),
    "size that wraps around": lambda: shape(Rule.TENSOR_SIZE, "impossible", 1 << 62, 4, 16),
    "claimed small": claimed_small,
    "few floats": few_floats,
    "strings": strings,
    "sparse": sparse,
    "sparse attribute": sparse_attribute,
    "vast attribute": vast_attribute,
}
