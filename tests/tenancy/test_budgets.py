"""Setting budgets: what is written down, what is foreseen, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.accounts import Account, AccountId
from plaza_core.budget import Period, Price
from plaza_core.errors import Conflict, Forbidden, InvalidInput, NotFound
from plaza_core.principal import Right, Role
from plaza_tenancy.forecast import estimate, price_for, runs_out
from plaza_tenancy.nodes import Kind, Node

ACME, MAIN = Node(Kind.ORGANISATION, "acme"), Node(Kind.PROJECT, "main")
HOUR_US = 3_600_000_000


def test_every_change_is_written_down_and_what_changes_nothing_is_not(world, acme):
    budgets = world.tenancy.budgets
    budgets.set(world.platform(), ACME, limit=100)
    budgets.set(world.platform(), ACME, limit=100)
    budgets.adjust(world.platform(), ACME, by=20)
    budgets.adjust(world.platform(), ACME, by=-500)
    budgets.remove(world.platform(), ACME)
    trail = world.tenancy.audit.list(acme, limit=4)
    assert [(one.action, one.before, one.after) for one in reversed(trail)] == [
        ("budget.set", {}, {"limit": 100, "period": "month"}),
        (
            "budget.raise",
            {"limit": 100, "period": "month"},
            {"limit": 120, "period": "month"},
        ),
        ("budget.lower", {"limit": 120, "period": "month"}, {"limit": 0, "period": "month"}),
        ("budget.remove", {"limit": 0, "period": "month"}, {}),
    ]
    assert {one.target for one in trail} == {acme.organisation}


def test_a_new_period_begins_empty(world, acme):
    budgets = world.tenancy.budgets
    budgets.set(acme, MAIN, limit=100, period=Period.DAY)
    first = budgets.show(acme, MAIN)
    world.clock.advance(86_400)
    second = budgets.show(acme, MAIN)
    assert second.period_start_unix_us == first.period_end_unix_us
    assert (second.settled, second.leased, second.remaining) == (0, 0, 100)
    budgets.set(acme, MAIN, limit=100, period=Period.TOTAL)
    assert budgets.show(acme, MAIN).period_end_unix_us is None


def test_who_may_not(world, acme):
    tenancy = world.tenancy
    admin = world.scope_of("acme", Role.ADMIN, Right.TENANTS_WRITE)
    bound = world.scope_of("acme", Role.ADMIN, Right.TENANTS_WRITE, project="main")
    with pytest.raises(Forbidden):
        tenancy.budgets.set(admin, ACME, limit=1)
    with pytest.raises(Forbidden):
        tenancy.budgets.set(bound, MAIN, limit=1)
    with pytest.raises(NotFound):
        tenancy.budgets.show(bound, ACME)
    with pytest.raises(NotFound):
        tenancy.budgets.set(admin, Node(Kind.PROJECT, "absent"), limit=1)
    with pytest.raises(Forbidden):
        tenancy.prices.set(admin, Price(weight=2))
    with pytest.raises(Forbidden):
        tenancy.shares.set(admin, "acme", weight=2, borrow_percent=None)


def test_what_does_not_fit(world, acme):
    budgets = world.tenancy.budgets
    for limit in (-1, 2**62):
        with pytest.raises(InvalidInput):
            budgets.set(acme, MAIN, limit=limit)
    with pytest.raises(NotFound):
        budgets.adjust(acme, MAIN, by=1)
    budgets.set(acme, MAIN, limit=None)
    with pytest.raises(Conflict):
        budgets.adjust(acme, MAIN, by=1)
    for weight in (0, 1001):
        with pytest.raises(InvalidInput):
            world.tenancy.shares.set(world.platform(), "acme", weight=weight, borrow_percent=0)
    for priority in (-11, 11):
        key = world.member("acme", Role.CONSUMER).key
        with pytest.raises(InvalidInput):
            world.tenancy.concurrency.set_priority(acme, key, priority)


def account(settled: int, limit: int | None, *, end=2**62):
    id_ = AccountId("o", 0, "o", Period.TOTAL, 0)
    return Account(id_, end, limit, settled, opened=0)


def test_the_end_of_a_budget_is_foreseen_from_its_spending_so_far():
    assert runs_out(account(250, 1000), HOUR_US) == 4 * HOUR_US
    assert runs_out(account(250, 1000, end=4 * HOUR_US), HOUR_US) is None  # it lasts that long
    assert runs_out(account(0, 1000), HOUR_US) is None
    assert runs_out(account(250, None), HOUR_US) is None
    assert runs_out(account(1200, 1000), HOUR_US) == HOUR_US
    assert runs_out(account(250, 1000), 1_000_000) is None, "a second tells nothing"


@given(st.integers(1, 10**12), st.integers(0, 10**12), st.integers(60_000_000, 10**15))
def test_a_forecast_is_never_in_the_past_nor_after_the_end(limit, settled, now):
    end = 2 * 10**15
    at = runs_out(account(settled, limit, end=end), now)
    assert at is None or now <= at < end


@given(st.integers(0, 10**12), st.integers(1, 10**6))
def test_an_estimate_is_what_fits(remaining, cost):
    requests = estimate(remaining, cost)
    assert requests * cost <= remaining < (requests + 1) * cost


def test_an_estimate_without_a_limit_or_a_cost_has_no_end():
    assert estimate(None, 5) is None
    assert estimate(100, 0) is None
    assert estimate(-5, 1) == 0


def test_the_most_specific_price_counts():
    both = Price(provider="cuda", model="mdl_1", weight=4)
    model, provider = Price(model="mdl_1", weight=3), Price(provider="cuda", weight=2)
    prices = [Price(weight=9), provider, model, both]
    assert price_for(prices, "cuda", "mdl_1") == both
    assert price_for(prices, "cpu", "mdl_1") == model
    assert price_for(prices, "cuda", "mdl_2") == provider
    assert price_for(prices, "cpu", "mdl_2") == Price(weight=9)
    assert price_for([], "cpu", "mdl_2") == Price()
