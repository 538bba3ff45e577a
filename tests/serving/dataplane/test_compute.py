"""Shares of a batch sum to the batch, whatever the weights."""

from hypothesis import given
from hypothesis import strategies as st

from plaza_serving.dataplane.compute import microseconds, split


@given(st.integers(0, 10**9), st.lists(st.integers(1, 10**6), min_size=1, max_size=64))
def test_shares_sum_to_the_total_and_stay_within_one_of_their_due(total, weights):
    shares = split(total, weights)
    assert sum(shares) == total
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - total * weight / sum(weights)) < 1


def test_the_remainder_goes_to_the_largest_fraction_then_to_the_first():
    assert split(10, [1, 1, 1]) == [4, 3, 3]
    assert split(5, [3, 1]) == [4, 1]


def test_work_that_happened_is_never_free():
    assert microseconds(1) == 1
    assert microseconds(0) == 0
