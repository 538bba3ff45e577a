"""The forecaster: a linear map of the recent past plus a small network's correction.

Both parts see differences to the last value, so where nothing has been learnt the forecast is that
value: persistence is the starting point and everything learnt is a departure from it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class QuantileNetwork(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """(batch, context) -> (batch, levels, horizon), in scaled units."""

    def __init__(
        self, context: int, horizon: int, levels: int, *, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self._shape = (levels, horizon)
        self.linear = nn.Linear(context, levels * horizon)
        self.correction = nn.Sequential(
            nn.Linear(context + 1, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, levels * horizon),
        )
        for layer in (self.linear, self.correction[-1]):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, values: Tensor) -> Tensor:
        last = values[:, -1:]
        moves = values - last
        # The level itself matters too: a road at free flow can only become slower.
        ahead = self.linear(moves) + self.correction(torch.cat((moves, last), dim=1))
        return (ahead + last).unflatten(1, self._shape)


def pinball(forecast: Tensor, actual: Tensor, levels: Tensor) -> Tensor:
    """Loss of every quantile: (batch, levels, horizon) against (batch, horizon)."""
    error = actual.unsqueeze(1) - forecast
    level = levels.view(1, -1, 1)
    return torch.maximum(level * error, (level - 1) * error)
