"""From pixels to metres on the road, and speeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plaza_core.errors import InvalidInput

Plane = NDArray[np.float64]
"""3 x 3: homogeneous pixels to homogeneous metres."""

_WINDOW = 0.4
"""Seconds over which a speed is measured: boxes tremble from frame to frame."""


def plane(
    metres_per_pixel: float | None, points: Sequence[tuple[float, float, float, float]]
) -> Plane | None:
    """Raises InvalidInput for a scale that is none, or for points that fix no plane."""
    if points:
        if metres_per_pixel is not None:
            raise InvalidInput("give metres_per_pixel or ground, not both", input="ground")
        return _through(points)
    if metres_per_pixel is None:
        return None
    if not 0 < metres_per_pixel < 1000:
        raise InvalidInput("metres per pixel lie between 0 and 1000", input="metres_per_pixel")
    return np.diag((metres_per_pixel, metres_per_pixel, 1.0))


def _through(points: Sequence[tuple[float, float, float, float]]) -> Plane:
    """The one projective map with these four pairs (direct linear transform)."""
    table = np.array(points, np.float64)
    if table.shape != (4, 4) or not np.isfinite(table).all():
        raise InvalidInput("ground takes four points of four numbers", input="ground")
    rows, right = [], []
    for x, y, east, north in table:
        rows.append([x, y, 1, 0, 0, 0, -east * x, -east * y])
        rows.append([0, 0, 0, x, y, 1, -north * x, -north * y])
        right += [east, north]
    matrix = np.array(rows)
    # Lengths of columns differ by orders of magnitude; the condition is asked without them.
    scale = np.abs(matrix).max(0).clip(1e-12)
    if np.linalg.cond(matrix / scale) > 1e9:
        raise InvalidInput("three of the points of ground lie in a row", input="ground")
    solved = np.linalg.solve(matrix / scale, np.array(right)) / scale
    return np.append(solved, 1.0).reshape(3, 3)


def metres(where: Plane, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2) pixels to metres; NaN beyond the horizon."""
    there = np.concatenate((points, np.ones((len(points), 1))), 1) @ where.T
    depth = there[:, 2:]
    return np.where(np.abs(depth) > 1e-9, there[:, :2] / np.where(depth == 0, 1, depth), np.nan)


def speed_kmh(where: Plane, seconds: Sequence[float], points: NDArray[np.float64]) -> float | None:
    """The median of the speeds over all windows of `_WINDOW` seconds; None where there is none."""
    times, places = np.array(seconds), metres(where, points)
    speeds = []
    for start, time in enumerate(times):
        ends = np.flatnonzero(times >= time + _WINDOW - 1e-9)
        if len(ends):
            moved = float(np.hypot(*(places[ends[0]] - places[start])))
            speeds.append(3.6 * moved / float(times[ends[0]] - time))
    finite = [speed for speed in speeds if np.isfinite(speed)]
    return round(float(np.median(finite)), 2) if finite else None
