"""Budgets with a calendar: another limit holds in its days, and the usual one again after them."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from plaza_core.budget import LeaseAsk, Period, bounds
from plaza_core.errors import Conflict, Forbidden, InvalidInput, NotFound
from plaza_core.principal import Right, Role
from plaza_core.windows import Weekday, Window, limit_at
from plaza_tenancy.nodes import Kind, Node

ACME = Node(Kind.ORGANISATION, "acme")
DAY_S = 86_400


def today(world):
    return datetime.fromtimestamp(world.clock.unix_us() / 1e6, UTC).date()


def from_day(world, days):
    return date.fromordinal(today(world).toordinal() + days)


@pytest.fixture
def budget(world, acme):
    key = world.tenancy.keys.create(acme, role=Role.CONSUMER)
    world.tenancy.budgets.set(world.platform(), ACME, limit=100, period=Period.DAY)

    replicas = itertools.count()

    def ask(need):
        asks = [LeaseAsk(key=key.id, need=need)]
        (grant,) = world.tenancy.leases.exchange(f"r{next(replicas)}", asks)
        return grant.short_of is None

    return ask


def set_calendar(world, *windows):
    return world.tenancy.budgets.set_calendar(world.platform(), ACME, windows)


def test_a_window_that_holds_today_counts_at_once(world, budget):
    assert not budget(150)
    done = set_calendar(world, Window(first=today(world), limit=150))
    assert (done.limit, done.usual, done.remaining) == (150, 100, 150)
    assert budget(150)
    after = set_calendar(world)
    assert (after.limit, after.leased, after.remaining) == (100, 150, 0)


def test_tomorrow_has_its_own_limit_and_the_day_after_the_usual_one(world, budget):
    set_calendar(world, Window(first=from_day(world, 1), until=from_day(world, 2), limit=5))
    assert budget(100)
    world.clock.advance(DAY_S)
    assert not budget(6)
    assert budget(5)
    world.clock.advance(DAY_S)
    assert budget(100)
    assert not budget(1)


def test_a_raise_moves_the_usual_limit_and_leaves_the_windows(world, budget):
    set_calendar(world, Window(first=today(world), until=from_day(world, 1), limit=7))
    done = world.tenancy.budgets.adjust(world.platform(), ACME, by=50)
    assert (done.limit, done.usual) == (7, 150)
    assert not budget(8)
    world.clock.advance(DAY_S)
    assert budget(150)


def test_no_limit_in_a_window_counts_and_never_refuses(world, budget):
    set_calendar(world, Window(first=today(world), limit=None))
    assert budget(10**9)
    assert world.tenancy.budgets.show(world.platform(), ACME).remaining is None


def test_what_no_calendar_can_say(world, acme, budget):
    mine = world.scope_of("acme", Role.ADMIN, Right.TENANTS_WRITE)
    with pytest.raises(Forbidden):
        world.tenancy.budgets.set_calendar(mine, ACME, [])
    with pytest.raises(NotFound, match="set one first"):
        world.tenancy.budgets.set_calendar(mine, Node(Kind.PROJECT, "main"), [])
    weekend = Window(weekdays=(Weekday.SAT, Weekday.SUN), limit=0)
    set_calendar(world, weekend)
    with pytest.raises(Conflict, match="clear that first"):
        world.tenancy.budgets.set(world.platform(), ACME, limit=5, period=Period.MONTH)
    set_calendar(world)
    world.tenancy.budgets.set(world.platform(), ACME, limit=5, period=Period.MONTH)
    with pytest.raises(InvalidInput, match="per day"):
        set_calendar(world, weekend)
    world.tenancy.budgets.set(world.platform(), ACME, limit=5, period=Period.TOTAL)
    with pytest.raises(Conflict):
        set_calendar(world, Window(first=today(world), limit=1))
    for wrong in ({}, {"first": "2026-02-02", "until": "2026-02-02"}, {"weekdays": ["someday"]}):
        with pytest.raises(ValidationError):
            Window.model_validate({**wrong, "limit": 1})


def test_estimates_know_the_calendar(world, acme, budget):
    set_calendar(world, Window(first=today(world), limit=0))
    found = world.tenancy.budgets.show(world.platform(), ACME)
    assert (found.limit, found.remaining) == (0, 0)


dates = st.dates(date(2000, 1, 1), date(2100, 1, 1))
windows = st.lists(
    st.tuples(st.none() | dates, st.none() | dates, st.sets(st.sampled_from(Weekday))).filter(
        lambda one: (one[0] or one[1] or one[2]) and not (one[0] and one[1] and one[0] >= one[1])
    ),
    max_size=5,
)


@given(windows, dates)
def test_the_first_window_that_holds_says_the_limit(drawn, day):
    made = [
        Window(first=first, until=until, weekdays=tuple(days), limit=number)
        for number, (first, until, days) in enumerate(drawn)
    ]
    at = datetime(day.year, day.month, day.day, 13, tzinfo=UTC)
    start, _ = bounds(Period.DAY, round(at.timestamp()) * 1_000_000)
    fits = [
        number
        for number, (first, until, days) in enumerate(drawn)
        if (first is None or first <= day)
        and (until is None or day < until)
        and (not days or day.strftime("%a").lower() in days)
    ]
    assert limit_at(-1, made, start) == (fits[0] if fits else -1)
