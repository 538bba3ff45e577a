"""Where boxes will be: a Kalman filter of constant speed for centre and size, all tracks at once.

Each of the four numbers (centre x, y, width, height) has its own place and speed; the noise grows
with the height of the box, as in Wojke et al., Simple Online and Realtime Tracking with a Deep
Association Metric (2017), and with the time between frames.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaza_models.vision.fit import Boxes

Means = NDArray[np.float64]
"""(N, 4, 2): place in pixels and speed in pixels per second."""
Spreads = NDArray[np.float64]
"""(N, 4, 2, 2): covariances."""

_PLACE = 0.05
"""Standard deviation of a measured place, in heights of the box."""
_PUSH = 0.8
"""Standard deviation of the change of speed within a second, in heights per second."""
_UNKNOWN = 3.0
"""Standard deviation of the speed of what was just seen first, in heights per second."""


def begin(boxes: Boxes) -> tuple[Means, Spreads]:
    """Standing still, as far as one frame can tell."""
    places = _places(boxes)
    means = np.stack((places, np.zeros_like(places)), 2)
    heights = _heights(places)
    spreads = np.zeros((*places.shape, 2, 2))
    spreads[..., 0, 0] = (_PLACE * heights) ** 2
    spreads[..., 1, 1] = (_UNKNOWN * heights) ** 2
    # Sizes change slowly, however fast the object moves.
    spreads[:, 2:, 1, 1] /= 25
    return means, spreads


def predict(means: Means, spreads: Spreads, seconds: float) -> tuple[Means, Spreads]:
    move = np.array([[1, seconds], [0, 1]])
    heights = _heights(means[..., 0])
    noise = np.array([[seconds**3 / 3, seconds**2 / 2], [seconds**2 / 2, seconds]])
    push = (_PUSH * heights) ** 2
    return means @ move.T, move @ spreads @ move.T + push[..., None, None] * noise


def correct(means: Means, spreads: Spreads, boxes: Boxes) -> tuple[Means, Spreads]:
    """With one measured box for each."""
    missed = _places(boxes) - means[..., 0]
    doubt = spreads[..., 0, 0] + (_PLACE * _heights(means[..., 0])) ** 2
    gain = spreads[..., 0] / doubt[..., None]
    means = means + gain * missed[..., None]
    return means, spreads - gain[..., None] * spreads[..., :1, :]


def boxes_of(means: Means) -> Boxes:
    centre, half = means[:, :2, 0], means[:, 2:, 0].clip(1) / 2
    return np.concatenate((centre - half, centre + half), 1).astype(np.float32)


def _places(boxes: Boxes) -> NDArray[np.float64]:
    table = boxes.astype(np.float64)
    return np.concatenate(((table[:, :2] + table[:, 2:]) / 2, table[:, 2:] - table[:, :2]), 1)


def _heights(places: NDArray[np.float64]) -> NDArray[np.floating[Any]]:
    """(N, 1); never 0, for what has no height still has a place."""
    return places[:, 3:4].clip(4)
