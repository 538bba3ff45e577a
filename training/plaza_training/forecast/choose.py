"""Which members make the forecast: those that together do best on validation, found greedily.

Members may be taken more than once, which is how shares come about. The search cannot fit much:
twenty choices among a few dozen candidates (Caruana et al., 2004, on ensembles from libraries).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Loss = Callable[[Values], float]
"""Of a forecast, on validation."""
Name = TypeVar("Name")


def squared_error(actual: NDArray[Any]) -> Loss:
    return lambda forecast: float(((forecast - actual) ** 2).mean())


def absolute_error(actual: NDArray[Any]) -> Loss:
    return lambda forecast: float(np.abs(forecast - actual).mean())


def shares_of(
    forecasts: Mapping[Name, Values], loss: Loss, *, rounds: int = 20
) -> dict[Name, float]:
    """Name -> share, of those that were chosen. Stops when no member makes the mean better."""
    chosen: list[Name] = []
    total: Values | float = 0.0
    best = np.inf
    for taken in range(1, rounds + 1):
        tried = {name: loss((total + one) / taken) for name, one in forecasts.items()}
        name = min(tried, key=lambda key: tried[key])
        if not tried[name] < best:
            break
        best, total = tried[name], total + forecasts[name]
        chosen.append(name)
    if not chosen:
        raise ValueError("no member gives a number")
    return {name: chosen.count(name) / len(chosen) for name in dict.fromkeys(chosen)}
