"""A transformer encoder of texts with random weights, as exporters write them, as a bundle.

    input_ids, attention_mask, token_type_ids ─▶ layers of attention ─▶ last_hidden_state

Its vectors mean nothing; its work, its tensors and its options are those of a sentence encoder: six
layers of 384 numbers are all-MiniLM-L6-v2, whose own weights `plaza train all-minilm-l6-v2` puts
into a bundle. Its tokeniser cuts words into up to `letters` letters.

    python -m benchmarks.encoders DIRECTORY
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from string import ascii_lowercase, digits
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from benchmarks.graphs import Graph, graph
from plaza_core.tensors import DType, TensorSpec

IDS, MASK, TYPES, STATES = "input_ids", "attention_mask", "token_type_ids", "last_hidden_state"
AXIS = "tokens"
TOKENIZER_FILE = "tokenizer.json"
MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
SIZES = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_FAR = -1e9
TARGET_MS = 2000
"""For who prefers throughput: runs may take a second, and eight short texts cost four alone."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Of the encoder; the defaults are those of all-MiniLM-L6-v2."""

    layers: int = 6
    width: int = 384
    heads: int = 12
    letters: int = 3
    sizes: Sequence[int] = SIZES


SMALL = Shape(layers=2, width=32, heads=4, letters=1, sizes=(8, 16, 32))
"""For tests."""


def vocabulary(letters: int) -> list[str]:
    """Marks, digits, and every run of up to `letters` letters, as beginning and as continuation."""
    runs = [
        "".join(run) for n in range(1, letters + 1) for run in product(ascii_lowercase, repeat=n)
    ]
    pieces = [*digits, *runs]
    return [*MARKS, *pieces, *(f"##{piece}" for piece in pieces), *".,;:?!'-"]


def tokenizer(letters: int) -> dict[str, Any]:
    """A file of the tokenizers library: marks at both ends, case does not count."""
    numbers = {piece: number for number, piece in enumerate(vocabulary(letters))}
    first, last = ({"id": mark, "ids": [numbers[mark]], "tokens": [mark]} for mark in MARKS[2:])
    single = [
        {"SpecialToken": {"id": first["id"], "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": last["id"], "type_id": 0}},
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": single,
            "pair": single,
            "special_tokens": {mark["id"]: mark for mark in (first, last)},
        },
        "decoder": None,
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": numbers,
        },
    }


def write(directory: Path, name: str, shape: Shape = Shape(), *, pooling: str = "mean") -> Path:
    """Make `directory` the bundle of an embedder. Returns it."""
    made = encoder(name, shape)
    manifest = {
        **made.manifest,
        "family": "text.embed",
        "options": {
            "tokenizer": TOKENIZER_FILE,
            "pooling": pooling,
            "width": shape.sizes[-1],
            "max_characters": 20_000,
        },
        "buckets": {AXIS: list(shape.sizes)},
        "limits": {**made.manifest["limits"], "latency_target_ms": TARGET_MS},
    }
    replace(made, manifest=manifest).write(directory)
    file = json.dumps(tokenizer(shape.letters), ensure_ascii=False)
    (directory / TOKENIZER_FILE).write_text(file, encoding="utf-8")
    return directory


def encoder(name: str, shape: Shape = Shape(), seed: int = 0) -> Graph:
    """The model alone, with a manifest of the family `tensor`."""
    nodes = _Nodes(np.random.default_rng(seed), shape)
    last = nodes.embedded(len(vocabulary(shape.letters)))
    for _ in range(shape.layers):
        last = nodes.layer(last)
    nodes.add("Identity", last, out=STATES)
    given = [TensorSpec(one, DType.INT64, ("batch", AXIS)) for one in (IDS, MASK, TYPES)]
    made = [TensorSpec(STATES, DType.FP32, ("batch", AXIS, shape.width))]
    return graph(name, nodes.nodes, given, made, nodes.weights)


@dataclass(slots=True)
class _Nodes:
    """Writes one node after another."""

    random: np.random.Generator
    shape: Shape
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    far: str = ""
    """What is added to the likeness of pieces that the mask hides."""

    def add(self, operator: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        out = out or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [out], **attributes))
        return out

    def constant(self, *values: float, kind: type[np.generic] = np.int64) -> str:
        """A vector, or with one number of another kind a scalar."""
        array = np.array(values, kind)
        return self._keep(array if kind is np.int64 else array.reshape(()))

    def drawn(self, *shape: int) -> str:
        values = self.random.standard_normal(shape, np.float32) / np.float32(shape[0] ** 0.5)
        return self._keep(values)

    def embedded(self, pieces: int) -> str:
        """Pieces, places and types as states; and the mask, made ready for every layer."""
        width = self.shape.width
        places = self.drawn(self.shape.sizes[-1], width)
        count = self.add("Shape", IDS, start=1, end=2)
        place = self.add("Slice", places, self.constant(0), count)
        states = self.add("Add", self.add("Gather", self.drawn(pieces, width), IDS), place)
        states = self.add("Add", states, self.add("Gather", self.drawn(2, width), TYPES))
        seen = self.add("Cast", MASK, to=onnx.TensorProto.FLOAT)
        hidden = self.add("Sub", self.constant(1, kind=np.float32), seen)
        far = self.add("Mul", hidden, self.constant(_FAR, kind=np.float32))
        self.far = self.add("Unsqueeze", far, self.constant(1, 2))
        return self.normal(states)

    def layer(self, states: str) -> str:
        width, heads = self.shape.width, self.shape.heads
        query, key, value = (self.heads(self.dense(states, width, width)) for _ in range(3))
        likeness = self.add("MatMul", query, self.add("Transpose", key, perm=[0, 1, 3, 2]))
        scale = self.constant((width / heads) ** -0.5, kind=np.float32)
        likeness = self.add("Add", self.add("Mul", likeness, scale), self.far)
        mixed = self.add("MatMul", self.add("Softmax", likeness, axis=-1), value)
        mixed = self.add("Transpose", mixed, perm=[0, 2, 1, 3])
        mixed = self.add("Reshape", mixed, self.constant(0, 0, width))
        states = self.normal(self.add("Add", states, self.dense(mixed, width, width)))
        inner = self.add("Gelu", self.dense(states, width, 4 * width))
        return self.normal(self.add("Add", states, self.dense(inner, 4 * width, width)))

    def dense(self, states: str, given: int, made: int) -> str:
        product_ = self.add("MatMul", states, self.drawn(given, made))
        return self.add("Add", product_, self.drawn(made))

    def heads(self, states: str) -> str:
        heads = self.shape.heads
        split = self.constant(0, 0, heads, self.shape.width // heads)
        return self.add("Transpose", self.add("Reshape", states, split), perm=[0, 2, 1, 3])

    def normal(self, states: str) -> str:
        ones = self._keep(np.ones(self.shape.width, np.float32))
        zeros = self._keep(np.zeros(self.shape.width, np.float32))
        return self.add("LayerNormalization", states, ones, zeros, axis=-1, epsilon=1e-12)

    def _keep(self, values: NDArray[Any]) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name


if __name__ == "__main__":
    print(write(Path(sys.argv[1]), "random-encoder"))  # noqa: T201 a command's answer
