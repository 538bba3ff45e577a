"""The most specific price wins, and an unnamed one is the provider's own weight."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.budget import Price
from plaza_serving.dataplane.compute import split
from plaza_serving.dataplane.prices import PriceList

PRICES = [
    Price(model="a", provider="cuda", weight=7),
    Price(model="a", weight=5),
    Price(provider="cuda", weight=3),
]


@pytest.mark.parametrize(
    ("model", "provider", "weight"),
    [("a", "cuda", 7), ("a", "cpu", 5), ("b", "cuda", 3), ("b", "cpu", 2)],
)
def test_the_most_specific_price_wins(model, provider, weight):
    prices = PriceList(PRICES, weight=2)
    for _ in range(2):
        assert prices.price(model, provider).weight == weight


def test_a_price_for_everything_replaces_the_default():
    assert PriceList([Price(weight=9)], weight=2).price("a", "cpu").weight == 9


@given(
    device_us=st.integers(0, 10**9),
    rows=st.lists(st.integers(1, 64), min_size=1, max_size=16),
    weight=st.integers(0, 1000),
)
def test_the_parts_of_a_run_cost_what_the_run_costs(device_us, rows, weight):
    price = Price(weight=weight)
    parts = [
        price.cost(device_us=part, host_us=0, rows=n)
        for part, n in zip(split(device_us, rows), rows, strict=True)
    ]
    assert sum(parts) == price.cost(device_us=device_us, host_us=0, rows=sum(rows))
