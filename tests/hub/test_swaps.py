"""A model's versions change under load, and back: the short form of `benchmarks.swaps`."""

import asyncio

import pytest

from benchmarks.swaps import hot_swaps

pytestmark = pytest.mark.hub


def test_versions_change_under_load_and_nobody_notices(hub, tmp_path):
    """How long it takes, and at which percentile, is for the full form to judge."""
    found = asyncio.run(hot_swaps(hub, tmp_path, swaps=4, rate=50, quiet_s=2))
    assert (found.failed, found.stale) == ({}, 0)
    assert found.requests > 100
    assert found.warm_rollback_s < 10
    assert found.cold_rollback_s < 10
