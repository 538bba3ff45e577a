"""What a pool is scaled by: how long requests wait for a worker."""

from plaza_serving.dataplane.waits import Waits
from tests.serving.dataplane import simulated


def work(admitted_ms):
    one = simulated.work("a").work
    one.admitted_ns = admitted_ms * 1_000_000
    return one


def test_the_mean_is_of_those_taken_since_it_was_asked_last():
    waits = Waits()
    assert waits.mean_ms() == 0
    waits.note([work(10), work(20)], 30_000_000)
    waits.note([work(0)], 60_000_000)
    assert waits.mean_ms() == (20 + 10 + 60) / 3
    assert waits.mean_ms() == 0
