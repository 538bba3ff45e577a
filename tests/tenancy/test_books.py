"""The books: a chain that shows every change, and sums that equal the rows, however shipped."""

from __future__ import annotations

import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from hypothesis import strategies as st

from plaza_core.errors import Forbidden
from plaza_core.principal import Right, Role
from plaza_tenancy import hours
from plaza_tenancy import ledger as ledger_module
from plaza_tenancy.entries import GENESIS, RECORD_FIELDS
from plaza_tenancy.ledger import Ledger
from plaza_tenancy.views import Dimension
from tests.tenancy.books import (
    EVER,
    HOUR,
    NOVEMBER,
    audited,
    moments,
    records,
    settled_in,
    shipments,
    tamper,
)
from tests.tenancy.drawn import drawn
from tests.tenancy.world import make_record

MEASURES = ("requests", "answered", "rows", "compute_us", "host_us", "charge", "overrun")
_names = (f"book{n}" for n in itertools.count())


def test_the_chain_covers_every_field_of_a_record():
    assert set(RECORD_FIELDS) == set(make_record("o", "r").__slots__)


@drawn(
    found=st.lists(records, min_size=1, max_size=20),
    data=st.data(),
    short=8,
    long=300,
)
def test_however_it_is_shipped_the_books_are_whole_and_equal_their_sums(shared_world, found, data):
    world, tenancy = shared_world, shared_world.tenancy
    scopes = {label: world.organisation(next(_names)) for label in "ab"}
    whose = {label: scope.organisation for label, scope in scopes.items()}
    first = {}
    for record in (found := [settled_in(record, whose) for record in found]):
        first.setdefault((record.organisation, record.request_id), record)
    new = sum(tenancy.ledger.ingest(shipment) for shipment in shipments(data, found))
    assert new == len(first)
    since, until = sorted((data.draw(moments), data.draw(moments)))
    for scope in scopes.values():
        mine = [r for r in first.values() if r.organisation == scope.organisation]
        assert all(chain.intact for chain in tenancy.ledger.verify(scope))
        told = audited(b"".join(tenancy.ledger.statement(scope, "2023-11").json()))
        november = [r.request_id for r in mine if r.at_unix_us >= NOVEMBER]
        assert sorted(e["request_id"] for e in told["entries"]) == sorted(november)
        for span in (EVER, {"since_us": since, "until_us": until}):
            within = [r for r in mine if span["since_us"] <= r.at_unix_us < span["until_us"]]
            for by in ([], [Dimension.MODEL, Dimension.HOUR], [Dimension.PROJECT, Dimension.MONTH]):
                reported = {
                    tuple(part.group.values()): tuple(getattr(part, name) for name in MEASURES)
                    for part in tenancy.ledger.report(scope, **span, by=by)
                }
                assert reported == summed(within, by)
        with (
            tenancy._store.read_everything() as session
        ):  # of this one: others of these are many by now
            assert hours.drift(session.connection(), scope.organisation, 0) == []


test_that_for_long = test_however_it_is_shipped_the_books_are_whole_and_equal_their_sums.for_long


