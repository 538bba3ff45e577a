"""A budget for exactly 137 requests admits exactly 137, however they come (short form).

The full form, 20 trials with 1, 2 and 4 replicas, is `make prove`.
"""

import pytest

from benchmarks import exact

pytestmark = pytest.mark.hub


def test_a_thousand_first_requests_at_once_on_one_replica(hub):
    trial = exact.at_once(hub, 0)
    assert trial.held, trial


@pytest.mark.parametrize("number", [1, 2])
def test_a_thousand_first_requests_at_once_on_two_replicas(plain, number):
    trial = exact.at_once(plain, number)
    assert trial.held, trial


def test_one_after_the_other_while_another_replica_holds_the_rest(plain):
    trial = exact.in_a_row(plain, 0)
    assert trial.held, trial
