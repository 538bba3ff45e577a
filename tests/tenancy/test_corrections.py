"""Corrections: added with a reason and an actor, counted everywhere, never edited into anything."""

from __future__ import annotations

import pytest

from plaza_core.budget import Period
from plaza_core.errors import Forbidden, InvalidInput, NotFound
from plaza_core.principal import Role
from plaza_tenancy.corrections import About
from plaza_tenancy.ledger import Ledger
from plaza_tenancy.nodes import Kind as Level
from plaza_tenancy.nodes import Node
from plaza_tenancy.views import Dimension, Kind
from tests.tenancy.books import EVER, audited
from tests.tenancy.world import make_record


@pytest.fixture
def charged(world, acme):
    """Two requests of one key in a project; returns (scope, key, project)."""
    project = world.tenancy.projects.get(acme, "main").id
    bound = world.tenancy.scope(
        world.operator, "tenants.write", organisation="acme", project="main"
    )
    key = world.tenancy.keys.create(bound, role=Role.CONSUMER).id
    common = {"project": project, "key": key, "at_unix_us": world.clock.unix_us()}
    world.tenancy.ledger.ingest(
        [
            make_record(acme.organisation, "r1", charge=100, **common),
            make_record(acme.organisation, "r2", charge=50, **common),
        ]
    )
    return acme, key, project


def correct(world, charge, **about):
    return world.tenancy.ledger.correct(
        world.platform(), "acme", charge=charge, reason="ticket 17", about=About(**about)
    )


def test_a_correction_of_a_request_takes_its_place_and_leaves_it_as_it_is(world, charged):
    acme, key, project = charged
    entry = correct(world, -30, request="r1")
    assert (entry.kind, entry.reason, entry.refers) == (Kind.CORRECTION, "ticket 17", "r1")
    assert entry.actor == world.operator.key
    record = entry.record
    assert (record.key, record.project, record.model, record.charge) == (key, project, "mdl_1", -30)
    (part,) = world.tenancy.ledger.report(acme, **EVER, by=[Dimension.KEY])
    assert (part.group[Dimension.KEY], part.requests, part.answered) == (key, 2, 2)
    assert part.charge == 120
    kept = world.tenancy.ledger.records(acme, **EVER).records
    assert [r.charge for r in kept] == [100, 50]
    assert world.tenancy.ledger.drift(world.platform()) == []
    assert all(chain.intact for chain in world.tenancy.ledger.verify(acme))


def test_a_request_is_never_corrected_below_nothing(world, charged):
    correct(world, -60, request="r1")
    with pytest.raises(InvalidInput, match="more than"):
        correct(world, -41, request="r1")
    correct(world, 10, request="r1")
    correct(world, -50, request="r1")
    (part,) = world.tenancy.ledger.report(charged[0], **EVER)
    assert part.charge == 50


def test_a_correction_may_be_about_a_key_a_project_a_model_or_the_whole(world, charged):
    _, key, project = charged
    places = [
        correct(world, -1, key=key, month="2023-10").record,
        correct(world, -1, project="main", model="mdl_2").record,
        correct(world, 5).record,
    ]
    assert [(r.project, r.key, r.model) for r in places] == [
        (project, key, ""),
        (project, "", "mdl_2"),
        (None, "", ""),
    ]


def test_the_budgets_hear_of_it_in_the_same_transaction(world, charged):
    told = []
    ledger = Ledger(world.tenancy._store, amend=lambda _, *found: told.append(found))
    about = About(request="r2")
    entry = ledger.correct(world.platform(), "acme", charge=-7, reason="x", about=about)
    ((original, correction),) = told
    assert (original.request_id, original.charge) == ("r2", 50)
    assert correction == entry.record

    def refuse(*_):
        raise RuntimeError

    before = world.tenancy.audit.list(charged[0])
    with pytest.raises(RuntimeError):
        Ledger(world.tenancy._store, amend=refuse).correct(
            world.platform(), "acme", charge=-7, reason="x", about=about
        )
    (part,) = world.tenancy.ledger.report(charged[0], **EVER)
    assert part.charge == 143
    assert world.tenancy.audit.list(charged[0]) == before


