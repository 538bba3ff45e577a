"""Overlap is a fraction, and of two boxes of one class on one object the better one stays."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from plaza_models.vision.nms import iou, suppress


def box(x1, y1, x2, y2):
    return np.array([[x1, y1, x2, y2]], dtype=np.float32)


def test_iou_of_known_pairs():
    assert iou(box(0, 0, 10, 10), box(0, 0, 10, 10))[0, 0] == 1
    assert iou(box(0, 0, 10, 10), box(5, 0, 15, 10))[0, 0] == np.float32(50 / 150)
    assert iou(box(0, 0, 10, 10), box(20, 20, 30, 30))[0, 0] == 0
    assert iou(box(5, 5, 5, 5), box(5, 5, 5, 5))[0, 0] == 0  # no area, no overlap, no warning


def test_the_better_of_two_boxes_on_one_object_stays():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 0, 60, 10]], dtype=np.float32)
    scores = np.array([0.6, 0.9, 0.5], dtype=np.float32)
    same, other = np.zeros(3, dtype=np.intp), np.array([0, 1, 0], dtype=np.intp)
    assert suppress(boxes, scores, same, threshold=0.5, limit=9).tolist() == [1, 2]
    assert suppress(boxes, scores, other, threshold=0.5, limit=9).tolist() == [1, 0, 2]
    assert suppress(boxes, scores, other, threshold=0.5, limit=2).tolist() == [1, 0]


def test_nothing_in_nothing_out():
    empty = suppress(
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.float32),
        np.zeros(0, np.intp),
        threshold=0.5,
        limit=5,
    )
    assert empty.tolist() == []


@st.composite
def candidates(draw):
    n = draw(st.integers(1, 30))
    corner = np.array(draw(st.lists(st.tuples(*[st.integers(0, 50)] * 2), min_size=n, max_size=n)))
    side = np.array(draw(st.lists(st.tuples(*[st.integers(1, 30)] * 2), min_size=n, max_size=n)))
    scores = draw(st.lists(st.integers(0, 100), min_size=n, max_size=n))
    classes = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    boxes = np.concatenate((corner, corner + side), 1).astype(np.float32)
    return boxes, np.array(scores, np.float32) / 100, np.array(classes, np.intp)


@given(candidates(), st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_what_stays_is_sorted_and_apart_and_covers_what_went(case, threshold):
    boxes, scores, classes = case
    kept = suppress(boxes, scores, classes, threshold=threshold, limit=100)
    assert (np.diff(scores[kept]) <= 0).all()
    overlap = iou(boxes, boxes)
    for place, this in enumerate(kept):
        for that in kept[place + 1 :]:
            assert classes[this] != classes[that] or overlap[this, that] <= threshold
    for gone in set(range(len(boxes))) - set(kept.tolist()):
        assert any(
            classes[k] == classes[gone]
            and overlap[k, gone] > threshold
            and scores[k] >= scores[gone]
            for k in kept
        )
