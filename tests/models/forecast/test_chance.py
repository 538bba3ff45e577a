"""Quantiles as chances, and chances as levels that do not flicker."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from plaza_core.errors import InvalidInput
from plaza_models.forecast.chance import chance_above, chance_below, strangeness
from plaza_models.forecast.levels import Ladder, Step, with_false_alarms

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
UNIFORM = np.array(LEVELS)[:, None] * 100
"""Quantiles of a value spread evenly between 0 and 100, but for its tails."""


@pytest.mark.parametrize("value", [5.0, 12.0, 50.0, 88.0, 95.0])
def test_between_two_levels_the_chance_is_linear(value):
    assert chance_below(LEVELS, UNIFORM, np.array([value])) == pytest.approx(value / 100)


def test_beyond_the_outer_levels_nothing_is_impossible():
    below = chance_below(LEVELS, UNIFORM, np.array([-5.0]))[0]
    above = chance_above(LEVELS, UNIFORM, np.array([105.0]))[0]
    assert 0 < below < 0.05
    assert above == pytest.approx(below)  # the two tails are alike here
    assert chance_above(LEVELS, UNIFORM, np.array([1e9]))[0] >= 0


def test_a_certain_forecast_has_a_step_and_no_division_by_zero():
    certain = np.full((5, 3), 7.0)
    assert chance_below(LEVELS, certain, np.array([6.0, 7.0, 8.0])) == pytest.approx([0, 0.95, 1])


@given(
    arrays.arrays(np.float64, 5, elements=st.floats(-1e3, 1e3)),
    st.floats(-2e3, 2e3),
    st.floats(0, 1e3),
)
def test_a_higher_threshold_is_never_likelier(values, threshold, more):
    quantiles = np.sort(values)[:, None]
    low, high = (np.array([threshold]), np.array([threshold + more]))
    first, second = (chance_above(LEVELS, quantiles, one)[0] for one in (low, high))
    assert 0 <= second <= first + 1e-9
    assert first <= 1


def test_scores_of_a_calibrated_forecast_are_spread_evenly():
    random = np.random.default_rng(1)
    quantiles = np.quantile(random.normal(size=200_000), LEVELS)[:, None]
    scores = strangeness(LEVELS, quantiles, random.normal(size=20_000))
    for share in (0.5, 0.1):
        assert (scores > 1 - share).mean() == pytest.approx(share, abs=0.015)
    assert strangeness(LEVELS, quantiles, np.array([9.0]))[0] > 0.99


LADDER = Ladder((Step("watch", 0.3, 0.2), Step("warning", 0.6, 0.4)))


def test_a_level_is_kept_until_the_chance_is_clearly_lower():
    chances = [0.1, 0.35, 0.25, 0.65, 0.5, 0.41, 0.39, 0.19]
    assert LADDER.follow(chances) == [0, 1, 1, 2, 2, 2, 1, 0]


@given(st.lists(st.floats(0, 1), max_size=30), st.integers(0, 2))
def test_a_chance_that_stays_keeps_its_level(chances, start):
    for level, chance in zip(LADDER.follow(chances, start), chances, strict=True):
        assert LADDER.next(level, chance) == level


@pytest.mark.parametrize(
    "steps",
    [(Step("a", 0.3, 0.4),), (Step("a", 0.6, 0.1), Step("b", 0.3, 0.1)), (Step("a", 1.2, 0.1),)],
)
def test_levels_that_make_no_sense_are_refused(steps):
    with pytest.raises(InvalidInput):
        Ladder(steps)


@given(st.integers(1, 200), st.floats(0, 0.5), st.integers(0, 99))
def test_the_stated_rate_of_false_alarms_is_kept_on_the_history_it_was_set_on(n, rate, seed):
    random = np.random.default_rng(seed)
    chances, came = random.random(n), random.random(n) < 0.3
    came[0] = False
    threshold = with_false_alarms(chances.tolist(), came.tolist(), rate)
    assert (chances[~came] >= threshold).mean() <= rate


def test_without_a_quiet_time_there_is_no_threshold():
    with pytest.raises(InvalidInput):
        with_false_alarms([0.5], [True], 0.1)
