"""Whatever is killed, the hub answers again by itself and the books balance (short form).

The full form, with more rounds and every child and with the times that are promised, is
`make prove`: how soon a process starts depends on who else uses the machine.
"""

import random

import pytest

from benchmarks.chaos_rounds import ROUNDS, chaos_round

pytestmark = pytest.mark.hub

PATIENCE = 4
"""Times the promise: an answer must come back, on a machine that does other work as well."""


@pytest.mark.parametrize("round_", ROUNDS, ids=lambda r: r.name)
def test_killed_under_traffic(hub, round_):
    dice = random.Random(round_.name)
    result = chaos_round(hub, round_, before_s=1.0, after_s=2.0, dice=dice)
    assert result.held(PATIENCE * round_.back_within_s), result
