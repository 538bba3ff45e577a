"""Quantiles as chances, and how strange a value is beside them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from plaza_models.forecast.chance import chance_above, chance_below, strangeness

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


@given(arrays.arrays(np.float64, 5, elements=st.floats(-1e3, 1e3)), st.floats(-2e3, 2e3))
def test_a_score_is_a_share_and_that_of_the_median_is_none(values, value):
    quantiles = np.sort(values)[:, None]
    assert 0 <= strangeness(LEVELS, quantiles, np.array([value]))[0] <= 1
    # Where several quantiles meet, the median is as far up as the highest of them.
    apart = quantiles + np.arange(5)[:, None]
    assert strangeness(LEVELS, apart, apart[2])[0] == pytest.approx(0, abs=1e-9)
