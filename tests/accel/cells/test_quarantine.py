"""Two crashes put a version out, for longer each time; good conduct is rewarded."""

from __future__ import annotations

import pytest

from plaza_accel.cells.quarantine import Quarantine
from plaza_core.errors import Quarantined
from plaza_core.testing import FakeClock


def out(quarantine, digest="d"):
    """Seconds it is out for, 0 when it may run."""
    try:
        quarantine.check(digest)
    except Quarantined as refused:
        return refused.retry_after
    return 0


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def quarantine(clock):
    return Quarantine(clock)


def test_one_crash_is_forgiven_two_are_not(quarantine):
    assert not quarantine.crashed("d")
    assert out(quarantine) == 0
    assert quarantine.crashed("d")
    assert out(quarantine) == 60
    assert out(quarantine, "another") == 0


def test_two_crashes_far_apart_are_two_accidents(quarantine, clock):
    quarantine.crashed("d")
    clock.advance(601)
    assert not quarantine.crashed("d")


def test_on_trial_one_crash_is_enough_and_the_time_doubles_up_to_an_hour(quarantine, clock):
    quarantine.crashed("d")
    quarantine.crashed("d")
    for seconds in (60, 120, 240, 480, 960, 1920, 3600, 3600):
        assert out(quarantine) == seconds
        assert list(quarantine.out()) == ["d"]
        clock.advance(seconds)
        assert out(quarantine) == 0
        assert quarantine.crashed("d")


def test_who_behaves_for_long_after_a_trial_has_a_clean_name(quarantine, clock):
    quarantine.crashed("d")
    quarantine.crashed("d")
    clock.advance(60 + 601)
    assert not quarantine.crashed("d")
