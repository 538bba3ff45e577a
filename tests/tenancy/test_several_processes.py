"""Several control processes on one database: nothing is lost, doubled or waited for in a circle."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy

from plaza_core.budget import LeaseAsk
from plaza_core.errors import Conflict, Unavailable
from plaza_core.ids import KeyId
from plaza_core.principal import Role
from plaza_core.table import RateLimit
from plaza_core.testing import FakeClock
from plaza_tenancy import Tenancy, dialect
from plaza_tenancy.corrections import About
from plaza_tenancy.nodes import Kind, Node
from plaza_tenancy.schema import AuditRow, HubRow, ModelRow, ProjectRow, UsageRow
from tests.tenancy.world import PEPPER, RATE, make_record, make_version

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.parametrize("databases", ["postgresql"], indirect=True, scope="session"),
]
THREADS, VERBS_EACH = 8, 25


@pytest.fixture
def two(world):
    """Two Tenancy objects on one database, as two processes have them."""
    other = Tenancy(
        world.url, pepper=PEPPER, clock=world.clock, random=os.urandom, default_rate=RATE
    )
    yield world.tenancy, other
    other.close()


def count(tenancy, column):
    with tenancy._store.read_everything() as session:
        return session.scalar(sqlalchemy.select(sqlalchemy.func.count(column)))


def test_two_hundred_mixed_verbs_from_eight_threads_leave_a_whole_trail(world, acme, two):
    tenancy = two[0]
    key = tenancy.keys.create(acme, role=Role.CONSUMER).id
    tenancy.records.add_version(acme, make_version(0))
    before = count(tenancy, AuditRow.id)
    done: Counter[str] = Counter()
    lock = threading.Lock()

    def work(number: int) -> None:
        mine, draw = two[number % 2], random.Random(number)
        for step in range(VERBS_EACH):
            verb = draw.choice(["key", "rate", "version", "alias", "project", "usage", "read"])
            digest = 1 + number * VERBS_EACH + step
            match verb:
                case "key":
                    mine.keys.create(acme, role=Role.CONSUMER)
                case "rate":
                    limit = RateLimit(per_second=digest, burst=digest)
                    mine.keys.set_rate(acme, key, limit)
                case "version":
                    mine.records.add_version(acme, make_version(digest))
                case "alias":
                    mine.records.set_alias(acme, "detector", f"a{number}-{step}", 1)
                case "project":
                    mine.projects.create(acme, f"p{number}-{step}")
                case "usage":
                    records = [
                        make_record(acme.organisation, f"{number % 2}-{n}", key=key, at_unix_us=n)
                        for n in range(20)
                    ]
                    mine.ledger.ingest(records)
                case "read":
                    mine.table()
                    mine.authenticate(world.operator_text)
            with lock:
                done[verb] += 1

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))  # raises what a verb raised

    assert done.total() == THREADS * VERBS_EACH
    changes = done.total() - done["usage"] - done["read"]
    assert count(tenancy, AuditRow.id) == before + changes
    with tenancy._store.read_everything() as session:
        rows = session.scalars(sqlalchemy.select(AuditRow).order_by(AuditRow.id)).all()
        revision = session.scalar(sqlalchemy.select(HubRow.revision))
    assert revision == len(rows)
    told = Counter(row.action for row in rows[-changes:])
    assert told["key.create"] == done["key"]
    assert told["model.add_version"] == done["version"]
    # Versions are numbered without a gap, and each rate's `before` is the last one's `after`.
    versions = [found.version for found in tenancy.records.versions(acme, "detector")]
    assert versions == list(range(done["version"] + 1, 0, -1))
    rates = [row for row in rows if row.action == "key.set_rate"]
    assert [row.before for row in rates[1:]] == [row.after for row in rates[:-1]]
    assert two[0].table() == two[1].table()


def test_the_same_thing_made_by_all_at_once_is_made_once(world, acme, two):
    together = threading.Barrier(THREADS)

    def work(number: int) -> str:
        together.wait()
        try:
            two[number % 2].projects.create(acme, "wanted")
        except Conflict:
            return "refused"
        return "made"

    with ThreadPoolExecutor(THREADS) as pool:
        assert Counter(pool.map(work, range(THREADS))) == {"made": 1, "refused": THREADS - 1}


def test_a_model_registered_by_all_at_once_has_one_version_of_each_digest(world, acme, two):
    def work(number: int) -> bool:
        return two[number % 2].records.add_version(acme, make_version(number // 2))[1]

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(work, range(THREADS))) == THREADS // 2
    assert count(two[0], ModelRow.id) == 1
    assert len(two[1].records.versions(acme, "detector")) == THREADS // 2


def test_usage_shipped_by_all_at_once_in_any_order_counts_once(world, acme, two):
    """Every thread ships the same records of the same keys, each in another order and in other
    pieces, while keys are changed: the shipments never wait for one another in a circle."""
    keys = [two[0].keys.create(acme, role=Role.CONSUMER).id for _ in range(5)]
    records = [
        make_record(acme.organisation, f"r{n}", key=keys[n % 5], at_unix_us=n) for n in range(600)
    ]

    def work(number: int) -> int:
        draw, mine, new = random.Random(number), two[number % 2], 0
        shuffled = draw.sample(records, len(records))
        while shuffled:
            size = draw.randint(1, 100)
            new += mine.ledger.ingest(shuffled[:size])
            shuffled = shuffled[size:]
            mine.keys.set_rate(acme, draw.choice(keys), RATE)
        return new

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(work, range(THREADS))) == len(records)
    assert count(two[0], UsageRow.request_id) == len(records)
    latest = {key.id: key.last_used_unix_us for key in two[1].keys.list(acme)}
    assert latest == {key: max(range(n, 600, 5)) for n, key in enumerate(keys)}


def test_budgets_leases_books_and_corrections_never_wait_in_a_circle(world, acme, two):
    """Everything that moves amounts, from everywhere at once; then the books agree."""
    keys = [two[0].keys.create(acme, role=Role.CONSUMER).id for _ in range(3)]
    root = Node(Kind.ORGANISATION, "acme")
    two[0].budgets.set(world.platform(), root, limit=10**9)
    admitted = world.clock.unix_us()

    def work(number: int) -> int:
        mine, draw, charged = two[number % 2], random.Random(number), 0
        latest = About()
        for step in range(VERBS_EACH):
            match draw.choice(["spend", "spend", "correct", "adjust", "close", "key"]):
                case "spend":
                    key = draw.choice(keys)
                    (grant,) = mine.leases.exchange(
                        f"r{number}", [LeaseAsk(key=key, need=10, wish=50)]
                    )
                    used = make_record(
                        acme.organisation,
                        f"{number}-{step}",
                        key=key,
                        charge=7,
                        lease=grant.lease,
                        at_unix_us=admitted,
                    )
                    charged += 7 * mine.ledger.ingest([used])
                    latest = About(request=used.request_id)
                case "correct":  # one that is about no request is no budget's business
                    mine.ledger.correct(
                        world.platform(), "acme", charge=1, reason="test", about=latest
                    )
                    charged += latest.request is not None
                case "adjust":
                    mine.budgets.adjust(world.platform(), root, by=draw.choice([-5, 5]))
                case "close":
                    mine.leases.close(f"r{number}")
                case "key":
                    mine.keys.set_rate(acme, draw.choice(keys), RATE)
        mine.leases.close(f"r{number}")
        return charged

    with ThreadPoolExecutor(THREADS) as pool:
        charged = sum(pool.map(work, range(THREADS)))
    assert two[0].leases.drift() == []
    budget = two[1].budgets.show(world.platform(), root)
    assert (budget.settled, budget.leased) == (charged, 0)
    assert all(report.broken is None for report in two[0].ledger.verify(world.platform()))


def test_shipping_usage_waits_for_no_administrative_change(world, acme, two):
    """The row that orders changes is held, by a process that hangs: usage is recorded, and keys
    are checked, all the same."""
    first, second = two
    with first._store.change(acme, "test.slow", "x") as change:
        assert second.ledger.ingest([make_record(acme.organisation, "r1")]) == 1
        assert second.authenticate(world.operator_text) == world.operator
        assert second.table().keys
        change.nothing_to_do()


def test_a_shipment_larger_than_a_statement_may_be_is_one_transaction(world, acme, two):
    """PostgreSQL takes 65,535 parameters in a statement."""
    many = [make_record(acme.organisation, f"r{n}", key=f"k{n}") for n in range(4_000)]
    assert two[0].ledger.ingest(many) == 4_000
    assert two[1].ledger.ingest(many) == 0


def test_what_one_process_changed_the_other_sees_at_once(world, acme, two):
    first, second = two
    text = first.keys.create(acme, role=Role.CONSUMER).text
    who = second.authenticate(text)
    second.keys.revoke(acme, KeyId(who.key))
    assert who.key not in {key.id for key in first.table().keys}
    assert first.table_version() == second.table_version()


def test_a_turn_is_one_processs_until_it_ends_or_dies(world, two):
    first, second = two
    with first.turn("outbox") as mine, second.turn("outbox") as theirs, second.turn("x") as other:
        assert (mine, theirs, other) == (True, False, True)
    with second.turn("outbox") as theirs:
        assert theirs
    with pytest.raises(ZeroDivisionError), first.turn("outbox") as mine:
        assert mine / 0
    with second.turn("outbox") as theirs:
        assert theirs


def test_a_change_that_waits_too_long_for_another_is_unavailable(world, acme, two, monkeypatch):
    monkeypatch.setattr(dialect, "_WAIT_S", 0.1)
    with two[0]._store.change(acme, "test.slow", "x") as change:
        with pytest.raises(Unavailable, match="does not answer"):
            two[1].projects.create(acme, "lab")
        change.nothing_to_do()
    two[1].projects.create(acme, "lab")


def test_after_the_server_ended_every_connection_the_next_question_is_answered(
    world, acme, two, postgres
):
    """As at a restart of the server: what was open fails whole, what comes next works."""
    end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'plaza_app'"
    with (
        pytest.raises(Unavailable),
        two[0]._store.change(acme, "project.create", "half") as change,
    ):
        change.session.add(ProjectRow(organisation=acme.organisation, id="p", name="h", created=0))
        change.session.flush()
        postgres.sql(end)
    assert [project.name for project in two[0].projects.list(acme)] == ["main"]
    for tenancy in two:
        assert tenancy.authenticate(world.operator_text) == world.operator


def test_a_turn_ends_with_the_connection_of_who_had_it(two, postgres):
    end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory'"
    with pytest.raises(Unavailable), two[0].turn("outbox") as mine:
        assert mine
        postgres.sql(end)
        with two[1].turn("outbox") as theirs:
            assert theirs


def test_two_first_starts_at_once_make_one_admin_key(databases):
    database = databases.empty()
    started = threading.Barrier(2)

    def start(_number: int):
        started.wait()
        tenancy = Tenancy(
            database.url,
            owner_url=database.owner_url,
            pepper=PEPPER,
            clock=FakeClock(),
            random=os.urandom,
            default_rate=RATE,
        )
        made = tenancy.bootstrap()
        tenancy.close()
        return made

    with ThreadPoolExecutor(2) as pool:
        made = [key for key in pool.map(start, range(2)) if key is not None]
    assert len(made) == 1
    databases.drop(database)
