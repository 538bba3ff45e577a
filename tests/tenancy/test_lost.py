"""A host is lost with its spool: what its replicas held is charged, once, and everybody sees it."""

from __future__ import annotations

import json

import pytest

from plaza_core.budget import LeaseAsk, Period
from plaza_core.errors import Forbidden, NotFound
from plaza_core.ids import KeyId
from plaza_core.principal import Right, Role
from plaza_tenancy.corrections import About
from plaza_tenancy.nodes import Kind, Node
from tests.tenancy.books import EVER
from tests.tenancy.world import make_record


@pytest.fixture
def keys(world, acme):
    """Of acme and of globex, each with a lease of `r1` over 50 units, 20 of them in the ledger."""
    world.organisation("globex")
    found = []
    for name in ("acme", "globex"):
        scope = world.tenancy.scope(world.operator, Right.KEYS_WRITE, organisation=name)
        key = KeyId(world.tenancy.keys.create(scope, role=Role.CONSUMER, label=f"of {name}").id)
        world.tenancy.budgets.set(scope, Node(Kind.KEY, key), limit=100, period=Period.DAY)
        (grant,) = world.tenancy.leases.exchange("r1", [LeaseAsk(key=key, need=50)])
        fields = {"key": key, "charge": 20, "lease": grant.lease}
        at = world.clock.unix_us()
        told = make_record(scope.organisation, f"of-{name}", at_unix_us=at, **fields)
        world.tenancy.ledger.ingest([told])
        found.append((scope, key, grant.lease))
    return found


def write_off(world, replica):
    """Every lease of a replica; the units charged for each."""
    leases, platform = world.tenancy.leases, world.platform()
    return [leases.write_off(platform, lease.id) for lease in leases.list(platform, replica)]


def test_operators_see_what_every_replica_holds(world, keys):
    leases = world.tenancy.leases.list(world.platform())
    assert [
        (x.replica, x.organisation_name, x.key, x.label, x.granted, x.spent, x.outstanding)
        for x in leases
    ] == [
        ("r1", "acme", keys[0][1], "of acme", 50, 20, 30),
        ("r1", "globex", keys[1][1], "of globex", 50, 20, 30),
    ]
    assert world.tenancy.leases.list(world.platform(), "r2") == []
    with pytest.raises(Forbidden):
        world.tenancy.leases.list(keys[0][0])


def test_a_lost_replica_is_written_off_once(world, keys):
    leases = world.tenancy.leases
    assert write_off(world, "r1") == [30, 30]
    assert [leases.write_off(world.platform(), lease) for _, _, lease in keys] == [0, 0]
    assert leases.list(world.platform()) == []
    for scope, key, lease in keys:
        budget = world.tenancy.budgets.show(scope, Node(Kind.KEY, key))
        assert (budget.settled, budget.leased, budget.remaining) == (50, 0, 50)
        (trail,) = world.tenancy.audit.list(scope, limit=1)
        assert (trail.action, trail.target) == ("lease.write_off", lease)
        assert trail.before == {"replica": "r1", "outstanding": 30}
        assert trail.after == {"written_off": 30}
    assert leases.drift() == []


def test_the_loss_stands_in_the_statement_and_is_no_request(world, keys):
    write_off(world, "r1")
    scope, _key, lease = keys[0]
    told = json.loads(b"".join(world.tenancy.ledger.statement(scope, "2023-11").json()))
    assert (told["losses"], told["totals"]["charge"], told["totals"]["requests"]) == (30, 50, 1)
    entries = [entry for batch in told["batches"] for entry in batch["entries"]]
    assert any(f"write-off-{lease}" in entry and "loss" in entry for entry in entries)
    (part,) = world.tenancy.ledger.report(scope, **EVER)
    assert (part.requests, part.charge) == (1, 50)
    assert all(chain.intact for chain in world.tenancy.ledger.verify(scope))


def test_what_was_too_much_is_given_back_by_a_correction(world, keys):
    write_off(world, "r1")
    scope, key, lease = keys[0]
    about = About(request=f"write-off-{lease}")
    world.tenancy.ledger.correct(
        world.platform(), "acme", charge=-25, reason="found the disk", about=about
    )
    assert world.tenancy.budgets.show(scope, Node(Kind.KEY, key)).settled == 25
    assert world.tenancy.leases.drift() == []


def test_a_replica_that_lives_after_all_gets_nothing_on_the_old_lease(world, keys):
    write_off(world, "r1")
    _, key, lease = keys[0]
    ask = LeaseAsk(key=key, lease=lease, granted=50, need=10)
    (grant,) = world.tenancy.leases.exchange("r1", [ask])
    assert grant.until_unix_us == 0
    (fresh,) = world.tenancy.leases.exchange("r1", [LeaseAsk(key=key, need=10)])
    assert fresh.lease != lease
    assert fresh.granted == 10


def test_a_loss_in_books_that_are_closed_is_booked_where_they_begin(world, keys):
    """A month whose books are dropped before somebody writes off: the charge is not lost."""
    world.clock.advance(40 * 86_400)
    world.tenancy.ledger.drop_before(world.platform(), "2023-12")
    assert write_off(world, "r1") == [30, 30]
    scope, _, _ = keys[0]
    told = json.loads(b"".join(world.tenancy.ledger.statement(scope, "2023-12").json()))
    assert told["losses"] == 30
    assert world.tenancy.leases.drift() == []


def test_only_operators_write_off_and_only_what_there_is(world, keys):
    with pytest.raises(NotFound):
        world.tenancy.leases.write_off(world.platform(), "lse_none")
    with pytest.raises(Forbidden):
        world.tenancy.leases.write_off(keys[0][0], keys[0][2])


def test_a_recall_is_for_those_who_hold_something_below_the_node(world, keys):
    leases = world.tenancy.leases
    (acme, key, lease), (globex, _other, _) = keys
    assert leases.holders({acme.organisation}) == {"r1"}
    assert leases.holders({key, "nobody"}) == {"r1"}
    assert leases.holders({"nobody"}) == set()
    back = LeaseAsk(key=key, lease=lease, granted=50, returned=30)
    leases.exchange("r1", [back])
    assert leases.holders({acme.organisation}) == set()
    assert leases.holders({globex.organisation}) == {"r1"}
