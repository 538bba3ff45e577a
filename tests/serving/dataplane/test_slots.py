"""Slots at one replica: what was granted, for how long, and who waits for more."""

import asyncio

import pytest

from plaza_core.errors import ConcurrencyExceeded
from plaza_core.testing import FakeClock
from plaza_serving.dataplane.slots import Slots

TWO = (("org", 2),)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def slots(clock):
    return Slots(clock)


def enter(slots, limits=TWO):
    slots.check(limits)
    slots.enter(limits)


def test_nothing_enters_before_control_has_granted_a_slot(slots):
    with pytest.raises(ConcurrencyExceeded):
        enter(slots)
    assert slots.wanted() == {"org": 1}


def test_a_slot_is_free_again_when_its_request_leaves(slots, clock):
    slots.grant({"org": 1}, clock.monotonic_ns())
    enter(slots)
    with pytest.raises(ConcurrencyExceeded) as refused:
        enter(slots)
    assert refused.value.retry_after
    slots.leave(TWO)
    enter(slots)


def test_a_grant_lapses_eight_seconds_after_it_was_asked_for(slots, clock):
    asked = clock.monotonic_ns()
    clock.advance(3)
    slots.grant({"org": 2}, asked)
    clock.advance(4.99)
    enter(slots)
    clock.advance(0.01)
    with pytest.raises(ConcurrencyExceeded):
        enter(slots)
    assert slots.held() == {"org": 1}, "the request that is inside keeps its slot"


def test_every_node_of_the_branch_needs_a_slot_and_a_refusal_takes_none(slots, clock):
    slots.grant({"org": 5, "key": 1}, clock.monotonic_ns())
    branch = (("org", 5), ("key", 1))
    enter(slots, branch)
    with pytest.raises(ConcurrencyExceeded):
        enter(slots, branch)
    assert slots.wanted() == {"org": 1, "key": 1}
    slots.leave(branch)
    enter(slots, branch)


def test_a_smaller_grant_is_confirmed_at_once(slots, clock):
    slots.grant({"org": 2}, clock.monotonic_ns())
    assert not slots.due.is_set()
    slots.grant({"org": 1}, clock.monotonic_ns())
    assert slots.due.is_set()


async def test_who_finds_no_slot_waits_a_moment_for_news(slots, clock):
    assert _refused(slots)
    waiting = asyncio.create_task(slots.news(TWO))
    await asyncio.wait_for(slots.due.wait(), 10)
    slots.grant({"org": 1}, clock.monotonic_ns())
    assert await waiting
    enter(slots)


async def test_nobody_waits_where_this_replica_has_all_there_are(slots, clock):
    slots.grant({"org": 2}, clock.monotonic_ns())
    enter(slots)
    enter(slots)
    assert _refused(slots)
    assert not await slots.news(TWO)
    assert not slots.due.is_set()


async def test_a_control_that_is_away_is_not_waited_for_long(slots):
    assert _refused(slots)
    assert not await asyncio.wait_for(slots.news(TWO), 10)


def _refused(slots):
    try:
        enter(slots)
    except ConcurrencyExceeded:
        return True
    return False


def test_the_refusal_says_whose_limit_it_is(slots):
    with pytest.raises(ConcurrencyExceeded, match="this organisation") as caught:
        slots.check([("org_1", 3)])
    assert caught.value.input == "organisation"
