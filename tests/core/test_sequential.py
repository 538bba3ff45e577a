"""Evidence grows against what is bad, and stays fair for what is good however it is looked at."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.sequential import Wealth, rate_above, rate_differs, reached, sign_positive

RATES = st.floats(0.001, 0.999)


def binomial(n, k, rate):
    return math.comb(n, k) * rate**k * (1 - rate) ** (n - k)


def expected_growth(wealth, n, m, x, y, more):
    """The exact expectation of one block's factor, for rates x of n and y of m requests."""
    total = 0.0
    wealth = wealth.model_copy(update={"logs": (-1.0,) * 7, "blocks": 3, "cash": 0.3})
    for k, j in itertools.product(range(n + 1), range(m + 1)):
        after = rate_differs(wealth, (k, n), (j, m), more).value
        total += binomial(n, k, x) * binomial(m, j, y) * after
    return total / wealth.value


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from([0.0, 0.005, 0.1]),
    st.tuples(st.floats(0, 50), st.floats(50, 500)),
)
def test_two_rates_no_block_is_favourable_while_the_candidate_is_good(n, m, y, below, more, recent):
    """For every good pair of rates, size of block and guess of the past; computed, not drawn."""
    x = min(1.0, (y + more) * below)
    wealth = Wealth(recent=recent)
    assert expected_growth(wealth, n, m, x, y, more) <= 1 + 1e-9


@given(st.integers(1, 12), st.floats(0, 1), st.floats(0.0001, 0.9))
def test_one_rate_no_block_is_favourable_while_it_is_below_the_limit(n, part, limit):
    rate = limit * part
    total = sum(
        binomial(n, k, rate) * rate_above(Wealth(), k, n, limit).value for k in range(n + 1)
    )
    assert total <= 1 + 1e-9


@given(st.integers(1, 10))
def test_signs_no_block_is_favourable_while_they_are_even(n):
    total = sum(binomial(n, k, 0.5) * sign_positive(Wealth(), k, n - k).value for k in range(n + 1))
    assert total == pytest.approx(1)


def test_cash_and_stakes_together_lose_nothing():
    """A bet that neither wins nor loses leaves the wealth at 1, however it was put in."""
    wealth = Wealth()
    for _ in range(5000):
        wealth = wealth.after([0.0, 0.0])
    assert wealth.value == pytest.approx(1)
    assert 0 < wealth.cash < 0.02


@pytest.mark.parametrize("good", [100, 2000])
def test_a_version_that_turns_bad_late_is_found_soon(good):
    signs, rate, rates = Wealth(), Wealth(), Wealth()
    for _ in range(good):
        signs = sign_positive(signs, 4, 6)
        rate = rate_above(rate, 0, 10, 0.01)
        rates = rate_differs(rates, (0, 10), (0, 90), 0.005)
    for _ in range(15):
        signs = sign_positive(signs, 10, 0)
        rate = rate_above(rate, 2, 10, 0.01)
        rates = rate_differs(rates, (2, 10), (0, 90), 0.005)
    assert min(signs.value, rate.value, rates.value) > 1e4


def test_nothing_seen_changes_nothing():
    for same in (
        rate_above(Wealth(), 0, 0, 0.01),
        rate_differs(Wealth(), (0, 0), (3, 9), 0.01),
        rate_differs(Wealth(), (3, 9), (0, 0), 0.01),
        sign_positive(Wealth(), 0, 0),
    ):
        assert same == Wealth()


def test_evidence_survives_being_written_down():
    wealth = rate_differs(Wealth(), (3, 20), (1, 200), 0.005)
    assert Wealth.model_validate_json(wealth.model_dump_json()) == wealth


def test_certain_evidence_stays_a_number():
    wealth = rate_above(Wealth(), 100_000, 100_000, 0.0)
    assert 1e250 < wealth.value < math.inf


def test_the_first_test_that_has_reached_its_level_decides():
    sure, even = sign_positive(Wealth(), 40, 0), Wealth()
    assert reached([(even, 0.001), (sure, 0.001)]) == 1
    assert reached([(even, 0.001)]) is None


@pytest.mark.parametrize("rate", [0.05, 0.5, 1.0])
def test_a_higher_rate_than_allowed_is_found(rate):
    wealth = Wealth()
    for _ in range(40):
        wealth = rate_differs(wealth, (round(rate * 20), 20), (0, 180), 0.005)
    assert wealth.value > 1e6


def test_the_larger_allowance_is_the_weaker_evidence():
    values = [rate_differs(Wealth(), (5, 50), (0, 450), more).value for more in (0.0, 0.01, 0.05)]
    assert values == sorted(values, reverse=True)