def test_the_trail_and_the_statement_tell_who_why_and_how_much(world, charged):
    acme, key, _ = charged
    entry = correct(world, -30, request="r1")
    row = world.tenancy.audit.list(acme)[0]
    assert (row.action, row.target) == ("ledger.correct", entry.record.request_id)
    assert row.after == {"charge": -30, "reason": "ticket 17", "refers": "r1", "key": key}
    told = audited(b"".join(world.tenancy.ledger.statement(acme, "2023-11").json()))
    (line,) = [e for e in told["entries"] if e["kind"] == "correction"]
    assert (line["charge"], line["reason"], line["actor"]) == (
        -30,
        "ticket 17",
        world.operator.key,
    )
    assert (told["corrections"], told["totals"]["charge"], told["totals"]["requests"]) == (
        -30, 120, 2,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"charge": 0}, InvalidInput),
        ({"charge": 2**60}, InvalidInput),
        ({"reason": ""}, InvalidInput),
        ({"reason": " "}, InvalidInput),
        ({"reason": "two\nlines"}, InvalidInput),
        ({"about": About(request="never")}, NotFound),
        ({"about": About(key="never")}, NotFound),
        ({"about": About(project="never")}, NotFound),
        ({"about": About(month="2023-13")}, InvalidInput),
        ({"organisation": "nobody"}, NotFound),
    ],
)
def test_what_makes_no_sense_is_refused(world, charged, change, code):
    asked = {"organisation": "acme", "charge": 1, "reason": "fine"} | change
    with pytest.raises(code):
        world.tenancy.ledger.correct(world.platform(), asked.pop("organisation"), **asked)
    (part,) = world.tenancy.ledger.report(charged[0], **EVER)
    assert part.charge == 150


ACME = Node(Level.ORGANISATION, "acme")


def settled(world) -> int:
    return world.tenancy.budgets.show(world.platform(), ACME).settled


def test_a_request_of_this_period_gives_its_budget_back(world, charged):
    world.tenancy.budgets.set(world.platform(), ACME, limit=1000, period=Period.DAY)
    correct(world, -30, request="r1")
    assert settled(world) == 120
    correct(world, 5, request="r1")
    assert settled(world) == 125
    assert world.tenancy.leases.drift() == []


def test_a_budget_set_later_knows_of_corrections_before_it(world, charged):
    correct(world, -30, request="r1")
    correct(world, -40)  # of nobody's request: the bill's alone
    world.tenancy.budgets.set(world.platform(), ACME, limit=1000, period=Period.DAY)
    assert settled(world) == 120
    assert world.tenancy.leases.drift() == []


def test_what_was_used_in_a_period_that_is_over_is_a_matter_of_the_bill_alone(world, charged):
    """A budget of today never falls below nothing for what was wrong yesterday."""
    world.tenancy.budgets.set(world.platform(), ACME, limit=1000, period=Period.DAY)
    world.clock.advance(86_400)
    correct(world, -100, request="r1")
    assert settled(world) == 0
    (part,) = world.tenancy.ledger.report(charged[0], **EVER)
    assert part.charge == 50
    assert world.tenancy.leases.drift() == []


def test_a_budget_without_an_end_hears_of_every_correction_of_a_request(world, charged):
    world.tenancy.budgets.set(world.platform(), ACME, limit=1000, period=Period.TOTAL)
    world.clock.advance(40 * 86_400)
    correct(world, -100, request="r1")
    assert settled(world) == 50
    assert world.tenancy.leases.drift() == []


def test_no_correction_of_the_bill_alone_touches_a_budget_however_large(world, charged):
    world.tenancy.budgets.set(world.platform(), ACME, limit=1000, period=Period.DAY)
    _, key, _ = charged
    for about in ({}, {"key": key}, {"project": "main"}, {"month": "2023-10"}):
        correct(world, -(10**6), **about)
        correct(world, 10**6 + 1, **about)
    assert settled(world) == 150
    assert world.tenancy.leases.drift() == []


def test_a_refund_beyond_what_a_budget_has_settled_is_refused_in_words(world, charged):
    """Clocks that were set back can bring an account to less than its corrections."""
    acme, _, _ = charged
    world.tenancy.budgets.set(world.platform(), ACME, limit=1000, period=Period.DAY)
    world.clock.advance(86_400)
    correct(world, 60, request="r1")  # of the bill alone
    world.clock._unix -= 86_400_000_000
    correct(world, -50, request="r2")
    with pytest.raises(InvalidInput, match="more than a budget has settled") as caught:
        correct(world, -160, request="r1")
    assert caught.value.code == "invalid_input"
    assert settled(world) == 100
    (part,) = world.tenancy.ledger.report(acme, **EVER)
    assert part.charge == 160
    assert world.tenancy.leases.drift() == []


def test_a_correction_is_not_corrected_itself(world, charged):
    entry = correct(world, -30, request="r1")
    with pytest.raises(NotFound):
        correct(world, 10, request=entry.record.request_id)


def test_nobody_corrects_their_own_books(world, charged):
    with pytest.raises(Forbidden):
        world.tenancy.ledger.correct(charged[0], "acme", charge=-100, reason="please")
