"""The graphs that providers are examined with: small, seeded, every node named.

Each is a function that builds one. `batch` is variable; a name says what it asks of a provider.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from plaza_core.manifest import MODEL_FILE, Manifest, manifest_from
from plaza_core.tensors import NUMPY, Array, DType, TensorSpec

MAX_BATCH: Final = 8
_TYPES: Final = {
    DType.FP32: TensorProto.FLOAT,
    DType.INT64: TensorProto.INT64,
    DType.BYTES: TensorProto.STRING,
}


@dataclass(frozen=True, slots=True)
class ExaminedGraph:
    """A model, its manifest, and inputs for it."""

    model: ModelProto
    manifest: Manifest

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(node.name for node in self.model.graph.node)

    def write(self, directory: Path) -> Path:
        """Put `model.onnx` there; returns the directory."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / MODEL_FILE).write_bytes(self.model.SerializeToString())
        return directory

    def inputs(self, rows: int, seed: int = 0) -> dict[str, Array]:
        """Normal numbers, indices 0 to 3, short texts."""
        random = np.random.default_rng(seed)
        made: dict[str, Array] = {}
        for spec in self.manifest.signature_spec().inputs:
            shape = tuple(rows if dim == "batch" else int(dim) for dim in spec.shape)
            if spec.datatype is DType.FP32:
                made[spec.name] = random.standard_normal(shape).astype(NUMPY[spec.datatype])
            elif spec.datatype is DType.INT64:
                made[spec.name] = random.integers(0, 4, shape, NUMPY[spec.datatype])
            else:
                made[spec.name] = np.full(shape, "Grüße".encode(), dtype=object)
        return made


def relu() -> ExaminedGraph:
    return _graph("relu", [_node("Relu", "x", "y")], _fp32("x", 4), _fp32("y", 4))


def dense() -> ExaminedGraph:
    """Two layers: Gemm, Relu, Gemm."""
    nodes = [
        _node("Gemm", "x w1 b1", "h"),
        _node("Relu", "h", "r"),
        _node("Gemm", "r w2 b2", "y"),
    ]
    weights = _weights(w1=(16, 32), b1=(32,), w2=(32, 5), b2=(5,))
    return _graph("dense", nodes, _fp32("x", 16), _fp32("y", 5), weights)


def wide() -> ExaminedGraph:
    """`dense`, with a megabyte of weights: heavier than the others on every provider."""
    weights = _weights(w=(512, 512))
    nodes = [_node("MatMul", "x w", "y")]
    return _graph("wide", nodes, _fp32("x", 512), _fp32("y", 512), weights)


def matmul() -> ExaminedGraph:
    nodes = [_node("MatMul", "x w", "m"), _node("Add", "m b", "y")]
    weights = _weights(w=(8, 3), b=(3,))
    return _graph("matmul", nodes, _fp32("x", 8), _fp32("y", 3), weights)


def elementwise() -> ExaminedGraph:
    nodes = [
        _node("Sigmoid", "x", "s"),
        _node("Tanh", "x", "t"),
        _node("Mul", "s t", "m"),
        _node("Add", "m x", "y"),
    ]
    return _graph("elementwise", nodes, _fp32("x", 7), _fp32("y", 7))


def softmax() -> ExaminedGraph:
    nodes = [_node("Softmax", "x", "y", axis=-1)]
    return _graph("softmax", nodes, _fp32("x", 10), _fp32("y", 10))


def conv() -> ExaminedGraph:
    """A convolution, a pooling, a head."""
    nodes = [
        _node("Conv", "x k c", "f", pads=[1, 1, 1, 1]),
        _node("Relu", "f", "r"),
        _node("GlobalAveragePool", "r", "p"),
        _node("Flatten", "p", "v"),
        _node("Gemm", "v w b", "y"),
    ]
    weights = _weights(k=(6, 3, 3, 3), c=(6,), w=(6, 4), b=(4,))
    return _graph("conv", nodes, _fp32("x", 3, 8, 8), _fp32("y", 4), weights)


def transpose() -> ExaminedGraph:
    nodes = [_node("Transpose", "x", "y", perm=[0, 2, 1])]
    return _graph("transpose", nodes, _fp32("x", 3, 5), _fp32("y", 5, 3))


def gather() -> ExaminedGraph:
    """A table of four vectors looked up by index, as an embedding is."""
    weights = _weights(table=(4, 6))
    nodes = [_node("Gather", "table x", "y")]
    return _graph("gather", nodes, TensorSpec("x", DType.INT64, ("batch",)), _fp32("y", 6), weights)


def text() -> ExaminedGraph:
    """Strings in and out; hardly any accelerator has them, so it may be refused."""
    return _graph("text", [_node("Identity", "x", "y")], _bytes("x"), _bytes("y"))


def doubled_text() -> ExaminedGraph:
    """An operator of strings: no accelerator is expected to have it."""
    return _graph("doubled-text", [_node("StringConcat", "x x", "y")], _bytes("x"), _bytes("y"))


GRAPHS: Final[dict[str, Callable[[], ExaminedGraph]]] = {
    made.__name__: made
    for made in (relu, dense, matmul, elementwise, softmax, conv, transpose, gather)
}
"""Those of the parity test, by name."""


def _node(op: str, inputs: str, output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(
        op, inputs.split(), [output], name=f"{op.lower()}_{output}", **attributes
    )


def _fp32(name: str, *shape: int) -> TensorSpec:
    return TensorSpec(name, DType.FP32, ("batch", *shape))


def _bytes(name: str) -> TensorSpec:
    return TensorSpec(name, DType.BYTES, ("batch",))


def _weights(**shapes: tuple[int, ...]) -> list[TensorProto]:
    random = np.random.default_rng(7)
    return [
        numpy_helper.from_array(random.standard_normal(shape).astype(np.float32) / 4, name)
        for name, shape in shapes.items()
    ]


def _graph(
    name: str,
    nodes: Sequence[NodeProto],
    given: TensorSpec,
    made: TensorSpec,
    weights: Sequence[TensorProto] = (),
) -> ExaminedGraph:
    infos = [
        helper.make_tensor_value_info(spec.name, _TYPES[spec.datatype], list(spec.shape))
        for spec in (given, made)
    ]
    body = helper.make_graph(nodes, name, infos[:1], infos[1:], weights)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    entries = [
        {"name": s.name, "datatype": str(s.datatype), "shape": list(s.shape)} for s in (given, made)
    ]
    manifest = manifest_from(
        {
            "schema": 1,
            "name": name,
            "signature": {"inputs": entries[:1], "outputs": entries[1:]},
            "limits": {"max_batch": MAX_BATCH},
        }
    )
    return ExaminedGraph(model, manifest)
