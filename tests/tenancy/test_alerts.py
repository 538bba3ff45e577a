"""Budgets at 50, 80 and 100 %: each is told once per node and period, to whom it concerns."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaza_core.budget import FOREVER, Period, bounds
from plaza_core.ids import OrganisationId
from plaza_core.rollout import GatePolicy, Rollout, RolloutKind, RolloutState, Verdict
from plaza_core.webhooks import Event, HostPattern
from plaza_tenancy.alerts import due_alerts
from plaza_tenancy.outgoing import tell
from plaza_tenancy.schema_budgets import AccountRow

URL = "https://hooks.example.org/in"
HOSTS = [HostPattern("hooks.example.org")]


@dataclass(frozen=True)
class Account:
    organisation: OrganisationId
    node: str
    period_start: int
    period_end: int
    limit: int
    settled: int


def account(settled, limit=1000, *, organisation="org_1", node="org_1", start=0, end=FOREVER):
    return Account(OrganisationId(organisation), node, start, end, limit, settled)


@pytest.mark.parametrize(
    ("settled", "percents"),
    [(0, []), (499, []), (500, [50]), (799, [50]), (800, [50, 80]), (999, [50, 80]),
     (1000, [50, 80, 100]), (5000, [50, 80, 100])],
)  # fmt: skip
def test_what_is_due_is_exact(settled, percents):
    assert [due.percent for due in due_alerts([account(settled)])] == percents


def test_a_budget_of_nothing_is_never_half_used():
    assert due_alerts([account(0, limit=0), account(5, limit=0)]) == []


@given(st.integers(1, 2**62), st.integers(0, 2**62))
def test_no_amount_is_too_large_to_be_exact(limit, settled):
    found = {due.percent for due in due_alerts([account(settled, limit)])}
    assert found == {p for p in (50, 80, 100) if settled * 100 >= limit * p}


@pytest.fixture
def told(world, acme):
    """Let messages go; returns (event, node, settled) in the order of arrival."""
    world.tenancy.webhooks.add(acme, URL, HOSTS)

    def told():
        heard = []
        while messages := world.tenancy.deliveries.take(9):
            for message in messages:
                body = json.loads(message.body)
                heard.append((body["type"], body["data"]["node"], body["data"]["settled"]))
                from plaza_core.webhooks import Attempt

                world.tenancy.deliveries.note(message, Attempt(delivered=True))
        return heard

    return told


def test_each_percentage_is_told_once_in_rising_order(world, acme, told):
    mine = account(0, organisation=acme.organisation, node="key_1")
    for settled in (100, 500, 600, 1000, 1000):
        world.tenancy.alerts.raise_due([replace(mine, settled=settled)])
    assert told() == [
        ("budget.50", "key_1", 500),
        ("budget.80", "key_1", 1000),
        ("budget.100", "key_1", 1000),
    ]
    world.reopened().alerts.raise_due([replace(mine, settled=1000)])
    assert told() == []


def test_a_new_period_and_another_node_are_told_anew(world, acme, told):
    start, end = bounds(Period.DAY, world.clock.unix_us())
    today = account(500, organisation=acme.organisation, node="key_1", start=start, end=end)
    tomorrow = replace(today, period_start=end, period_end=end + end - start)
    world.tenancy.alerts.raise_due([today, replace(today, node="prj_1")])
    world.tenancy.alerts.raise_due([today])
    world.clock.advance(86_400)
    world.tenancy.alerts.raise_due([tomorrow])
    assert [node for _, node, _ in told()] == ["key_1", "prj_1", "key_1"]


def test_the_message_says_what_happened(world, acme):
    world.tenancy.webhooks.add(acme, URL, HOSTS)
    world.tenancy.alerts.raise_due([account(512, organisation=acme.organisation, node="key_1")])
    (message,) = world.tenancy.deliveries.take(9)
    body = json.loads(message.body)
    assert body == {
        "type": "budget.50",
        "timestamp": "2023-11-14T22:13:20Z",
        "data": {
            "organisation": acme.organisation, "organisation_name": "acme", "node": "key_1",
            "percent": 50, "limit": 1000, "settled": 512, "period_start_unix_us": 0,
            "period_end_unix_us": None,
        },
    }  # fmt: skip


def test_only_the_organisations_active_targets_that_asked_hear_of_it(world, acme):
    globex = world.organisation("globex")
    add = world.tenancy.webhooks.add
    wants_all = add(acme, URL, HOSTS).webhook.id
    wants_last = add(acme, URL, HOSTS, events=[Event.BUDGET_100]).webhook.id
    add(globex, URL, HOSTS)
    world.tenancy.alerts.raise_due([account(900, organisation=acme.organisation)])
    assert {m.webhook for m in world.tenancy.deliveries.take(9)} == {wants_all}
    world.tenancy.alerts.raise_due([account(1000, organisation=acme.organisation)])
    assert {m.webhook for m in world.tenancy.deliveries.take(9)} == {wants_last}


def test_no_target_no_message_and_none_later_for_the_past(world, acme):
    world.tenancy.alerts.raise_due([account(900, organisation=acme.organisation)])
    world.tenancy.webhooks.add(acme, URL, HOSTS)
    world.tenancy.alerts.raise_due([account(900, organisation=acme.organisation)])
    assert world.tenancy.deliveries.take(9) == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 1200), min_size=1, max_size=12), st.integers(0, 10**6))
def test_however_usage_grows_each_alert_is_told_once(shared_world, steps, number):
    world = shared_world
    name = f"o{next(_numbers)}"
    scope = world.organisation(name)
    world.tenancy.webhooks.add(scope, URL, HOSTS)
    raised = 0
    for settled in steps:  # corrections may lower it, too
        raised += world.tenancy.alerts.raise_due(
            [account(settled, organisation=scope.organisation, node=f"n{number}")]
        )
    assert raised == sum(max(steps) * 100 >= 1000 * p for p in (50, 80, 100))


def test_many_processes_at_once_tell_each_alert_once(world, acme, told):
    accounts = [account(1000, organisation=acme.organisation, node=f"key_{n}") for n in range(4)]
    orders = [accounts, accounts[::-1], accounts[2:] + accounts[:2]] * 2
    with ThreadPoolExecutor(6) as threads:
        counts = list(threads.map(world.tenancy.alerts.raise_due, orders))
    assert sum(counts) == 12
    heard = told()
    assert len(heard) == len(set(heard)) == 12


def _count():
    number = 0
    while True:
        yield (number := number + 1)


_numbers = _count()


def test_the_table_of_accounts_is_read_as_budgets_write_it(world, acme):
    """As the revision about budgets makes it; only accounts of now that matter are read."""
    now = world.clock.unix_us()
    rows = [
        ("half", 0, now + 1, 1000, 500),
        ("little", 0, now + 1, 1000, 400),
        ("past", 0, now, 1000, 900),
        ("future", now + 1, now + 2, 1000, 900),
        ("odd", 0, now + 1, 3, 2),
        ("large", 0, FOREVER, 2**62, 2**61),
    ]
    with world.tenancy._store.append_everything() as session:
        for node, start, end, limit, settled in rows:
            session.add(
                AccountRow(
                    organisation=acme.organisation,
                    node=node,
                    generation=0,
                    period_start=start,
                    period_end=end,
                    period=Period.TOTAL,
                    depth=0,
                    limit=limit,
                    settled=settled,
                    leased=0,
                    opened=start,
                )
            )
    found = world.tenancy.alerts.accounts()
    assert {a.node for a in found} >= {"half", "odd", "large"}
    assert not {a.node for a in found} & {"past", "future", "little"}
    assert world.tenancy.alerts.raise_due(found) == 3
    assert {(d.account.node, d.percent) for d in due_alerts(found)} == {
        ("half", 50), ("odd", 50), ("large", 50)
    }  # fmt: skip


def test_a_stopped_rollout_is_told_to_those_who_chose_it(world, acme):
    rollout = Rollout(
        id="rol_1",
        model="mdl_1",
        name="acme.main.speed",
        organisation=acme.organisation,
        alias="champion",
        kind=RolloutKind.CANARY,
        stable=1,
        candidate=2,
        part=1000,
        policy=GatePolicy(),
        state=RolloutState.STOPPED,
        started_unix_us=0,
    )
    world.tenancy.webhooks.add(acme, URL, HOSTS)
    chosen = [Event.ROLLOUT_STOPPED]
    hook = world.tenancy.webhooks.add(acme, URL, HOSTS, events=chosen).webhook
    store = world.tenancy.alerts._store
    with store.append_everything() as session:
        told = tell(
            session,
            store.random,
            acme.organisation,
            Event.ROLLOUT_STOPPED,
            data=rollout.stopped_news(Verdict(bad=True, because="latency")),
            now=world.clock.unix_us(),
        )
    assert told == 1
    (message,) = world.tenancy.deliveries.take(9)
    body = json.loads(message.body)
    assert (message.webhook, body["type"]) == (hook.id, "rollout.stopped")
    assert (body["data"]["candidate"], body["data"]["because"]) == (2, "latency")
