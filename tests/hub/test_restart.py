"""Whatever is killed, the hub answers again by itself and the books balance (short form).

The full form, with more rounds and every child, is `make prove`.
"""

import pytest

from benchmarks.chaos_rounds import ROUNDS, chaos_round

pytestmark = pytest.mark.hub


@pytest.mark.parametrize("round_", ROUNDS, ids=lambda r: r.name)
def test_killed_under_traffic(hub, key, round_):
    result = chaos_round(hub, key, "everybody", round_, before_s=1.0, after_s=2.0)
    assert result.gap_s <= round_.back_within_s, result
    assert result.errors <= result.in_flight, result
    assert not result.wrong, result
    assert not result.lost, result
    assert result.ledger <= result.issued, result