def summed(found, by):
    """The same sums, made the obvious way."""
    times = {Dimension.HOUR: "%Y-%m-%dT%H", Dimension.MONTH: "%Y-%m"}
    groups: dict[tuple, Counter] = {}
    for record in found:
        at = datetime.fromtimestamp(record.at_unix_us // 10**6, UTC)
        group = tuple(at.strftime(times[d]) if d in times else getattr(record, d) for d in by)
        sums = groups.setdefault(group, Counter())
        sums["requests"] += 1
        sums["answered"] += record.outcome == "ok"
        sums.update({name: getattr(record, name) for name in MEASURES[2:]})
    return {group: tuple(sums[name] for name in MEASURES) for group, sums in groups.items()}


def test_a_chain_grows_by_one_link_per_shipment_with_something_new(world, acme):
    ledger, whose = world.tenancy.ledger, acme.organisation
    ledger.ingest([make_record(whose, "1"), make_record(whose, "2")])
    ledger.ingest([make_record(whose, "2")])  # known already: no link
    ledger.ingest([make_record(whose, "2"), make_record(whose, "3")])
    (chain,) = ledger.verify(acme)
    assert (chain.links, chain.sequence, chain.anchor) == (2, 2, 0)
    assert chain.digest != GENESIS


def test_what_is_told_to_the_budgets_is_exactly_what_was_new(world, acme):
    told = []
    ledger = Ledger(world.tenancy._store, lambda _, found: told.append(list(found)))
    first, second, third = (make_record(acme.organisation, n, charge=5) for n in "123")
    ledger.ingest([second, first, second])
    ledger.ingest([first, second])
    ledger.ingest([third, first])
    assert [sorted(r.request_id for r in found) for found in told] == [["1", "2"], ["3"]]
    assert told[1] == [third]


def test_when_the_budgets_refuse_nothing_was_recorded(world, acme):
    def refuse(_session, _records):
        raise RuntimeError

    before = world.tenancy.ledger.verify(acme)
    with pytest.raises(RuntimeError):
        Ledger(world.tenancy._store, refuse).ingest([make_record(acme.organisation, "1")])
    assert world.tenancy.ledger.records(acme, **EVER).records == []
    assert world.tenancy.ledger.report(acme, **EVER) == []
    assert world.tenancy.ledger.verify(acme) == before == []
    assert ledger_module.settle_nothing(None, []) is None


@pytest.fixture
def books(world, acme):
    """Three batches of three requests."""
    for batch in range(3):
        world.tenancy.ledger.ingest(
            [
                make_record(
                    acme.organisation, f"{batch}{n}", charge=7, at_unix_us=NOVEMBER + batch * HOUR
                )
                for n in range(3)
            ]
        )
    return acme


ROW = "INSERT INTO usage SELECT organisation, 'zz', project, key, model, version, digest, provider,"
ROW += " rows, compute_us, host_us, latency_us, outcome, at_unix_us, replica, charge, overrun,"
ROW += " lease, kind, reason, actor, refers, {} FROM usage WHERE request_id = '10'"


@pytest.mark.parametrize(
    ("statements", "broken"),
    [
        (["UPDATE usage SET charge = 6 WHERE request_id = '11'"], 2),
        (["UPDATE usage SET outcome = 'oK' WHERE request_id = '02'"], 1),
        (["UPDATE usage SET at_unix_us = at_unix_us + 1 WHERE request_id = '22'"], 3),
        (["UPDATE usage SET lease = 'l' WHERE request_id = '10'"], 2),
        (["UPDATE usage SET request_id = '1x' WHERE request_id = '11'"], 2),
        (["UPDATE usage SET organisation = 'org_x' WHERE request_id = '11'"], 2),
        (["UPDATE usage SET batch = 3 WHERE request_id = '11'"], 2),
        (["UPDATE usage SET batch = 0 WHERE request_id = '21'"], 3),
        (["DELETE FROM usage WHERE request_id = '20'"], 3),
        ([ROW.format(2)], 2),
        ([ROW.format(0)], 0),
        ([ROW.format(4)], 4),
        (["UPDATE ledger_batches SET charge = 22 WHERE sequence = 1"], 1),
        (["UPDATE ledger_batches SET at = at + 1 WHERE sequence = 3"], 3),
        (["UPDATE ledger_batches SET digest = previous WHERE sequence = 2"], 2),
        (["UPDATE ledger_batches SET previous = digest WHERE sequence = 2"], 2),
        (["DELETE FROM ledger_batches WHERE sequence = 2"], 2),
        (["DELETE FROM usage WHERE batch = 2", "DELETE FROM ledger_batches WHERE sequence = 2"], 2),
        (["DELETE FROM usage WHERE batch = 3", "DELETE FROM ledger_batches WHERE sequence = 3"], 3),
        (["UPDATE ledger_heads SET digest = '00'"], 4),
        (["UPDATE ledger_heads SET sequence = 2"], 4),
        (["DELETE FROM ledger_heads"], 1),
    ],
)
def test_whatever_is_changed_the_first_batch_that_does_not_fit_is_named(
    world, books, statements, broken
):
    (intact,) = world.tenancy.ledger.verify(books)
    assert (intact.intact, intact.links) == (True, 3)
    tamper(world, *statements)
    (chain,) = world.tenancy.ledger.verify(books)
    assert not chain.intact
    assert chain.broken == broken
    assert chain.why


def test_many_writers_make_one_chain(world):
    """Threads ship overlapping records of two organisations that nobody has seen before."""
    shipments = [
        [make_record(f"org_{n % 2}", str(n), charge=1) for n in range(first, first + 30)]
        for first in range(0, 120, 10)
    ]
    with ThreadPoolExecutor(4) as pool:
        new = list(pool.map(world.tenancy.ledger.ingest, shipments))
    assert sum(new) == 140
    chains = world.tenancy.ledger.verify(world.platform())
    assert [chain.intact for chain in chains] == [True, True]
    assert world.tenancy.ledger.drift(world.platform()) == []
    found = world.tenancy.ledger.report(world.platform(), **EVER)
    assert [part.charge for part in found] == [70, 70]


def test_rows_that_swap_their_batches_are_found(world, books):
    tamper(
        world,
        "UPDATE usage SET batch = 9 WHERE request_id = '01'",
        "UPDATE usage SET batch = 1 WHERE request_id = '11'",
        "UPDATE usage SET batch = 2 WHERE request_id = '01'",
    )
    (chain,) = world.tenancy.ledger.verify(books)
    assert (chain.broken, chain.links) == (1, 0)


def test_a_platform_scope_verifies_everybodys_books(world, books):
    city = world.organisation("city")
    world.tenancy.ledger.ingest([make_record(city.organisation, "1")])
    tamper(world, "UPDATE usage SET charge = 6 WHERE request_id = '11'")
    found = {c.organisation: c.intact for c in world.tenancy.ledger.verify(world.platform())}
    assert found == {books.organisation: False, city.organisation: True}


def test_a_key_of_one_project_cannot_verify_what_it_may_not_see(world, books):
    bound = world.scope_of("acme", Role.AUDITOR, Right.USAGE_READ, project="main")
    with pytest.raises(Forbidden):
        world.tenancy.ledger.verify(bound)
    with pytest.raises(Forbidden):
        world.tenancy.ledger.statement(bound, "2023-11")


def test_books_longer_than_a_page_are_verified_whole(world, acme, monkeypatch):
    monkeypatch.setattr("plaza_tenancy.chain._PAGE_BATCHES", 10)
    monkeypatch.setattr("plaza_tenancy.chain._PAGE_ENTRIES", 50)
    for n in range(25):
        world.tenancy.ledger.ingest([make_record(acme.organisation, str(n))])
    world.tenancy.ledger.ingest([make_record(acme.organisation, f"many-{n}") for n in range(120)])
    (chain,) = world.tenancy.ledger.verify(acme)
    assert (chain.links, chain.intact) == (26, True)
    tamper(world, "UPDATE usage SET charge = 6 WHERE request_id = 'many-119'")
    (chain,) = world.tenancy.ledger.verify(acme)
    assert (chain.links, chain.broken) == (25, 26)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE usage_hours SET charge = charge + 1 WHERE hour = {hour}",
        "DELETE FROM usage_hours WHERE hour = {hour}",
        "UPDATE usage_hours SET model = 'other' WHERE hour = {hour}",
        "UPDATE usage SET host_us = host_us + 1 WHERE request_id = '11'",
    ],
)
def test_sums_that_have_drifted_are_told_and_made_anew(world, books, statement):
    ledger, platform = world.tenancy.ledger, world.platform()
    assert ledger.drift(platform) == ledger.rebuild(platform) == []
    tamper(world, statement.format(hour=NOVEMBER + HOUR))
    found = ledger.drift(platform)
    assert {d.hour_unix_us for d in found} == {NOVEMBER + HOUR}
    assert {d.organisation for d in found} == {books.organisation}
    assert ledger.rebuild(platform) == found
    assert ledger.drift(platform) == []
    (part,) = ledger.report(books, **EVER)
    assert (part.requests, part.charge) == (9, 63)
    told = world.tenancy.audit.list(books)[0]
    assert (told.action, told.after) == ("ledger.rebuild", {"mended": len(found)})


def test_only_operators_mend_sums(world, books):
    for verb in (world.tenancy.ledger.drift, world.tenancy.ledger.rebuild):
        with pytest.raises(Forbidden):
            verb(books)


def test_sums_of_an_organisation_that_nobody_knows_are_mended_too(world):
    world.tenancy.ledger.ingest([make_record("org_lost", "1")])
    tamper(world, "UPDATE usage_hours SET rows = 9")
    assert len(world.tenancy.ledger.rebuild(world.platform())) == 1
    assert world.tenancy.ledger.drift(world.platform()) == []
    assert world.tenancy.audit.list(world.platform())[0].organisation_name == "plaza"
