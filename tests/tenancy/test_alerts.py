"""Budgets at 50, 80 and 100 %: each is told once per node and period, to whom it concerns."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.budget import FOREVER, Period, bounds
from plaza_core.ids import KeyId, OrganisationId
from plaza_core.principal import Role
from plaza_core.rollout import GatePolicy, Rollout, RolloutKind, RolloutState, Verdict
from plaza_core.webhooks import Attempt, Event, HostPattern
from plaza_tenancy.alerts import due_alerts
from plaza_tenancy.nodes import Kind, Node
from plaza_tenancy.outgoing import tell
from tests.tenancy.drawn import drawn
from tests.tenancy.world import make_record

URL = "https://hooks.example.org/in"
HOSTS = [HostPattern("hooks.example.org")]
_numbers = itertools.count(1)


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


@drawn(
    st.lists(st.integers(0, 1200), min_size=1, max_size=12),
    st.integers(0, 10**6),
    short=10,
    long=300,
)
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


test_that_however_usage_grows_for_long = test_however_usage_grows_each_alert_is_told_once.for_long


def test_many_processes_at_once_tell_each_alert_once(world, acme, told):
    accounts = [account(1000, organisation=acme.organisation, node=f"key_{n}") for n in range(4)]
    orders = [accounts, accounts[::-1], accounts[2:] + accounts[:2]] * 2
    with ThreadPoolExecutor(6) as threads:
        counts = list(threads.map(world.tenancy.alerts.raise_due, orders))
    assert sum(counts) == 12
    heard = told()
    assert len(heard) == len(set(heard)) == 12


@pytest.fixture
def spending(world, acme):
    """A key of acme with a budget; `spend` settles on it, `due` tells what alerts then say."""
    key = KeyId(world.key("acme", Role.CONSUMER).split("_")[1])
    node, numbers = Node(Kind.KEY, key), itertools.count()

    class Spending:
        id = key

        def limit(self, limit, period=Period.DAY):
            world.tenancy.budgets.set(acme, node, limit=limit, period=period)

        def remove(self):
            world.tenancy.budgets.remove(acme, node)

        def spend(self, amount, *, at=None):
            at = world.clock.unix_us() if at is None else at
            told = {"key": key, "charge": amount, "at_unix_us": at}
            record = make_record(acme.organisation, f"s{next(numbers)}", **told)
            world.tenancy.ledger.ingest([record])

        def due(self):
            found = world.tenancy.alerts.accounts()
            world.tenancy.alerts.raise_due(found)
            return [(d.account.node, d.percent) for d in due_alerts(found)]

    return Spending()


def test_accounts_are_read_as_budgets_write_them(world, acme, spending):
    spending.limit(1000)
    spending.spend(499)
    assert spending.due() == []
    spending.spend(1)
    assert spending.due() == [(spending.id, 50)]
    spending.limit(None)
    spending.limit(3)
    assert spending.due() == [(spending.id, n) for n in (50, 80, 100)]


def test_a_budget_that_was_removed_tells_nothing(world, acme, spending, told):
    spending.limit(100)
    spending.spend(90)
    spending.remove()
    assert spending.due() == []
    assert told() == []


def test_a_budget_set_anew_tells_of_its_own_account_and_nothing_twice(world, acme, spending, told):
    spending.limit(100)
    spending.spend(60)
    assert spending.due() == [(spending.id, 50)]
    spending.remove()
    spending.limit(1000)  # a generation of its own, with the 60 of this day
    assert spending.due() == []
    spending.spend(500)
    assert spending.due() == [(spending.id, 50)]
    assert [(event, settled) for event, _, settled in told()] == [("budget.50", 60)]


def test_periods_that_begin_at_one_moment_are_told_apart(world, acme, spending, told):
    first = bounds(Period.MONTH, world.clock.unix_us())[1] + 3_600_000_000
    world.clock.advance((first - world.clock.unix_us()) / 1e6)
    spending.limit(100, Period.DAY)
    spending.spend(60)
    assert spending.due() == [(spending.id, 50)]
    spending.limit(100, Period.MONTH)
    assert spending.due() == [(spending.id, 50)]
    assert [event for event, *_ in told()] == ["budget.50"] * 2


def test_what_was_settled_in_the_last_moment_of_a_period_is_still_told(world, acme, spending, told):
    spending.limit(100)
    evening = bounds(Period.DAY, world.clock.unix_us())[1] - 1_000_000
    world.clock.advance((evening - world.clock.unix_us()) / 1e6)
    spending.spend(50)
    world.clock.advance(5)  # midnight has passed when somebody looks
    assert spending.due() == [(spending.id, 50)]
    spending.spend(40, at=evening)  # and usage of yesterday arrives after midnight
    assert spending.due() == [(spending.id, 50), (spending.id, 80)]
    world.clock.advance(2 * 3600)
    assert spending.due() == []
    assert [event for event, *_ in told()] == ["budget.50", "budget.80"]


@drawn(
    st.lists(
        st.one_of(
            st.tuples(st.just("spend"), st.integers(1, 60)),
            st.tuples(st.just("limit"), st.integers(1, 100)),
            st.tuples(st.just("period"), st.sampled_from([Period.DAY, Period.MONTH])),
            st.tuples(st.sampled_from(["remove", "tomorrow"]), st.none()),
        ),
        max_size=12,
    ),
    short=8,
    long=300,
)
def test_whatever_becomes_of_a_budget_each_alert_of_a_period_is_told_once(shared_world, steps):
    """Against a model that knows only what was spent, when, and the limit of then."""
    world = shared_world
    name = f"o{next(_numbers)}"
    scope = world.organisation(name)
    node, spent, told = Node(Kind.ORGANISATION, name), [], set()
    limit, period = 50, Period.DAY
    for n, (step, value) in enumerate([("limit", 50), *steps]):
        if step == "spend":
            at = world.clock.unix_us()
            spent.append((at, value))
            record = make_record(scope.organisation, f"{name}-{n}", charge=value, at_unix_us=at)
            world.tenancy.ledger.ingest([record])
        elif step == "tomorrow":
            world.clock.advance(86_400)
        elif step == "remove":
            if limit is not None:
                world.tenancy.budgets.remove(world.platform(), node)
            limit = None
        else:
            limit = value if step == "limit" else limit or 50
            period = value if step == "period" else period
            budget = {"limit": limit, "period": period}
            world.tenancy.budgets.set(world.platform(), node, **budget)
        start, end = bounds(period, world.clock.unix_us())
        settled = sum(amount for at, amount in spent if start <= at < end)
        now = {
            (start, end, p) for p in (50, 80, 100) if limit and settled * 100 >= limit * p
        } - told
        mine = [a for a in world.tenancy.alerts.accounts() if a.node == scope.organisation]
        assert world.tenancy.alerts.raise_due(mine) == len(now)
        told |= now


test_that_for_long = test_whatever_becomes_of_a_budget_each_alert_of_a_period_is_told_once.for_long


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
