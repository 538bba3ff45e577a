"""When two answers say the same."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from plaza_core.ids import Digest
from plaza_core.inference import Outcome, Timing
from plaza_models.tasks import Classified, Detection, Detections, Embedded, Forecast, Label
from plaza_serving.dataplane.compare import agree

TOLERANCE = 1e-3


def outcome(answer=None, **tensors):
    tensors = {name: np.asarray(value) for name, value in tensors.items()}
    return Outcome("m", 1, Digest("0" * 64), Timing(), 1, 1, tensors=tensors, answer=answer)


def same(one, other, tolerance=TOLERANCE):
    both = agree(one, other, tolerance)
    assert both == agree(other, one, tolerance), "nobody is the first"
    return both


def floats(*values, dtype=np.float32):
    return outcome(y=np.array(values, dtype))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1.0, 2.0], [1.0005, 2.0], True),
        ([1.0, 2.0], [1.01, 2.0], False),
        ([100.0, 1e-6], [100.0, -1e-6], True),  # noise about zero beside what counts
        ([1e-6, 2e-6], [1e-6, 3e-6], False),  # small, but all there is
        ([np.nan, 1.0], [np.nan, 1.0], True),
        ([np.nan, 1.0], [0.0, 1.0], False),
        ([np.inf, 1.0], [np.inf, 1.0], True),
        ([np.inf, 1.0], [-np.inf, 1.0], False),
        ([0.0, 0.0], [0.0, 0.0], True),
        ([0.0, 0.0], [0.0, 1e-9], False),
    ],
)
def test_real_numbers_within_the_tolerance(one, other, expected):
    assert same(floats(*one), floats(*other)) == expected


def test_precision_may_differ_but_not_the_kind():
    assert same(floats(0.5, 1.5), floats(0.5, 1.5, dtype=np.float16))
    assert not same(floats(1.0), outcome(y=np.array(["1.0"], object)))


def test_integers_labels_and_flags_are_equal_or_not():
    assert same(outcome(y=[1, 2]), outcome(y=[1, 2]))
    assert not same(outcome(y=[100_000]), outcome(y=[100_001]))
    assert not same(outcome(y=[True]), outcome(y=[False]))
    assert same(outcome(y=np.array([b"a"], object)), outcome(y=np.array([b"a"], object)))
    assert not same(outcome(y=np.array([b"a"], object)), outcome(y=np.array([b"b"], object)))


def test_another_shape_or_name_is_a_disagreement_not_an_error():
    assert not same(outcome(y=np.zeros((1, 2))), outcome(y=np.zeros((2, 1))))
    assert not same(outcome(y=np.zeros(2)), outcome(y=np.zeros(3)))
    assert not same(outcome(y=np.zeros(2)), outcome(z=np.zeros(2)))
    assert not same(outcome(y=np.zeros(2)), outcome(y=np.zeros(2), z=np.zeros(2)))
    assert not same(outcome(y=np.zeros(2)), outcome(answer={"y": [0.0, 0.0]}))


def detections(*boxes):
    return outcome(
        Detections(640, 480, tuple(Detection(la, score, box) for la, score, box in boxes))
    )


CAR, BUS = ("car", 0.9, (10.0, 10.0, 50.0, 50.0)), ("bus", 0.9, (90.0, 10.0, 150.0, 50.0))


def test_detections_are_the_same_in_any_order_because_their_family_says_so():
    assert same(detections(CAR, BUS), detections(BUS, CAR))
    assert not same(detections(CAR, BUS), detections(CAR))
    assert not same(detections(CAR, CAR), detections(CAR, BUS)), "each needs its own partner"
    assert not same(detections(CAR), detections(("van", *CAR[1:])))
    near = ("car", 0.9004, (10.02, 10.0, 50.0, 50.0))
    assert same(detections(CAR, BUS), detections(BUS, near))
    assert not same(detections(CAR), detections(("car", 0.9, (14.0, 10.0, 50.0, 50.0))))


def test_other_lists_keep_their_order():
    def classified(*labels):
        return outcome(Classified((tuple(Label(la, score) for la, score in labels),)))

    one = classified(("a", 0.6), ("b", 0.4))
    assert same(one, classified(("a", 0.6001), ("b", 0.4)))
    assert not same(one, classified(("b", 0.4), ("a", 0.6)))
    assert not same(one, classified(("a", 0.7), ("b", 0.3)))


def test_forecasts_and_vectors_are_walked():
    assert same(
        outcome(Forecast((0.5,), ((1.0, 2.0),))), outcome(Forecast((0.5,), ((1.0, 2.001),)))
    )
    assert not same(outcome(Forecast((0.5,), ((1.0,),))), outcome(Forecast((0.5,), ((1.0, 2.0),))))
    vector = np.array([[0.6, 0.8]], np.float32)
    assert same(outcome(Embedded(vector, 3)), outcome(Embedded(vector + 1e-5, 3)))
    assert not same(outcome(Embedded(vector, 3)), outcome(Embedded(vector[:, ::-1], 3)))


def test_json_ready_answers_of_anybody_s_family():
    one = {"label": "x", "scores": [0.1, 0.9], "n": 3, "nested": [{"ok": True}, None]}
    assert same(outcome(one), outcome({**one, "scores": [0.1, 0.9001]}))
    for other in (
        {**one, "label": "y"},
        {**one, "n": 4},
        {**one, "nested": [{"ok": 1}, None]},
        {**one, "nested": [{"ok": True}]},
        {**one, "more": 1},
        [one],
        None,
    ):
        assert not same(outcome(one), outcome(other))


@dataclass(frozen=True)
class Bag:
    things: object


def test_a_type_that_nobody_knows_is_equal_or_it_is_not():
    assert same(outcome(Bag({1, 2})), outcome(Bag({2, 1})))
    assert not same(outcome(Bag({1, 2})), outcome(Bag([1, 2])))


@given(
    arrays.arrays(
        np.float64,
        st.integers(1, 20),
        elements=st.floats(-1e6, 1e6, allow_subnormal=False),
    ),
    st.floats(-0.99, 0.99),
)
def test_a_change_below_the_tolerance_agrees_and_of_everything_above_it_disagrees(values, part):
    assert same(outcome(y=values), outcome(y=values * (1 + part * TOLERANCE)))
    if np.abs(values).max() > 0:
        assert not same(outcome(y=values), outcome(y=values * 1.01))
