"""Figures come with an interval, and a bar is reached from the right side."""

import numpy as np

from plaza_training.vision.measure import Measured, bootstrap
from plaza_training.vision.metrics import Judged, average_precision, count_error


def picture(rng, found):
    """Four vehicles, of which `found` are found exactly."""
    corner = np.array([[0, 0], [40, 0], [0, 40], [40, 40]]) + rng.uniform(0, 5, (4, 2))
    boxes = np.concatenate((corner, corner + 20), 1).astype(np.float32)
    return Judged(boxes[:found], np.full(found, 0.9, np.float32), boxes)


def test_the_interval_holds_the_value_and_shrinks_with_more_frames():
    rng = np.random.default_rng(0)
    few = [picture(rng, int(rng.integers(1, 5))) for _ in range(10)]
    many = [picture(rng, int(rng.integers(1, 5))) for _ in range(160)]
    widths = []
    for frames in (few, many):
        low, high = bootstrap(frames, average_precision)
        assert low < average_precision(frames) < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_the_interval_is_the_same_every_time():
    frames = [picture(np.random.default_rng(i), i % 4 + 1) for i in range(12)]
    assert bootstrap(frames, average_precision) == bootstrap(frames, average_precision)


def test_a_bar_is_reached_from_its_own_side():
    rng = np.random.default_rng(0)
    frames = [picture(rng, 3)] * 5
    error = count_error(frames, 0.5)
    assert error == 1
    assert Measured("count", 5, error, 1, 1, 2.5, at_least=False).reached
    assert not Measured("ap", 5, 0.75, 0.7, 0.8, 0.85).reached
    assert Measured("ap", 5, 0.75, 0.7, 0.8, None).reached is None
