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


def test_a_refusal_says_whose_limit_it_is():
    rates = Rates(FakeClock())
    branch = [
        ("org_1", RateLimit(per_second=9, burst=9)),
        ("prj_1", RateLimit(per_second=2, burst=1)),
    ]
    rates.take(branch)
    with pytest.raises(RateLimited, match="this project may send 2 requests") as refused:
        rates.take(branch)
    assert refused.value.input == "project"


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


def granted(rates, limits, tries=200):
    count = 0
    for _ in range(tries):
        with contextlib.suppress(RateLimited):
            rates.take(limits)
            count += 1
    return count


def test_a_share_that_grows_brings_rate_but_no_burst():
    clock = FakeClock()
    rates = Rates(clock)
    rates.share_among(2, {"node": 0.1})
    for _ in range(5):
        rates.take(limit(100, 100))
    rates.share_among(2, {"node": 0.9})
    assert granted(rates, limit(100, 100)) == 5
    clock.advance(0.501)  # an interval is rounded up to whole nanoseconds
    assert granted(rates, limit(100, 100)) == 45


def test_a_share_that_shrinks_takes_its_part_of_the_burst_along():
    clock = FakeClock()
    rates = Rates(clock)
    rates.share_among(2, {"node": 0.9})
    rates.take(limit(100, 100))
    rates.share_among(2, {"node": 0.1})
    assert granted(rates, limit(100, 100)) == 10


def test_a_share_that_grew_before_anybody_asked_brings_no_burst_either():
    rates = Rates(FakeClock())
    rates.share_among(2, {"node": 0.1})
    rates.share_among(2, {"node": 0.9})
    assert granted(rates, limit(100, 100)) == 10


def test_what_was_asked_is_counted_granted_or_not():
    rates = Rates(FakeClock())
    granted(rates, limit(1, 2), tries=5)
    assert rates.arrivals() == {"node": 5}
    assert rates.arrivals() == {}


@pytest.mark.parametrize("replicas", [1, 2, 4])
@given(burst=st.integers(1, 40), data=st.data())
def test_over_all_replicas_a_limit_is_exceeded_by_one_request_per_further_replica(
    replicas, burst, data
):
    """What docs/quotas.md states: 0 with one replica, 1 with two, 3 with four."""
    weights = data.draw(st.lists(st.integers(1, 9), min_size=replicas, max_size=replicas))
    clock = FakeClock()
    total = 0
    for weight in weights:
        rates = Rates(clock)
        rates.share_among(replicas, {"node": weight / sum(weights)})
        total += granted(rates, limit(1, burst), tries=burst + 1)
    assert total <= burst + replicas - 1
