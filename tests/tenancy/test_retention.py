"""Retention: closed months lose their rows and keep their sums; the chain begins at its anchor."""

from __future__ import annotations

import pytest

from plaza_core.errors import Forbidden, InvalidInput
from plaza_core.principal import TenantScope
from plaza_tenancy.views import Dimension
from tests.tenancy.books import EVER, HOUR, NOVEMBER, audited, tamper
from tests.tenancy.world import make_record

OCTOBER = NOVEMBER - 31 * 24 * HOUR


@pytest.fixture
def books(world, acme) -> TenantScope:
    """Two batches of October, one across the border, one of November."""
    for batch, moments in enumerate(
        ([OCTOBER, OCTOBER + 1], [NOVEMBER - 1], [NOVEMBER - 2, NOVEMBER], [NOVEMBER + HOUR])
    ):
        world.tenancy.ledger.ingest(
            [
                make_record(acme.organisation, f"{batch}{n}", at_unix_us=at, charge=5)
                for n, at in enumerate(moments)
            ]
        )
    return acme


def months(world, scope):
    found = world.tenancy.ledger.report(scope, **EVER, by=[Dimension.MONTH])
    return {part.group[Dimension.MONTH]: (part.requests, part.charge) for part in found}


def test_rows_go_and_sums_and_the_chain_stay(world, books):
    ledger, before = world.tenancy.ledger, months(world, books)
    assert before == {"2023-10": (4, 20), "2023-11": (2, 10)}
    (dropped,) = ledger.drop_before(world.platform(), "2023-11")
    assert (dropped.organisation, dropped.batches, dropped.entries, dropped.anchor) == (
        books.organisation, 2, 3, 2,
    )  # fmt: skip
    kept = [r.request_id for r in ledger.records(books, **EVER).records]
    assert kept == ["20", "21", "30"], "a batch across the border stays whole"
    assert months(world, books) == before
    (chain,) = ledger.verify(books)
    assert (chain.intact, chain.anchor, chain.links, chain.sequence) == (True, 2, 2, 4)
    assert ledger.drift(world.platform()) == []
    assert ledger.rebuild(world.platform()) == []
    row = world.tenancy.audit.list(books)[0]
    assert (row.action, row.target, row.after) == (
        "ledger.drop_before", "2023-11", {"entries": 3, "batches": 2, "anchor": 2},
    )  # fmt: skip


def test_the_chain_goes_on_and_changes_behind_the_anchor_are_still_found(world, books):
    ledger = world.tenancy.ledger
    ledger.drop_before(world.platform(), "2023-11")
    ledger.ingest([make_record(books.organisation, "new", at_unix_us=NOVEMBER + 2 * HOUR)])
    (chain,) = ledger.verify(books)
    assert (chain.intact, chain.links) == (True, 3)
    tamper(world, "UPDATE usage SET charge = 6 WHERE request_id = '20'")
    (chain,) = ledger.verify(books)
    assert chain.broken == 3
    tamper(world, "UPDATE usage SET charge = 5 WHERE request_id = '20'")
    tamper(world, "UPDATE ledger_heads SET anchor_digest = '00'")
    (chain,) = ledger.verify(books)
    assert chain.broken == 3


def test_dropping_again_changes_nothing_and_the_next_month_takes_the_border(world, books):
    ledger = world.tenancy.ledger
    ledger.drop_before(world.platform(), "2023-11")
    trail = world.tenancy.audit.list(books)
    assert ledger.drop_before(world.platform(), "2023-11") == []
    assert ledger.drop_before(world.platform(), "2023-10") == []
    assert world.tenancy.audit.list(books) == trail
    world.clock.advance(60 * 86_400)
    (dropped,) = ledger.drop_before(world.platform(), "2023-12")
    assert (dropped.batches, dropped.entries, dropped.anchor) == (2, 3, 4)
    (chain,) = ledger.verify(books)
    assert (chain.intact, chain.links, chain.anchor, chain.sequence) == (True, 0, 4, 4)
    assert months(world, books) == {"2023-10": (4, 20), "2023-11": (2, 10)}
    ledger.ingest([make_record(books.organisation, "d", at_unix_us=NOVEMBER + 31 * 24 * HOUR)])
    (chain,) = ledger.verify(books)
    assert (chain.intact, chain.links, chain.sequence) == (True, 1, 5)


def test_a_record_of_closed_books_that_is_shipped_again_is_not_billed_twice(world, books, caplog):
    ledger = world.tenancy.ledger
    old = make_record(books.organisation, "00", at_unix_us=OCTOBER, charge=5)
    ledger.drop_before(world.platform(), "2023-11")
    fresh = make_record(books.organisation, "fresh", at_unix_us=NOVEMBER, charge=5)
    assert ledger.ingest([old, fresh]) == 1
    assert "usage of closed books" in caplog.text
    assert months(world, books) == {"2023-10": (4, 20), "2023-11": (3, 15)}


def test_a_report_that_would_need_dropped_rows_says_so(world, books):
    ledger = world.tenancy.ledger
    span = {"since_us": OCTOBER + 1, "until_us": NOVEMBER}
    (part,) = ledger.report(books, **span)
    assert part.requests == 3
    ledger.drop_before(world.platform(), "2023-11")
    for scope in (books, world.platform()):
        with pytest.raises(InvalidInput, match="whole hours"):
            ledger.report(scope, **span)
    (part,) = ledger.report(books, since_us=OCTOBER, until_us=NOVEMBER + HOUR + 1)
    assert part.requests == 6
    city = world.organisation("city")
    assert ledger.report(city, **span) == []


def test_the_statement_of_a_dropped_month_is_refused_and_of_the_next_is_whole(world, books):
    ledger = world.tenancy.ledger
    november = ledger.statement(books, "2023-10").json()
    next(november)
    ledger.drop_before(world.platform(), "2023-11")
    with pytest.raises(InvalidInput, match="dropped"):
        ledger.statement(books, "2023-10")
    with pytest.raises(InvalidInput, match="dropped"):
        list(november)
    told = audited(b"".join(ledger.statement(books, "2023-11").json()))
    assert [e["request_id"] for e in told["entries"]] == ["21", "30"]


def test_only_a_month_that_is_well_over_is_dropped_and_only_by_operators(world, books):
    ledger = world.tenancy.ledger
    with pytest.raises(InvalidInput):
        ledger.drop_before(world.platform(), "2023-12")
    with pytest.raises(Forbidden):
        ledger.drop_before(books, "2023-11")
    world.clock.advance((NOVEMBER + 6 * 24 * HOUR - world.clock.unix_us()) / 1e6)
    with pytest.raises(InvalidInput, match="7 days"):
        ledger.drop_before(world.platform(), "2023-11")
    assert len(ledger.records(books, **EVER).records) == 6


def test_usage_that_outlived_its_organisation_is_dropped_too(world, books):
    world.tenancy.ledger.ingest([make_record("org_lost", "1", at_unix_us=OCTOBER)])
    found = world.tenancy.ledger.drop_before(world.platform(), "2023-11")
    assert {d.organisation for d in found} == {"org_lost", books.organisation}
    names = {row.organisation_name for row in world.tenancy.audit.list(world.platform())[:2]}
    assert names == {"plaza", "acme"}
