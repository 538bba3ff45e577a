"""Small ONNX models for tests and measurements, each with the manifest that describes it.

Built here, seeded and never stored: a reader can see all of what was measured. Needs `onnx` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from plaza_core.manifest import MANIFEST_FILE, MODEL_FILE, Manifest, manifest_from
from plaza_core.tensors import Dim, DType, TensorSpec

OPSET = 20
IR_VERSION = 10

ONNX_TYPES: dict[DType, int] = {
    DType.BOOL: TensorProto.BOOL,
    DType.UINT8: TensorProto.UINT8,
    DType.UINT16: TensorProto.UINT16,
    DType.UINT32: TensorProto.UINT32,
    DType.UINT64: TensorProto.UINT64,
    DType.INT8: TensorProto.INT8,
    DType.INT16: TensorProto.INT16,
    DType.INT32: TensorProto.INT32,
    DType.INT64: TensorProto.INT64,
    DType.FP16: TensorProto.FLOAT16,
    DType.FP32: TensorProto.FLOAT,
    DType.FP64: TensorProto.DOUBLE,
    DType.BYTES: TensorProto.STRING,
}


@dataclass(frozen=True, slots=True)
class Graph:
    """A model and the `plaza.yaml` that goes with it."""

    model: onnx.ModelProto
    manifest: dict[str, Any]

    def parsed(self) -> Manifest:
        return manifest_from(self.manifest)

    def write(self, directory: Path) -> Path:
        """Make `directory` a bundle: `model.onnx` and `plaza.yaml`. Returns it."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / MODEL_FILE).write_bytes(self.model.SerializeToString())
        text = yaml.safe_dump(self.manifest, sort_keys=False)
        (directory / MANIFEST_FILE).write_text(text, encoding="utf-8")
        return directory


def graph(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    weights: Sequence[onnx.TensorProto] = (),
    *,
    max_batch: int = 32,
) -> Graph:
    """Assemble a model whose graph and manifest have the same signature."""

    def entry(spec: TensorSpec) -> dict[str, Any]:
        return {"name": spec.name, "datatype": str(spec.datatype), "shape": list(spec.shape)}

    body = helper.make_graph(
        nodes, name, [value_info(s) for s in inputs], [value_info(s) for s in outputs], weights
    )
    return Graph(
        model(body),
        {
            "schema": 1,
            "name": name,
            "family": "tensor",
            "signature": {
                "inputs": [entry(s) for s in inputs],
                "outputs": [entry(s) for s in outputs],
            },
            "limits": {"max_batch": max_batch},
        },
    )


def model(body: onnx.GraphProto, **more: Any) -> onnx.ModelProto:
    """Wrap a graph at the opset and IR version that every supported runtime reads."""
    imports = more.pop("opset_imports", None) or [helper.make_opsetid("", OPSET)]
    return helper.make_model(body, opset_imports=imports, ir_version=IR_VERSION, **more)


def value_info(spec: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(spec.name, ONNX_TYPES[spec.datatype], list(spec.shape))


def identity(datatype: DType = DType.FP32, rank: int = 2) -> Graph:
    """y = x, every axis variable: `batch`, `a1`, `a2` …; rank 0 is a scalar."""
    shape: tuple[Dim, ...] = ("batch", *(f"a{axis}" for axis in range(1, rank)))[:rank]
    return graph(
        "identity",
        [helper.make_node("Identity", ["x"], ["y"])],
        [TensorSpec("x", datatype, shape)],
        [TensorSpec("y", datatype, shape)],
    )


def sum_and_difference() -> Graph:
    """The model `simple` that Triton's example programs call: sums and differences of integers."""
    given = [TensorSpec(name, DType.INT32, ("batch", 16)) for name in ("INPUT0", "INPUT1")]
    made = [TensorSpec(name, DType.INT32, ("batch", 16)) for name in ("OUTPUT0", "OUTPUT1")]
    names = [spec.name for spec in given]
    nodes = [
        helper.make_node(operator, names, [spec.name])
        for operator, spec in zip(("Add", "Sub"), made, strict=True)
    ]
    return graph("simple", nodes, given, made)


def tiny(seed: int = 0) -> Graph:
    """y = x·W + b on four numbers: almost nothing but the cost of a call (about 4 µs)."""
    random = np.random.default_rng(seed)
    return graph(
        "tiny",
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"])],
        [TensorSpec("x", DType.FP32, ("batch", 4))],
        [TensorSpec("y", DType.FP32, ("batch", 4))],
        [_weight(random, "w", (4, 4)), _weight(random, "b", (4,))],
    )


def naive_forecast() -> Graph:
    """A `forecast.quantile` that expects the last of four values to stay for three hours."""
    levels = {0.1: -4.0, 0.25: -1.0, 0.5: 0.0, 0.75: 1.0, 0.9: 4.0}
    spread = np.repeat(np.array([*levels.values()], np.float32)[:, None], 3, axis=1)
    made = graph(
        "forecast",
        [
            helper.make_node("Gather", ["values", "newest"], ["last"], axis=1),
            helper.make_node("Unsqueeze", ["last", "axis"], ["column"]),
            helper.make_node("Add", ["column", "spread"], ["quantiles"]),
        ],
        [TensorSpec("values", DType.FP32, ("batch", 4))],
        [TensorSpec("quantiles", DType.FP32, ("batch", len(levels), 3))],
        [
            numpy_helper.from_array(np.array([3]), "newest"),
            numpy_helper.from_array(np.array([2]), "axis"),
            numpy_helper.from_array(spread, "spread"),
        ],
    )
    made.manifest["family"] = "forecast.quantile"
    made.manifest["options"] = {
        "context": 4, "horizon": 3, "quantiles": [*levels], "scaling": "none", "step_seconds": 3600,
    }  # fmt: skip
    return made


def conv(seed: int = 0, size: int = 32, width: int = 64, layers: int = 16) -> Graph:
    """A plain convolutional classifier, about 5 ms on one thread for one small picture.

    3×3 convolutions with ReLU, all of one width; then the mean over the picture and ten scores.
    `image` is (batch, 3, size, size). 2.2 MB of weights.
    """
    random = np.random.default_rng(seed)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    last, channels = "image", 3
    for layer in range(layers):
        weights += [
            _weight(random, f"w{layer}", (width, channels, 3, 3)),
            _weight(random, f"b{layer}", (width,)),
        ]
        inputs = [last, f"w{layer}", f"b{layer}"]
        nodes += [
            helper.make_node("Conv", inputs, [f"c{layer}"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]),
        ]
        last, channels = f"r{layer}", width
    weights += [_weight(random, "wf", (channels, 10)), _weight(random, "bf", (10,))]
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "wf", "bf"], ["scores"]),
    ]
    return graph(
        "conv",
        nodes,
        [TensorSpec("image", DType.FP32, ("batch", 3, size, size))],
        [TensorSpec("scores", DType.FP32, ("batch", 10))],
        weights,
    )


def _weight(random: np.random.Generator, name: str, shape: tuple[int, ...]) -> onnx.TensorProto:
    fan = int(np.prod(shape[1:])) or 1
    values: NDArray[np.float32] = random.standard_normal(shape, np.float32) / np.float32(fan**0.5)
    return numpy_helper.from_array(values, name)
