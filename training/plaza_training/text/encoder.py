"""An encoder of the BERT kind in plain torch, from the weights of a file: asked, and exported.

    ids, mask ─embeddings─▶ states ─layers of attention─▶ states ─mean over pieces─▶ (n, width)

Names of the weights are those of the `transformers` library. How many layers there are, and how
wide, the weights say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_EPSILON = 1e-12
_FAR = -1e9
"""Added to the likeness of pieces that the mask hides: their part becomes 0, and a text without any
piece is a number nevertheless."""


class Encoder(nn.Module):  # type: ignore[misc]  # torch is untyped here
    def __init__(self, weights: Mapping[str, Tensor], heads: int) -> None:
        super().__init__()
        self._heads = heads
        self._weights = nn.ParameterDict(
            {_key(name): nn.Parameter(one, requires_grad=False) for name, one in weights.items()}
        )
        self._layers = sum(name.endswith(".attention.self.query.weight") for name in weights)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(n, pieces) numbers of pieces, and 1 where there is one; (n, width), of any length."""
        states = self._embed(ids)
        seen = mask.to(states.dtype)
        far = ((1 - seen) * _FAR)[:, None, None, :]
        for layer in range(self._layers):
            states = self._layer(states, far, f"encoder.layer.{layer}.")
        states, seen = states.float(), seen.float()
        return (states * seen[:, :, None]).sum(1) / seen.sum(1, keepdim=True).clamp(min=1)

    def alone(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The mean of the pieces' own vectors, before any layer: what layers are held against."""
        rows = self._weight("embeddings.word_embeddings.weight")[ids].float()
        return (rows * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)

    def _weight(self, name: str) -> Tensor:
        found: Tensor = self._weights[_key(name)]
        return found

    def _embed(self, ids: Tensor) -> Tensor:
        at = "embeddings."
        places = torch.arange(ids.shape[1], device=ids.device)
        states = functional.embedding(ids, self._weight(f"{at}word_embeddings.weight"))
        states = states + functional.embedding(
            places, self._weight(f"{at}position_embeddings.weight")
        )
        states = states + self._weight(f"{at}token_type_embeddings.weight")[0]
        return self._norm(states, f"{at}LayerNorm")

    def _layer(self, states: Tensor, far: Tensor, at: str) -> Tensor:
        query, key, value = (
            self._linear(states, f"{at}attention.self.{name}")
            .unflatten(2, (self._heads, -1))
            .transpose(1, 2)
            for name in ("query", "key", "value")
        )
        likeness = query @ key.transpose(2, 3) * query.shape[3] ** -0.5 + far
        mixed = (functional.softmax(likeness, dim=-1) @ value).transpose(1, 2).flatten(2)
        mixed = self._linear(mixed, f"{at}attention.output.dense")
        states = self._norm(states + mixed, f"{at}attention.output.LayerNorm")
        inner = functional.gelu(self._linear(states, f"{at}intermediate.dense"))
        return self._norm(
            states + self._linear(inner, f"{at}output.dense"), f"{at}output.LayerNorm"
        )

    def _linear(self, states: Tensor, name: str) -> Tensor:
        return functional.linear(
            states, self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        )

    def _norm(self, states: Tensor, name: str) -> Tensor:
        weight, bias = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return functional.layer_norm(states, weight.shape, weight, bias, _EPSILON)


def read_weights(path: Path) -> dict[str, Tensor]:
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


def _key(name: str) -> str:
    """A dictionary of parameters takes no dots."""
    return name.replace(".", "/")
