"""The simulated queue is the one of the books, and arrivals come as they should."""

import statistics

import pytest

from benchmarks import ideal
from benchmarks.arrivals import times


def test_with_one_server_the_mean_wait_is_that_of_pollaczek_and_khinchine():
    rate, service = 70.0, 0.01
    found = ideal.waits(rate, service, 1, 300_000)
    load = rate * service
    expected = service + load * service / (2 * (1 - load))
    assert statistics.mean(found) == pytest.approx(expected, rel=0.03)


def test_two_servers_at_the_same_load_make_wait_less_than_one_of_twice_the_speed_makes_finish():
    two = ideal.waits(140.0, 0.01, 2, 100_000)
    one = ideal.waits(140.0, 0.005, 1, 100_000)
    assert min(two) == pytest.approx(0.01)
    assert statistics.mean(two) - 0.01 < statistics.mean(one) - 0.005


def test_more_than_can_be_served_is_no_queue():
    with pytest.raises(ValueError, match="more comes"):
        ideal.waits(201.0, 0.01, 2, 10)


def test_arrivals_come_in_order_at_the_rate_of_their_phase():
    due = list(times([(100.0, 50.0), (1000.0, 20.0)]))
    assert due == sorted(due)
    assert sum(at < 50 for at in due) == pytest.approx(5000, rel=0.05)
    assert sum(at >= 50 for at in due) == pytest.approx(20_000, rel=0.05)
    assert due[-1] < 70
