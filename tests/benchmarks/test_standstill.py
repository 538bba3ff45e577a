"""What the machine took from everybody."""

import os
import threading

from benchmarks.standstill import watched


def test_every_core_is_watched_and_nobody_else_is_bound_to_one():
    before, mine = threading.active_count(), os.sched_getaffinity(0)
    with watched() as still:
        assert threading.active_count() == before + len(mine)
    assert threading.active_count() == before
    assert os.sched_getaffinity(0) == mine
    assert 0 <= still.longest_ms <= still.total_ms
