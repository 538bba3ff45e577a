"""A rate limit admits its burst at once, then its rate, and never more in any window."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.errors import RateLimited
from plaza_core.table import RateLimit
from plaza_core.testing import FakeClock
from plaza_serving.dataplane.rates import Rates


def limit(per_second, burst):
    return [("node", RateLimit(per_second=per_second, burst=burst))]


def test_a_burst_then_the_rate():
    clock = FakeClock()
    rates = Rates(clock)
    for _ in range(3):
        rates.take(limit(2, 3))
    with pytest.raises(RateLimited) as refused:
        rates.take(limit(2, 3))
    assert refused.value.retry_after == pytest.approx(0.5)
    clock.advance(0.5)
    rates.take(limit(2, 3))


def test_a_refused_request_charges_no_node():
    clock = FakeClock()
    rates = Rates(clock)
    wide = [("org", RateLimit(per_second=1000, burst=2)), ("key", RateLimit(per_second=1, burst=1))]
    rates.take(wide)
    for _ in range(5):
        with pytest.raises(RateLimited):
            rates.take(wide)
    rates.take(wide[:1])  # the organisation still has its second request


def test_replicas_share_a_limit():
    rates = Rates(FakeClock())
    rates.share_among(2)
    for _ in range(5):
        rates.take(limit(10, 10))
    with pytest.raises(RateLimited):
        rates.take(limit(10, 10))


@given(
    gaps=st.lists(st.floats(0, 2), min_size=1, max_size=60),
    per_second=st.floats(0.5, 50),
    burst=st.integers(1, 10),
)
def test_no_window_grants_more_than_burst_plus_rate(gaps, per_second, burst):
    clock = FakeClock()
    rates = Rates(clock)
    granted = []
    for gap in gaps:
        clock.advance(gap)
        with contextlib.suppress(RateLimited):
            rates.take(limit(per_second, burst))
            granted.append(clock.monotonic_ns() / 1e9)
    for i, start in enumerate(granted):
        for j in range(i, len(granted)):
            window = granted[j] - start
            assert j - i + 1 <= burst + per_second * window + 1e-6
