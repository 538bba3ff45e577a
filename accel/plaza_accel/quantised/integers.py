"""From a graph in floats to one whose large products are made in 8-bit integers.

Weights become int8 once; what they are multiplied with is quantised anew in every run, by its own
range, so no calibration data is needed. Chosen are the operators that gain (products with constant
matrices, embedding tables). Convolutions are left alone: of 16 and 36 of them, made dynamic, a run
took 1.3 times as long with unsigned weights and 8 times with signed ones (onnxruntime 1.31).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import onnx
from onnxruntime.quantization import QuantType, onnx_quantizer, quant_utils
from onnxruntime.quantization.quant_utils import QuantizationMode

PRODUCTS: Final = ("MatMul", "Gemm")
TABLES: Final = ("Gather",)
CONVOLUTIONS: Final = ("Conv",)
_LEAST_VALUES: Final = 1024
"""Smaller weights are not worth the operators that quantising them adds."""


@dataclass(frozen=True, slots=True)
class Quantised:
    """The new model, how many operators were changed, and what part of the bytes of all weights
    (0 to 1) is theirs."""

    model: onnx.ModelProto
    nodes: int
    share: float


def quantise(model: onnx.ModelProto, *, per_channel: bool, convolutions: bool) -> Quantised | None:
    """None where no operator gains. `model` has its weights inside and is changed."""
    name_nodes(model.graph)
    kinds = PRODUCTS + TABLES + (CONVOLUTIONS if convolutions else ())
    weights = {one.name: one for one in model.graph.initializer}
    chosen = dict(_chosen(model.graph, weights, kinds))
    if not chosen:
        return None
    sizes = {name: one.ByteSize() for name, one in weights.items()}
    # It would infer shapes by way of files, and may write none here.
    onnx_quantizer.save_and_reload_model_with_shape_infer = _inferred
    quantizer = onnx_quantizer.ONNXQuantizer(
        _inferred(model),
        per_channel,
        False,  # a reduced range is for processors without VNNI, and costs accuracy
        QuantizationMode.IntegerOps,
        False,  # dynamic
        # Signed weights are twice as fast in products; only unsigned ones run in convolutions.
        QuantType.QUInt8 if convolutions else QuantType.QInt8,
        QuantType.QUInt8,
        None,
        [*chosen, *(f"{name}_MatMul" for name in chosen)],  # what it makes of a Gemm first
        [],
        list(kinds),
        {"MatMulConstBOnly": True},
    )
    quantizer.quantize_model()
    made = quantizer.model.model
    left = {one.name for one in made.graph.initializer}
    changed = {node: name for node, name in chosen.items() if name not in left}
    share = sum(sizes[name] for name in set(changed.values())) / sum(sizes.values())
    return Quantised(made, len(changed), share)


def _chosen(
    graph: onnx.GraphProto, weights: dict[str, onnx.TensorProto], kinds: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """(name of a node, name of its weights) for each that is worth it."""
    for node in graph.node:
        if node.op_type in kinds and node.domain in {"", "ai.onnx"}:
            name = node.input[0] if node.op_type in TABLES else node.input[1]
            weight = weights.get(name)
            if weight is not None and weight.data_type == onnx.TensorProto.FLOAT:
                values = 1
                for size in weight.dims:
                    values *= size
                if values >= _LEAST_VALUES and len(weight.dims) >= 2:
                    yield node.name, name


def name_nodes(graph: onnx.GraphProto) -> None:
    """Nodes are chosen by name, which graphs need not give."""
    seen: set[str] = set()
    for number, node in enumerate(graph.node):
        if not node.name or node.name in seen:
            node.name = f"{node.name or node.op_type}__{number}"
        seen.add(node.name)


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    inferred = onnx.shape_inference.infer_shapes(model)
    quant_utils.add_infer_metadata(inferred)
    return inferred
