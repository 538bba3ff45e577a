"""The numbers on the card, checked on cases worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_training.vision.metrics import (
    Judged,
    average_precision,
    count_error,
    counting_threshold,
    mean_average_precision,
    precision_recall,
)


def judged(predicted, truth):
    """`predicted`: rows of x1, y1, x2, y2, score, best first."""
    table = np.array(predicted, np.float32).reshape(-1, 5)
    return Judged(table[:, :4], table[:, 4], np.array(truth, np.float32).reshape(-1, 4))


A, B, C = [0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]
NOTHING = [70, 70, 80, 80]


def test_average_precision_by_hand():
    """Right, wrong, right of three objects: recall 1/3 at precision 1, 2/3 at 2/3."""
    picture = judged([[*A, 0.9], [*NOTHING, 0.8], [*B, 0.7]], [A, B, C])
    assert average_precision([picture]) == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)


def test_precision_is_made_monotone():
    """Wrong, then two right of two: precision 1/2, 2/3; the envelope lifts both steps to 2/3."""
    picture = judged([[*NOTHING, 0.9], [*A, 0.8], [*B, 0.7]], [A, B])
    assert average_precision([picture]) == pytest.approx(2 / 3)


def test_scores_are_ranked_over_all_pictures():
    first = judged([[*A, 0.6]], [A])
    second = judged([[*NOTHING, 0.9]], [B])
    assert average_precision([first, second]) == pytest.approx(0.5 * 0.5)
    assert average_precision([first]) == 1


def test_an_object_is_found_once():
    twice = judged([[*A, 0.9], [*A, 0.8]], [A, B])
    assert average_precision([twice]) == pytest.approx(0.5)


def test_a_second_box_may_claim_the_object_next_to_it():
    """Both predictions lie best on the first object; the second one still covers the other."""
    picture = judged([[0, 0, 10, 10, 0.9], [2, 0, 12, 10, 0.8]], [[0, 0, 10, 10], [4, 0, 14, 10]])
    assert average_precision([picture]) == 1


def test_a_looser_box_counts_at_lower_overlaps_only():
    picture = judged([[0, 0, 10, 8, 0.9]], [A])  # IoU 0.8
    assert average_precision([picture], 0.75) == 1
    assert average_precision([picture], 0.85) == 0
    assert mean_average_precision([picture]) == pytest.approx(0.7, abs=0.11)


def test_edges():
    assert math.isnan(average_precision([judged([], [])]))
    assert average_precision([judged([], [A])]) == 0
    assert average_precision([judged([[*A, 0.9]], []), judged([[*A, 0.8]], [A])]) == 0.5


def test_counting():
    pictures = [
        judged([[*A, 0.9], [*B, 0.5], [*C, 0.2]], [A, B]),
        judged([[*A, 0.8], [*B, 0.3]], [A]),
    ]
    assert count_error(pictures, 0.1) == 1
    assert count_error(pictures, 0.45) == 0
    threshold = counting_threshold(pictures)
    assert 0.3 < threshold <= 0.5
    assert count_error(pictures, threshold) == 0
    assert precision_recall(pictures, 0.45) == (1, 1)
    assert precision_recall(pictures, 0.85) == (1, pytest.approx(1 / 3))


boxes = st.lists(
    st.tuples(st.integers(0, 90), st.integers(0, 90), st.integers(1, 40), st.integers(1, 40)),
    min_size=1,
    max_size=8,
    unique_by=lambda b: (b[0], b[1]),
)


@given(boxes, st.randoms(use_true_random=False))
def test_a_perfect_detector_scores_one_and_misses_lower_it(corners, random):
    truth = [[x, y, x + w, y + h] for x, y, w, h in corners]
    scores = sorted((random.uniform(0.1, 1) for _ in truth), reverse=True)
    perfect = judged([[*box, score] for box, score in zip(truth, scores, strict=True)], truth)
    assert average_precision([perfect]) == pytest.approx(1)
    worse = Judged(perfect.boxes[:-1], perfect.scores[:-1], perfect.truth)
    assert average_precision([worse]) == pytest.approx(1 - 1 / len(truth))
