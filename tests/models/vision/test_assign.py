"""No other pairing is cheaper."""

from itertools import permutations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from plaza_models.vision.assign import assign

costs = st.tuples(st.integers(0, 5), st.integers(0, 5)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(0, 20).map(lambda n: n / 20))
)


def cheapest(table, most):
    """By trying everything: each row gets a column or stays alone for `most`."""
    rows, columns = table.shape
    padded = np.concatenate((table, np.full((rows, rows), most)), 1)
    return min(
        sum(padded[row, column] for row, column in enumerate(order))
        for order in permutations(range(columns + rows), rows)
    )


@given(costs, st.sampled_from([0.3, 0.7, 1.0]))
def test_the_pairs_are_the_cheapest_there_are(table, most):
    pairs = assign(table, most)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(table[pair] <= most for pair in pairs)
    total = sum(table[pair] for pair in pairs) + most * (len(table) - len(pairs))
    assert abs(total - (cheapest(table, most) if table.size else most * len(table))) < 1e-9


def test_two_that_want_the_same_share_best():
    assert assign(np.array([[0.1, 0.2], [0.15, 0.9]]), 1.0) == [(0, 1), (1, 0)]
