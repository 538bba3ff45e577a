"""Texts as ragged bags of buckets, made by the tokeniser that serves, and batches of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plaza_models.text.ngrams import NgramOptions, bucket_counts, split


@dataclass(frozen=True, slots=True)
class Batch:
    """Arguments of `torch.nn.functional.embedding_bag`: flat buckets, offsets, flat weights."""

    indices: Tensor
    offsets: Tensor
    weights: Tensor


class Bags:
    """The features of many texts; row i belongs to text i."""

    def __init__(self, texts: Sequence[str], options: NgramOptions) -> None:
        self.indices: list[NDArray[np.int64]] = []
        self.weights: list[NDArray[np.float32]] = []
        for text in texts:
            counts = bucket_counts(split(text, options.unit), options)
            raw = np.fromiter(counts.values(), np.float32, len(counts))
            self.indices.append(np.fromiter(counts.keys(), np.int64, len(counts)))
            self.weights.append(np.sqrt(raw / raw.sum()))

    def __len__(self) -> int:
        return len(self.indices)

    def batch(
        self, rows: Iterable[int], *, random: np.random.Generator | None = None, drop: float = 0.0
    ) -> Batch:
        """The bags of `rows`. With `random`, each feature is left out with chance `drop`."""
        indices, weights = [], []
        for row in rows:
            index, weight = self.indices[row], self.weights[row]
            if random is not None and drop:
                keep = random.random(len(index)) >= drop
                index, weight = index[keep], weight[keep] / np.float32(1 - drop)
            indices.append(index)
            weights.append(weight)
        lengths = [len(index) for index in indices]
        offsets = np.concatenate(([0], np.cumsum(lengths)[:-1]))
        return Batch(
            torch.from_numpy(np.concatenate(indices)),
            torch.from_numpy(offsets.astype(np.int64)),
            torch.from_numpy(np.concatenate(weights)),
        )

    def rarity(self, buckets: int) -> NDArray[np.float32]:
        """Inverse document frequency of every bucket; 0 of one never seen, whose vector nothing has
        taught and which would only be noise in the sum."""
        seen = np.zeros(buckets)
        for index in self.indices:
            seen[index] += 1
        found = np.log((len(self) + 1) / (seen + 1)) * (seen > 0)
        return found.astype(np.float32)
