"""A table of vectors: trained in float32 over ragged bags, exported over padded ones in fewer bits.

16 bits halve the file, 8 with a scale for each row quarter it. A row is widened after it has been
gathered, so nothing but the rows that a text needs is ever converted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from plaza_training.text.bags import Batch

FEATURES = "features"
"""Axis 1 of the exported inputs."""
WIDTHS = (32, 64, 128, 256, 384, 640)
"""What a text is padded to. Even: the runtime adds up an odd number of products in another order,
and a text shall have the same vector at every width. More steps pad less and join less: eleven cost
more than six where 32 requests wait."""

_LEVELS = 127


class BagEncoder(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Training form: sum of bucket vectors, weighted by feature and by rarity, then a linear map.

    Starting from random directions scaled by rarity, texts are compared about as TF-IDF would:
    training departs from there.
    """

    rarity: Tensor

    def __init__(
        self, rarity: NDArray[np.float32], dimension: int, outputs: int | None, dropout: float
    ) -> None:
        """`outputs` None leaves the sum as it is."""
        super().__init__()
        self.table = nn.Parameter(torch.empty(len(rarity), dimension))
        nn.init.normal_(self.table, std=0.5 / dimension**0.5)
        self.register_buffer("rarity", torch.from_numpy(rarity))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dimension, outputs) if outputs else None
        if self.head is not None:
            nn.init.normal_(self.head.weight, std=dimension**-0.5)
            nn.init.zeros_(self.head.bias)

    def forward(self, batch: Batch) -> Tensor:
        weights = batch.weights * self.rarity[batch.indices]
        rows = functional.embedding_bag(
            batch.indices, self.table, batch.offsets, mode="sum", per_sample_weights=weights
        )
        rows = self.dropout(rows)
        return self.head(rows) if self.head is not None else rows

    def served(self, *, temperature: float = 1.0, rounded: bool = False) -> ServedBag | ServedTable:
        """The exported form of these weights; outputs are divided by `temperature`. `rounded`: in
        8 bits."""
        table = (self.table * self.rarity.unsqueeze(1)).detach()
        kind = ServedTable if rounded else ServedBag
        if self.head is None:
            return kind(table / temperature, None)
        head = nn.Linear(self.head.in_features, self.head.out_features)
        head.load_state_dict({k: v / temperature for k, v in self.head.state_dict().items()})
        return kind(table, head)


def joined(members: Sequence[BagEncoder]) -> BagEncoder:
    """One encoder that gives the mean of what `members` give: their vectors side by side. They have
    learnt of the same bags, and have heads."""
    heads = [member.head for member in members if member.head is not None]
    tables = [member.table.detach() for member in members]
    width = sum(table.shape[1] for table in tables)
    found = BagEncoder(members[0].rarity.numpy(), width, None, 0.0)
    found.table.data = torch.cat(tables, dim=1)
    found.head = nn.Linear(width, heads[0].out_features)
    found.head.weight.data = torch.cat([h.weight.detach() for h in heads], dim=1) / len(heads)
    found.head.bias.data = torch.stack([h.bias.detach() for h in heads]).mean(dim=0)
    found.eval()
    return found


class ServedBag(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """(batch, width) indices and weights -> (batch, n) float32."""

    def __init__(self, table: Tensor, head: nn.Linear | None) -> None:
        super().__init__()
        self.table = nn.Parameter(table.half(), requires_grad=False)
        self.head = head

    def forward(self, indices: Tensor, weights: Tensor) -> Tensor:
        rows = functional.embedding(indices, self.table).float()
        summed = torch.matmul(weights.unsqueeze(1), rows).squeeze(1)
        return summed if self.head is None else self.head(summed)


class ServedTable(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """As `ServedBag`, from rows of 8 bits with a scale each."""

    def __init__(self, table: Tensor, head: nn.Linear | None = None) -> None:
        super().__init__()
        scale = table.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / _LEVELS
        rounded = (table / scale).round().to(torch.int8)
        self.table = nn.Parameter(rounded, requires_grad=False)
        self.scale = nn.Parameter(scale, requires_grad=False)
        self.head = head

    def forward(self, indices: Tensor, weights: Tensor) -> Tensor:
        rows = functional.embedding(indices, self.table).float()
        scaled = weights * functional.embedding(indices, self.scale).squeeze(2)
        summed = torch.matmul(scaled.unsqueeze(1), rows).squeeze(1)
        return summed if self.head is None else self.head(summed)
