"""Windows over many series: what lies before an origin and what follows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plaza_training.forecast.sets import Series

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Windows:
    """All windows whose first forecast step lies in [first, last - horizon].

    The past of a window may reach back before `first`; its future never reaches `last`. So
    neighbouring ranges share no value to be forecast.
    """

    series: Series
    context: int
    horizon: int
    first: int
    last: int
    apart: tuple[int, int] | None = None
    """First and last + 1 of rows that no future reaches into."""

    def __post_init__(self) -> None:
        if self.first < self.context or self.last - self.horizon < self.first:
            raise ValueError("the range is too short for one window")

    @property
    def origins(self) -> Indices:
        every = np.arange(self.first, self.last - self.horizon + 1)
        if self.apart is None:
            return every
        begin, end = self.apart
        return every[(every + self.horizon <= begin) | (every >= end)]

    def __len__(self) -> int:
        return len(self.origins) * int(self.series.shape[1])

    def take(self, origins: Indices, columns: Indices) -> tuple[Series, Series]:
        """(past, future) of each (origin, column) pair: (n, context) and (n, horizon)."""
        past = self.series[origins[:, None] + np.arange(-self.context, 0), columns[:, None]]
        future = self.series[origins[:, None] + np.arange(self.horizon), columns[:, None]]
        return past, future

    def draw(self, random: np.random.Generator, size: int) -> tuple[Series, Series]:
        """Windows drawn evenly, with replacement."""
        origins = self.origins
        drawn = origins[random.integers(len(origins), size=size)]
        return self.take(drawn, random.integers(self.series.shape[1], size=size))

    def by_column(self) -> Iterator[tuple[Series, Series]]:
        """Every window, one series after the other."""
        origins = self.origins
        for column in range(self.series.shape[1]):
            yield self.take(origins, np.full(len(origins), column))
