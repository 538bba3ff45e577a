"""From a network of convolutions in floats to one in 8-bit integers, by ranges seen on real inputs.

Weights become int8 per channel, activations uint8 by the largest and smallest value that the given
inputs make. Left in floats is what has no convolution behind it, the last ones included: what
they say is read as it is, boxes in pixels too, and 256 steps are too few for that. The file holds
QuantizeLinear and DequantizeLinear of the standard; a runtime that can makes integers of them.
For our own models: the file is opened here, without a sandbox.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from plaza_accel.quantised.integers import name_nodes
from plaza_core.tensors import Array

_KINDS = ("Conv", "Sigmoid", "Mul", "Add", "Concat", "MaxPool", "Resize")


class _Inputs(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped here
    def __init__(self, feeds: Sequence[Mapping[str, Array]]) -> None:
        self._left: Iterator[Mapping[str, Array]] = iter(feeds)

    def get_next(self) -> dict[str, Array] | None:
        feed = next(self._left, None)
        return None if feed is None else dict(feed)


def quantise_calibrated(model: onnx.ModelProto, feeds: Sequence[Mapping[str, Array]]) -> bytes:
    """The new model's file. `model` has its weights inside, and gets names for its nodes."""
    name_nodes(model.graph)
    with tempfile.TemporaryDirectory() as place:
        before, after = Path(place) / "before.onnx", Path(place) / "after.onnx"
        onnx.save(model, before)
        quantize_static(
            before,
            after,
            _Inputs(feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_KINDS),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_last(model.graph),
            calibrate_method=CalibrationMethod.MinMax,
        )
        return after.read_bytes()


def _last(graph: onnx.GraphProto) -> list[str]:
    """Nodes with no convolution behind them. Nodes of a graph are in an order in which they run."""
    before: set[str] = set()
    """Tensors that a convolution is still made of."""
    last = []
    for node in reversed(graph.node):
        if not before & set(node.output):
            last.append(node.name)
        if node.op_type == "Conv" or before & set(node.output):
            before.update(node.input)
    return last
