"""What is promised of false alarms holds in seasons that nobody has seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_core.errors import InvalidInput
from plaza_models.forecast.levels import Level, follow
from plaza_training.forecast.promise import Told, entrance, foretold, rate

pytestmark = pytest.mark.torch


def seasons(random, count, hours=400):
    """Summers of their own warmth; a chance follows its hour and the ones before it."""
    warm = random.normal(0, 0.5, count)
    noise = np.zeros((count, hours))
    for at in range(1, hours):
        noise[:, at] = 0.95 * noise[:, at - 1] + random.normal(0, 0.3, count)
    heat = warm[:, None] + noise
    chances = 1 / (1 + np.exp(-3 * (heat - 1) + random.normal(0, 0.5, heat.shape)))
    ahead = heat + random.normal(0, 0.5, heat.shape) > 1
    return Told(chances.reshape(-1, 1), ahead.reshape(-1, 1), np.repeat(np.arange(count), hours))


def share(told, level):
    """Of one season, by the rule that serves, counted by hand."""
    raised = np.array(follow(level, told.chances[:, 0].tolist()))
    quiet = ~told.ahead[:, 0]
    return (raised & quiet).sum() / quiet.sum()


def test_nine_of_ten_seasons_to_come_lie_within_what_was_said_of_three():
    random = np.random.default_rng(7)
    inside, above, most = [], [], 0.15
    for _ in range(150):
        level, said = entrance(seasons(random, 3), most, 0.5)
        found = share(seasons(random, 1), level)
        inside.append(said.low <= found <= said.high)
        above.append(found > most)
    assert np.mean(inside) > 0.8
    assert np.mean(above) < 0.1


def test_the_best_chance_on_average_would_have_promised_too_much():
    """What was done before: a chance that keeps the share on all hours taken together."""
    random = np.random.default_rng(7)
    above = []
    for _ in range(60):
        told = seasons(random, 3)
        each = [Level("", (0.0,), at, at / 2) for at in np.arange(0.02, 1, 0.02)]
        level = next(level for level in each if rate(told, level).share <= 0.05)
        above.append(share(seasons(random, 1), level) > 0.05)
    assert np.mean(above) > 0.25


def test_seasons_that_differ_promise_less_than_seasons_that_are_alike():
    alike, apart = foretold([0.05, 0.05, 0.06]), foretold([0.01, 0.05, 0.12])
    assert apart[0] < alike[0] < 0.05 < alike[1] < apart[1]
    assert foretold([0.05] * 3) == pytest.approx((0.05, 0.05))
    assert foretold([0.0, 0.0]) == (0.0, 0.0)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
def test_a_range_is_one_of_shares(shares):
    low, high = foretold(shares)
    assert 0 <= low <= high <= 1


@settings(max_examples=20)
@given(st.integers(0, 99), st.floats(0.05, 0.5))
def test_an_entrance_keeps_its_promise_and_so_does_every_higher_one(seed, most):
    told = seasons(np.random.default_rng(seed), 3, hours=60)
    level, said = entrance(told, most, 0.5)
    assert said.low <= said.share <= said.high <= most
    assert said == rate(told, level)
    for enter in np.linspace(level.enter, 1, 5):
        on_grid = round(round(enter / 0.005) * 0.005, 4)
        assert rate(told, Level("", (0.0,), on_grid, round(on_grid / 2, 4))).high <= most


def test_one_season_says_nothing_of_the_next():
    with pytest.raises(InvalidInput, match="two pieces"):
        entrance(seasons(np.random.default_rng(1), 1), 0.1, 0.5)


def test_where_certainty_errs_no_level_can_be_promised():
    wrong = Told(np.ones((4, 1)), np.zeros((4, 1), bool), np.array([0, 0, 1, 1]))
    with pytest.raises(InvalidInput, match="in vain"):
        entrance(wrong, 0.5, 0.5)


def test_a_season_without_a_quiet_time_is_no_witness():
    told = seasons(np.random.default_rng(3), 3, hours=50)
    busy = Told(told.chances, told.ahead | (told.pieces == 1)[:, None], told.pieces)
    rows = told.pieces != 1
    without = Told(told.chances[rows], told.ahead[rows], told.pieces[rows])
    level = Level("", (0.0,), 0.99, 0.98)
    assert rate(busy, level) == rate(without, level)
