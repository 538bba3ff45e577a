"""A text encoder of the size of MiniLM-L6 with random weights: a model for which joining pays.

The shipped embedder is a table: a text costs 30 µs, and joining gains nothing. This one has six
layers of attention over 384 values; every piece of a text is multiplied with 11 million weights.
It reads the pieces of the shipped embedder's tokeniser, and takes the mean over a text's pieces in
the graph: padding has the weight 0 there, and no attention.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from benchmarks.graphs import Graph, graph
from plaza_core.tensors import DType, TensorSpec

LAYERS, HIDDEN, HEADS, INNER = 6, 384, 12, 1536
PIECES = 30_522
WIDTH, SIZES = 512, (4, 8, 16, 24, 32, 64, 96, 128, 192, 256, 384, 512)
"""Pieces that a text may have, and what it is padded to: most texts have less than 20, and a row of
16 for one of 5 costs more than another run."""


def write(directory: Path, tokenizer: Path) -> Path:
    """Make `directory` a bundle of `text.embed` with this tokeniser. Returns it."""
    made = encoder()
    made.manifest["options"] = {"tokenizer": tokenizer.name, "width": WIDTH, "max_characters": 4000}
    made.write(directory)
    shutil.copyfile(tokenizer, directory / tokenizer.name)
    return directory


def encoder(seed: int = 0) -> Graph:
    """`indices` and `weights` (batch, features) in: the pieces of a text, and 1 where there is one.
    `vectors` (batch, 384) out."""
    build = _Builder(seed)
    build.whole()
    axes = ("batch", "features")
    made = graph(
        "encoder",
        build.nodes,
        [TensorSpec("indices", DType.INT64, axes), TensorSpec("weights", DType.FP32, axes)],
        [TensorSpec("vectors", DType.FP32, ("batch", HIDDEN))],
        build.weights,
        max_batch=64,
    )
    made.manifest.update(family="text.embed", buckets={"features": list(SIZES)})
    made.manifest["limits"]["deadline_ms"] = 10_000
    return made


class _Builder:
    """Nodes and weights, in the order in which they are computed."""

    def __init__(self, seed: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(seed)

    def whole(self) -> None:
        x = self._embedded()
        unseen = self._op("Sub", self._constant(np.float32(1)), "weights")
        blind = self._op("Mul", unseen, self._constant(np.float32(-1e4)))
        mask = self._op("Unsqueeze", blind, self._constant(np.array([1, 2])))
        for _ in range(LAYERS):
            x = self._normal(self._op("Add", x, self._attention(x, mask)))
            inner = self._op("Gelu", self._dense(x, HIDDEN, INNER))
            x = self._normal(self._op("Add", x, self._dense(inner, INNER, HIDDEN)))
        weights = self._op("Unsqueeze", "weights", self._constant(np.array([2])))
        axis = self._constant(np.array([1]))
        total = self._op("ReduceSum", self._op("Mul", x, weights), axis, keepdims=0)
        count = self._op("ReduceSum", "weights", axis, keepdims=1)
        least = self._op("Max", count, self._constant(np.float32(1)))
        self._op("Div", total, least, to="vectors")

    def _embedded(self) -> str:
        table = self._weight((PIECES, HIDDEN), 1.0)
        places = self._weight((WIDTH, HIDDEN), 1.0)
        length = self._op("Shape", "indices", start=1, end=2)
        first = self._op("Slice", places, self._constant(np.array([0])), length)
        return self._normal(self._op("Add", self._op("Gather", table, "indices"), first))

    def _attention(self, x: str, mask: str) -> str:
        split = self._constant(np.array([0, 0, HEADS, HIDDEN // HEADS]))
        joined = self._constant(np.array([0, 0, HIDDEN]))

        def heads(order: Sequence[int]) -> str:
            rows = self._op("Reshape", self._dense(x, HIDDEN, HIDDEN), split)
            return self._op("Transpose", rows, perm=order)

        queries, keys, values = heads((0, 2, 1, 3)), heads((0, 2, 3, 1)), heads((0, 2, 1, 3))
        scale = self._constant(np.float32((HIDDEN // HEADS) ** -0.5))
        scores = self._op("Mul", self._op("MatMul", queries, keys), scale)
        seen = self._op("Softmax", self._op("Add", scores, mask), axis=-1)
        found = self._op("Transpose", self._op("MatMul", seen, values), perm=(0, 2, 1, 3))
        return self._dense(self._op("Reshape", found, joined), HIDDEN, HIDDEN)

    def _dense(self, x: str, given: int, made: int) -> str:
        product = self._op("MatMul", x, self._weight((given, made), given**-0.5))
        return self._op("Add", product, self._weight((made,), 0.1))

    def _normal(self, x: str) -> str:
        one, none = np.ones(HIDDEN, np.float32), np.zeros(HIDDEN, np.float32)
        scale, shift = self._constant(one), self._constant(none)
        return self._op("LayerNormalization", x, scale, shift, epsilon=1e-12)

    def _op(self, operator: str, *given: str, to: str = "", **attributes: Any) -> str:
        made = to or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, given, [made], **attributes))
        return made

    def _weight(self, shape: tuple[int, ...], size: float) -> str:
        values = self._random.standard_normal(shape, np.float32) * np.float32(size)
        return self._constant(values)

    def _constant(self, values: NDArray[Any] | np.float32) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name
