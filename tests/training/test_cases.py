"""An interval holds its number, is the same each time, and is honest about neighbours."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_training.cases import Cases, interval, mean_of

LOSSES = st.lists(st.floats(0, 100), min_size=2, max_size=40)


@given(LOSSES, st.integers(1, 60))
def test_the_ends_lie_between_the_best_and_the_worst_case(losses, stretch):
    cases = mean_of(np.array(losses), stretch=stretch)
    low, high = interval(cases, seed=1, draws=50)
    assert min(losses) - 1e-9 <= low <= high <= max(losses) + 1e-9


def test_it_is_the_same_each_time():
    cases = mean_of(np.random.default_rng(0).normal(size=100))
    assert interval(cases, seed=7) == interval(cases, seed=7) != interval(cases, seed=8)


def test_the_interval_is_that_of_the_mean():
    random = np.random.default_rng(3)
    inside = 0
    for seed in range(100):
        low, high = interval(mean_of(random.normal(5, 2, 60)), seed=seed, draws=200)
        inside += low <= 5 <= high
    assert 86 <= inside <= 100


def test_neighbours_that_are_alike_count_as_one():
    once = np.random.default_rng(1).gamma(2, 1, 100)
    tenfold = np.repeat(once, 10)
    low, high = interval(mean_of(once), seed=1)
    alike = interval(mean_of(tenfold, stretch=10), seed=1)
    naive = interval(mean_of(tenfold), seed=1)
    assert alike[1] - alike[0] == pytest.approx(high - low, rel=0.3)
    assert naive[1] - naive[0] < (high - low) / 2


def test_a_function_of_a_mean_is_drawn_as_such():
    squares = np.random.default_rng(2).gamma(2, 1, 50)
    low, high = interval(mean_of(squares), seed=1)
    assert interval(mean_of(squares, np.sqrt), seed=1) == pytest.approx((low**0.5, high**0.5))


def test_every_place_is_drawn_as_often():
    seen = np.zeros(7)

    def value(rows):
        np.add.at(seen, rows, 1)
        return 0.0

    interval(Cases(7, value, stretch=3), seed=1, draws=3000)
    assert seen.sum() == 7 * 3000
    assert np.abs(seen / 3000 - 1).max() < 0.1
