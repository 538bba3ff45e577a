"""What is long over is forgotten, and what is kept still adds up."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
import sqlalchemy
from hypothesis import strategies as st

from plaza_core.budget import LeaseAsk, Period
from plaza_core.errors import InvalidInput, NotFound
from plaza_core.ids import KeyId
from plaza_core.principal import Right, Role
from plaza_tenancy.corrections import About
from plaza_tenancy.nodes import Kind, Node
from plaza_tenancy.schema_budgets import LeaseRow
from plaza_tenancy.upkeep import KEPT_US
from tests.tenancy.drawn import drawn
from tests.tenancy.world import make_record

DAY_S = 86_400
_numbers = itertools.count(1)


class Spender:
    """A key of an organisation with a budget; `use` takes a lease and ships usage of it."""

    def __init__(self, world, name, **periods):
        self.world, self.tenancy = world, world.tenancy
        scope = world.tenancy.scope(world.operator, Right.KEYS_WRITE, organisation=name)
        self.organisation = scope.organisation
        self.key = KeyId(world.tenancy.keys.create(scope, role=Role.CONSUMER).id)
        if (period := periods.get("organisation")) is not None:
            node = Node(Kind.ORGANISATION, name)
            world.tenancy.budgets.set(world.platform(), node, limit=10**6, period=period)
        if (period := periods.get("key")) is not None:
            node = Node(Kind.KEY, self.key)
            world.tenancy.budgets.set(scope, node, limit=10**6, period=period)

    def use(self, charge, *, replica="r1", close=True, late_us=0):
        (grant,) = self.tenancy.leases.exchange(replica, [LeaseAsk(key=self.key, need=charge)])
        record = make_record(
            self.organisation,
            f"u{next(_numbers)}",
            key=self.key,
            charge=charge,
            lease=grant.lease,
            at_unix_us=self.world.clock.unix_us() + late_us,
        )
        self.tenancy.ledger.ingest([record])
        if close:
            self.tenancy.leases.close(replica)
        return record

    def leases(self) -> int:
        with self.tenancy._store.read_everything() as session:
            whose = sqlalchemy.select(LeaseRow).filter_by(organisation=self.organisation)
            return len(session.scalars(whose).all())

    def settled(self) -> list[int]:
        found = self.tenancy.budgets.list(self.world.platform())
        return [b.settled for b in found if b.node in {self.organisation, self.key}]


@pytest.mark.parametrize("period", [Period.TOTAL, Period.DAY])
def test_a_closed_lease_is_forgotten_when_nothing_needs_it(world, acme, period):
    spender = Spender(world, "acme", key=period)
    spender.use(7)
    world.clock.advance(KEPT_US / 1e6 - 1)
    assert world.tenancy.leases.expire() == 0
    world.clock.advance(1)
    before = spender.settled()
    assert world.tenancy.leases.expire() == 1
    assert world.tenancy.leases.expire() == 0
    assert spender.leases() == 0
    assert spender.settled() == before
    assert world.tenancy.leases.drift() == []


def test_a_lease_that_is_open_is_never_forgotten(world, acme):
    spender = Spender(world, "acme", key=Period.TOTAL)
    spender.use(7, close=False)
    world.clock.advance(400 * DAY_S)
    assert world.tenancy.leases.expire() == 0
    assert spender.leases() == 1


def test_a_lease_is_kept_while_its_month_is_audited(world, acme):
    spender = Spender(world, "acme", organisation=Period.MONTH, key=Period.TOTAL)
    spender.use(7)  # on the 14th
    world.clock.advance(17 * DAY_S)  # the 1st of the next month
    assert world.tenancy.leases.expire() == 0
    world.clock.advance(DAY_S)
    assert world.tenancy.leases.expire() == 1
    assert world.tenancy.leases.drift() == []


def test_usage_that_a_lease_paid_beyond_its_period_keeps_it_while_that_is_audited(world, acme):
    """By its moment the usage would count in the month after: only the lease knows better."""
    spender = Spender(world, "acme", key=Period.MONTH)
    spender.use(7, late_us=17 * DAY_S * 1_000_000)
    world.clock.advance(20 * DAY_S)
    spender.use(3)
    assert world.tenancy.leases.expire() == 0
    assert world.tenancy.leases.drift() == []
    world.clock.advance(29 * DAY_S)
    assert world.tenancy.leases.expire() == 2
    assert world.tenancy.leases.drift() == []


def test_usage_of_a_forgotten_lease_counts_by_its_moment(world, acme):
    spender = Spender(world, "acme", key=Period.TOTAL)
    spender.use(7)
    world.clock.advance(9 * DAY_S)
    with world.tenancy._store.read_everything() as session:
        (lease,) = session.scalars(sqlalchemy.select(LeaseRow.id))
    world.tenancy.leases.expire()
    late = make_record(
        acme.organisation, "late", key=spender.key, charge=5, lease=lease,
        at_unix_us=world.clock.unix_us(),
    )  # fmt: skip
    world.tenancy.ledger.ingest([late])
    assert spender.settled() == [12]
    assert world.tenancy.leases.drift() == []


def test_many_leases_are_forgotten_in_pages(world, acme, monkeypatch):
    monkeypatch.setattr("plaza_tenancy.upkeep._PAGE", 2)
    spender = Spender(world, "acme", key=Period.TOTAL)
    for n in range(5):
        spender.use(1, replica=f"r{n}")
    spender.use(1, replica="open", close=False)
    world.clock.advance(9 * DAY_S)
    assert world.tenancy.leases.expire() == 5
    assert spender.leases() == 1


def test_books_that_are_dropped_leave_no_drift_in_budgets_without_an_end(world, acme):
    spender = Spender(world, "acme", organisation=Period.TOTAL, key=Period.TOTAL)
    first = spender.use(7)
    spender.use(11, replica="r2", close=False)
    world.tenancy.ledger.ingest(
        [make_record(acme.organisation, "unleased", charge=2, at_unix_us=world.clock.unix_us())]
    )
    world.tenancy.ledger.correct(
        world.platform(), "acme", charge=-3, reason="x", about=About(request=first.request_id)
    )
    assert sorted(spender.settled()) == [15, 17]
    world.clock.advance(40 * DAY_S)
    (dropped,) = world.tenancy.ledger.drop_before(world.platform(), "2023-12")
    assert dropped.entries == 4
    assert sorted(spender.settled()) == [15, 17]
    assert world.tenancy.leases.drift() == []
    assert world.tenancy.leases.expire() == 1
    assert world.tenancy.leases.drift() == []
    spender.use(1, replica="r2")
    world.clock.advance(9 * DAY_S)
    assert world.tenancy.leases.expire() == 1
    assert sorted(spender.settled()) == [16, 18]
    assert world.tenancy.leases.drift() == []


periods = st.sampled_from([None, Period.DAY, Period.WEEK, Period.MONTH, Period.TOTAL])
steps = st.one_of(
    st.tuples(st.just("use"), st.integers(1, 9), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([0.3, 1, 9, 31]), st.none()),
    st.tuples(st.sampled_from(["expire", "drop", "rotate", "correct"]), st.none(), st.none()),
)


@drawn(
    periods,
    periods,
    st.lists(steps, min_size=3, max_size=14),
    short=5,
    long=200,
)
def test_forgetting_changes_no_budget_and_no_audit(shared_world, above, below, steps):
    world, name = shared_world, f"o{next(_numbers)}"
    whole = world.organisation(name)
    spender = Spender(world, name, organisation=above, key=below)
    used = []
    for step, value, flag in steps:
        before = spender.settled()
        match step:
            case "use":
                used.append(spender.use(value, close=flag))
                continue
            case "wait":
                world.clock.advance(value * DAY_S)
                continue
            case "rotate":
                new = world.tenancy.keys.rotate(whole, spender.key, overlap_us=2**50)
                spender.key = new.id
                continue
            case "correct" if used:
                correct(world, name, used[-1])
                assert world.tenancy.leases.drift() == []
                continue
            case "expire":
                world.tenancy.leases.expire()
            case "drop":
                drop(world)
        assert spender.settled() == before
        assert world.tenancy.leases.drift() == []
    world.tenancy.leases.close("r1")
    world.clock.advance(70 * DAY_S)
    world.tenancy.leases.expire()
    assert spender.leases() == 0
    assert world.tenancy.leases.drift() == []


test_that_for_long = test_forgetting_changes_no_budget_and_no_audit.for_long


def correct(world, name, record):
    try:
        world.tenancy.ledger.correct(
            world.platform(), name, charge=-1, reason="x", about=About(request=record.request_id)
        )
    except (InvalidInput, NotFound):  # all was given back before, or its books are closed
        return


def drop(world):
    then = datetime.fromtimestamp(world.clock.unix_us() / 1e6 - 7 * DAY_S, UTC)
    world.tenancy.ledger.drop_before(world.platform(), f"{then:%Y-%m}")
