"""The forecaster: members that each read what is known in their own way, weighed into one point
forecast, and errors on rows that taught nothing, which become its quantiles.

    values, known ──members──▶ points ──weighing──▶ point ──link──▶ mean
                                                      └── + errors per level ──link──▶ quantiles

A set differs from another in its members and in how they are weighed, in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Values = NDArray[np.float64]
Frame = Literal["last", "spread", "season", "size"]
"""What a member takes for zero and for one: the last value and one; the mean and deviation; the
mean and the seasonal error; zero and the mean absolute value."""
_LEAST = 1e-6


def fixed(array: Values) -> nn.Parameter:
    """Weights that no optimiser moves."""
    return nn.Parameter(torch.from_numpy(np.asarray(array, np.float32)), requires_grad=False)


def framed(past: Tensor, frame: Frame, *, season: int, recent: int) -> tuple[Tensor, Tensor]:
    """(zero, one) of each window, judged by its last `recent` values."""
    if frame == "last":
        last = past[..., -1:]
        return last, torch.ones_like(last)
    near = past[..., -recent:]
    size = near.abs().mean(-1, keepdim=True)
    if frame == "size":
        return torch.zeros_like(size), size + _LEAST
    mean = near.mean(-1, keepdim=True)
    if frame == "spread":
        return mean, (near - mean).square().mean(-1, keepdim=True).sqrt() + _LEAST
    moves = (past[..., season:] - past[..., :-season]).abs().mean(-1, keepdim=True)
    return mean, torch.maximum(moves, 1e-3 * size + _LEAST)


class Linear(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """A linear map of the last values, in a frame of reference."""

    def __init__(
        self,
        weights: Values,
        bias: Values | None = None,
        *,
        frame: Frame = "last",
        season: int = 1,
        recent: int = 1,
    ) -> None:
        """`weights` (reach, horizon), `bias` (horizon,)."""
        super().__init__()
        self.reach = len(weights)
        self.weights = fixed(weights)
        self.bias = fixed(np.zeros(weights.shape[1]) if bias is None else bias)
        self._frame: Frame = frame
        self._season, self._recent = season, recent

    def forward(self, values: Tensor) -> Tensor:
        past = values[..., -self.reach :]
        zero, one = framed(past, self._frame, season=self._season, recent=self._recent)
        ahead: Tensor = ((past - zero) / one @ self.weights + self.bias) * one + zero
        return ahead


class Fixed(nn.Module):  # type: ignore[misc]
    """The same shares for every window. They add up to 1."""

    def __init__(self, shares: Sequence[float]) -> None:
        super().__init__()
        self.shares = fixed(np.array(shares)[:, None])

    def forward(self, points: Tensor, past: Tensor, members: nn.ModuleList) -> Tensor:
        return (points * self.shares).sum(-2)


class Checked(nn.Module):  # type: ignore[misc]
    """Shares by how each member would have done on the window's own recent past: it is asked
    `checks` times from earlier origins, a horizon apart, and compared with what came."""

    def __init__(self, horizon: int, *, checks: int, power: float) -> None:
        """Share of a member ~ (mean absolute error) ** -`power`."""
        super().__init__()
        self._horizon, self._checks, self._power = horizon, checks, power
        self.words = f"{checks} checks, power {power:g}"

    def forward(self, points: Tensor, past: Tensor, members: nn.ModuleList) -> Tensor:
        wrong = torch.zeros_like(points[..., 0])
        for back in range(self._horizon, (self._checks + 1) * self._horizon, self._horizon):
            after = past.shape[-1] - back
            came = past[..., after : after + self._horizon].unsqueeze(-2)
            said = torch.stack([member(past[..., :after]) for member in members], -2)
            wrong = wrong + (said - came).abs().mean(-1)
        relative = wrong / (wrong.mean(-1, keepdim=True) + _LEAST)
        share = torch.softmax(-self._power * torch.log(relative.clamp(min=1e-3)), -1)
        return (points * share.unsqueeze(-1)).sum(-2)


class Identity(nn.Module):  # type: ignore[misc]
    """The link of a series that may take any value."""

    def forward(self, point: Tensor) -> Tensor:
        return point


class Forecaster(nn.Module):  # type: ignore[misc]
    """(batch, [series,] context) and what is known beside -> quantiles
    (batch, [series,] levels, horizon) and mean (batch, [series,] horizon), in scaled units."""

    def __init__(
        self,
        members: Sequence[nn.Module],
        weighing: nn.Module,
        errors: Values,
        *,
        link: nn.Module | None = None,
        width: nn.Module | None = None,
    ) -> None:
        """`errors` ([series,] levels, horizon), in the units of the members, or, where they are not
        equally large at all times, of what `width` expects: (batch, 1) of the same inputs."""
        super().__init__()
        self.members = nn.ModuleList(members)
        self.weighing = weighing
        self.errors = fixed(errors)
        self.link = link or Identity()
        self.width = width

    def point(self, values: Tensor, known: Tensor | None = None) -> Tensor:
        """The forecast in the units of the members."""
        beside = () if known is None else (known,)
        points = torch.stack([member(values, *beside) for member in self.members], -2)
        weighed: Tensor = self.weighing(points, values, self.members)
        return weighed

    def forward(self, values: Tensor, known: Tensor | None = None) -> tuple[Tensor, Tensor]:
        point = self.point(values, known)
        errors: Tensor = self.errors
        if self.width is not None:
            beside = () if known is None else (known,)
            errors = self.width(values, *beside).unsqueeze(-1) * errors
        spread = point.unsqueeze(-2) + errors
        return self.link(spread), self.link(point)


def applied(
    module: Callable[..., Tensor], *inputs: NDArray[np.float32], rows: int = 2048
) -> Values:
    """What a module, or a function of tensors, gives, in blocks that fit memory."""
    found = []
    with torch.no_grad():
        for first in range(0, len(inputs[0]), rows):
            part = (torch.from_numpy(array[first : first + rows]) for array in inputs)
            found.append(module(*part).numpy().astype(np.float64))
    return np.concatenate(found)


def quantiles_of(errors: NDArray[Any], levels: Sequence[float]) -> Values:
    """(n, …, horizon) -> (…, levels, horizon): what to add for each level, without crossings.

    Ranks among n + 1, as split conformal prediction takes them, so that n errors and the next one
    are exchangeable.
    """
    n, level = len(errors), np.array(levels)
    outer = np.clip(np.ceil(np.maximum(level, 1 - level) * (n + 1)) / n, 0, 1)
    ranks = np.where(level < 0.5, 1 - outer, np.where(level > 0.5, outer, 0.5))
    return np.moveaxis(np.quantile(errors, ranks, axis=0), 0, -2)
