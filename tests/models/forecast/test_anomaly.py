"""Past values beside what one would have expected of them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.errors import InvalidInput
from plaza_models.forecast.tasks import AnomalyTask
from tests.models.forecast.small import CONTEXT, HORIZON, LEVELS, ask, family


def task(*series, **more):
    return AnomalyTask(tuple(tuple(map(float, one)) for one in series), **more)


def test_each_value_is_compared_with_a_forecast_that_did_not_know_it():
    answer = ask(family(), task([5, 5, 5, 5, 5, 50, 50]))
    (one,) = answer.series
    assert (answer.first, answer.quantiles) == (4, tuple(LEVELS))
    assert one.scores[0] == pytest.approx(0)
    assert one.scores[1] > 0.999
    assert one.scores[2] == pytest.approx(0), "by then it is known"
    assert [row[1] for row in one.values] == [1, 4, 5, 6, 9]


def test_a_forecast_may_judge_several_steps():
    opened = family(every=2)
    series = [1, 2, 3, 4, 5, 6, 7, 8, 9]
    prepared = opened.prepare(task(series, steps=5))
    assert prepared.rows == 3, "the last of them judges one value alone"
    (one,) = ask(opened, task(series, steps=5)).series
    assert one.values[2] == (4, 4, 6, 6, 8)
    assert len(one.scores) == 5
    (every_step,) = ask(opened, task(series, steps=5, every=1)).series
    assert every_step.values[2] == (4, 5, 6, 7, 8)


def test_several_series_are_scored_each_by_itself_or_as_they_are_read():
    series = [1, 1, 1, 1, 1, 1], [7, 7, 7, 7, 7, 70]
    for opened in (family(), family(series=2)):
        answer = ask(opened, task(*series))
        assert [one.scores[-1] > 0.9 for one in answer.series] == [False, True]
        assert answer.series[1].values[2] == (7, 7)


def test_covariates_lie_over_the_whole_series():
    opened = family(known=["hour"])
    hours = tuple(float(h) for h in range(6))
    prepared = opened.prepare(task([1, 1, 1, 1, 1, 1], known=(hours,)))
    found = prepared.tensors["known"]
    assert found.shape == (2, 1, CONTEXT + HORIZON)
    assert found[0, 0].tolist() == [0, 1, 2, 3, 4, 5, 5]
    assert found[1, 0].tolist() == [1, 2, 3, 4, 5, 5, 5]


def test_what_was_not_measured_has_no_score():
    (one,) = ask(family(gaps="fill"), task([1, 1, 1, 1, math.nan, 1])).series
    assert one.scores[0] is None
    assert one.scores[1] == pytest.approx(0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=CONTEXT + 1, max_size=12))
def test_scores_are_shares(series):
    (one,) = ask(family(), task(series)).series
    assert all(0 <= score <= 1 for score in one.scores)


def test_a_value_as_expected_is_not_strange_and_one_further_out_is_not_less_so():
    scores = []
    for last in (5, 5.5, 6, 8, 9, 12, 30):
        (one,) = ask(family(), task([5, 5, 5, 5, last])).series
        scores.append(one.scores[-1])
    assert scores[0] == pytest.approx(0)
    assert scores == sorted(scores)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (task([1, 2, 3, 4]), "steps"),
        (task([1, 2, 3, 4, 5], steps=2), "steps"),
        (task([1, 2, 3, 4, 5], every=4), "every"),
        (task([1, 2, 3, 4, 5], [1, 2, 3]), "series"),
        (task(), "series"),
        (task([1, 2, math.nan, 4, 5]), "series[0][2]"),
        (task([1, 2, 3, 4, 5], known=((1.0,) * 5,)), "known"),
        (task([1, 2, 3, 4, 5], known=((1.0,) * 4,)), "known[0]"),
        (task([1, 2, 3, 4, 5], draw=1), "draw"),
        (task(np.ones(1_100_000)), "steps"),
    ],
)
def test_what_cannot_be_scored_is_refused_by_name(asked, field):
    with pytest.raises(InvalidInput) as caught:
        family().prepare(asked)
    assert caught.value.input == field


def test_one_quantile_tells_nothing():
    with pytest.raises(InvalidInput, match="one quantile"):
        family(quantiles=[0.5]).prepare(task([1, 2, 3, 4, 5]))
