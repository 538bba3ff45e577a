"""Leases on SQL where memory cannot tell the story: threads, statements, one transaction."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy

from plaza_core.budget import LeaseAsk, Period
from plaza_core.errors import Forbidden
from plaza_core.ids import KeyId
from plaza_core.principal import Right, Role
from plaza_tenancy.nodes import Kind, Node
from tests.tenancy.world import make_record

LIMIT = 137


def new_key(world, name="acme", project="main"):
    scope = world.tenancy.scope(
        world.operator, Right.KEYS_WRITE, organisation=name, project=project
    )
    return scope, KeyId(world.tenancy.keys.create(scope, role=Role.CONSUMER).id)


@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_of_many_first_ever_asks_at_once_exactly_the_budget_is_granted(world, acme, replicas):
    """No account exists yet: every thread meets the same unknown node."""
    tenancy = world.tenancy
    _, key = new_key(world)
    node = Node(Kind.ORGANISATION, "acme")
    tenancy.budgets.set(world.platform(), node, limit=LIMIT, period=Period.DAY)
    world.clock.advance(86_400)  # a new day, without accounts
    keys = [key, *(new_key(world)[1] for _ in range(3))]

    def one(n: int) -> int:
        ask = LeaseAsk(key=keys[n % 4], need=1)
        (grant,) = tenancy.leases.exchange(f"r{n % replicas}-{n}", [ask], live=replicas)
        return grant.granted

    with ThreadPoolExecutor(16) as pool:
        granted = list(pool.map(one, range(300)))
    assert sum(granted) == LIMIT
    budget = tenancy.budgets.show(world.platform(), node)
    assert (budget.leased, budget.remaining) == (LIMIT, 0)
    assert tenancy.leases.drift() == []


def test_usage_grants_and_limits_from_many_threads_never_drift(world, acme):
    tenancy = world.tenancy
    branches = [new_key(world) for _ in range(4)]
    keys = [key for _, key in branches]
    scope = branches[0][0]
    tenancy.budgets.set(world.platform(), Node(Kind.ORGANISATION, "acme"), limit=5000)
    asker = tenancy.scope(world.operator, Right.TENANTS_WRITE, organisation="acme")

    def replica(n: int) -> None:
        key, lease = keys[n % 4], None
        for step in range(6):
            ask = LeaseAsk(key=key, need=10, wish=40)
            (grant,) = tenancy.leases.exchange(f"r{n}-{step}", [ask], live=4)
            lease = grant.lease
            record = make_record(
                scope.organisation,
                f"{n}-{step}",
                project=scope.project,
                key=key,
                charge=7,
                lease=lease,
                at_unix_us=world.clock.unix_us(),
            )
            tenancy.ledger.ingest([record])

    def admin(n: int) -> None:
        for step in range(4):
            tenancy.budgets.set(asker, Node(Kind.KEY, keys[n]), limit=500 + step)
            tenancy.budgets.adjust(asker, Node(Kind.KEY, keys[n]), by=5)
        tenancy.budgets.remove(asker, Node(Kind.KEY, keys[n]))

    with ThreadPoolExecutor(12) as pool:
        jobs = [pool.submit(replica, n) for n in range(8)] + [pool.submit(admin, n) for n in (0, 1)]
        for job in jobs:
            job.result()
    assert tenancy.leases.drift() == []
    for n in range(8):
        for step in range(6):
            tenancy.leases.close(f"r{n}-{step}")
    budget = tenancy.budgets.show(world.platform(), Node(Kind.ORGANISATION, "acme"))
    assert (budget.settled, budget.leased) == (8 * 6 * 7, 0)


def test_a_batch_takes_as_many_statements_as_a_single_ask(world, acme):
    tenancy = world.tenancy
    tenancy.budgets.set(world.platform(), Node(Kind.ORGANISATION, "acme"), limit=10**6)
    keys = [new_key(world)[1] for _ in range(40)]
    counts = []
    for batch in (keys[:1], keys):
        said: list[str] = []

        def listen(_connection, _cursor, statement, *_, said=said):
            said.append(statement)

        engine = tenancy._store._engine
        sqlalchemy.event.listen(engine, "before_cursor_execute", listen)
        asks = [LeaseAsk(key=key, need=10) for key in batch]
        grants = tenancy.leases.exchange("r1", asks)
        sqlalchemy.event.remove(engine, "before_cursor_execute", listen)
        assert all(grant.lease for grant in grants)
        counts.append(len([text for text in said if not text.startswith(("PRAGMA", "BEGIN"))]))
    assert counts[0] <= counts[1] + 1
    assert counts[1] <= 12


def test_settling_is_part_of_the_ledgers_transaction(world, acme):
    """When settling fails, the ledger has not taken the usage either."""
    tenancy = world.tenancy
    scope, key = new_key(world)
    tenancy.budgets.set(scope, Node(Kind.KEY, key), limit=100)
    (grant,) = tenancy.leases.exchange("r1", [LeaseAsk(key=key, need=50)])
    broken = make_record(
        scope.organisation, "1", key=key, project=scope.project, charge=-60, lease=grant.lease
    )
    with pytest.raises(Exception, match="changed at the same time"):
        tenancy.ledger.ingest([broken])
    assert tenancy.ledger.records(acme, since_us=0, until_us=2**62).records == []
    assert tenancy.leases.drift() == []


def test_only_operators_write_a_lease_off(world, acme):
    scope, key = new_key(world)
    world.tenancy.budgets.set(scope, Node(Kind.KEY, key), limit=100)
    (grant,) = world.tenancy.leases.exchange("r1", [LeaseAsk(key=key, need=50)])
    with pytest.raises(Forbidden):
        world.tenancy.leases.write_off(scope, grant.lease)
    assert world.tenancy.leases.write_off(world.platform(), grant.lease) == 50
    (told,) = world.tenancy.audit.list(world.platform(), limit=1)
    assert (told.action, told.target) == ("lease.write_off", grant.lease)
    assert told.after == {"written_off": 50}
