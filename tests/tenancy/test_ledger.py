"""Usage: every record once, whatever is shipped again, and sums that are exact."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import strategies as st

from plaza_core.errors import InvalidInput
from plaza_core.ids import KeyId, OrganisationId
from plaza_core.principal import Right, Role
from plaza_core.table import Visibility
from plaza_tenancy.views import Dimension
from tests.tenancy.drawn import drawn
from tests.tenancy.world import make_record, make_version

EVER = {"since_us": 0, "until_us": 2**62}
_names = (f"org{n}" for n in itertools.count())


def totals(tenancy, scope, *by, **period):
    return {
        tuple(group.group.values()): (group.requests, group.answered, group.compute_us)
        for group in tenancy.ledger.report(scope, **(period or EVER), by=by)
    }


def test_a_record_is_kept_as_it_came(world, acme):
    one = make_record(acme.organisation, "r1", project="p", outcome="model_failed", rows=2**40)
    assert world.tenancy.ledger.ingest([one]) == 1
    page = world.tenancy.ledger.records(acme, **EVER)
    assert page.records == [one]
    assert page.next is None


def test_a_record_counts_once_even_within_one_shipment(world, acme):
    one = make_record(acme.organisation, "r1")
    assert world.tenancy.ledger.ingest([one, one]) == 1
    assert world.tenancy.ledger.ingest([one, make_record(acme.organisation, "r2")]) == 1
    assert world.tenancy.ledger.ingest([]) == 0


def test_the_first_record_of_a_request_stands(world, acme):
    world.tenancy.ledger.ingest([make_record(acme.organisation, "r1", compute_us=5)])
    assert world.tenancy.ledger.ingest([make_record(acme.organisation, "r1", compute_us=9)]) == 0
    assert totals(world.tenancy, acme) == {(): (1, 1, 5)}


def test_request_ids_are_an_organisations_own(world, acme):
    city = world.organisation("city")
    same = [make_record(scope.organisation, "r1") for scope in (acme, city)]
    assert world.tenancy.ledger.ingest(same) == 2


@drawn(
    records=st.lists(
        st.builds(
            make_record,
            st.integers(0, 1).map(str),
            st.integers(0, 15).map(str),
            compute_us=st.integers(0, 2**40),
            at_unix_us=st.integers(0, 10**6),
            model=st.sampled_from(["m1", "m2"]),
            outcome=st.sampled_from(["ok", "model_failed"]),
        ),
        max_size=25,
    ),
    data=st.data(),
    short=10,
    long=300,
)
def test_shipping_again_in_any_pieces_and_order_changes_nothing(shared_world, records, data):
    world, tenancy = shared_world, shared_world.tenancy
    scopes = {str(n): world.organisation(next(_names)) for n in range(2)}
    first: dict[tuple[str, str], object] = {}
    for n, record in enumerate(records):
        whose = scopes[record.organisation].organisation
        fields = {name: getattr(record, name) for name in ("compute_us", "at_unix_us", "outcome")}
        records[n] = make_record(whose, record.request_id, model=record.model, **fields)
    # The order in which a request id is first shipped decides which record stands.
    new = 0
    rest = list(records)
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        shipment, rest = rest[:size], rest[size:]
        if data.draw(st.booleans()):
            shipment = shipment * 2
        new += tenancy.ledger.ingest(shipment)
        stood = {(r.organisation, r.request_id) for r in first.values()}
        # Within one shipment any of several records with one identity may stand: ask which did.
        for scope in scopes.values():
            for record in tenancy.ledger.records(scope, **EVER).records:
                key = (record.organisation, record.request_id)
                assert first.setdefault(key, record) == record
                assert key in stood or record in shipment
    assert new == len(first) == len({(r.organisation, r.request_id) for r in records})
    for scope in scopes.values():
        mine = [r for r in first.values() if r.organisation == scope.organisation]
        expected = Counter()
        for record in mine:
            expected[(record.model,)] += record.compute_us
        reported = {k: v[2] for k, v in totals(tenancy, scope, Dimension.MODEL).items()}
        assert reported == dict(expected)


test_that_for_long = test_shipping_again_in_any_pieces_and_order_changes_nothing.for_long


def test_a_report_breaks_usage_down_and_names_the_parts(world, acme):
    tenancy = world.tenancy
    project = tenancy.projects.get(acme, "main")
    version, _ = tenancy.records.add_version(acme, make_version())
    key = tenancy.keys.create(acme, role=Role.CONSUMER, label="the app").id
    common = {"project": project.id, "key": key, "model": version.model}
    tenancy.ledger.ingest(
        [
            make_record(acme.organisation, "1", **common, compute_us=10, rows=3),
            make_record(acme.organisation, "2", **common, compute_us=5, host_us=7),
            make_record(acme.organisation, "3", **common, compute_us=0, outcome="model_failed"),
            make_record(acme.organisation, "4", key="gone", model="gone", compute_us=100),
        ]
    )
    by = [Dimension.ORGANISATION, Dimension.PROJECT, Dimension.KEY, Dimension.MODEL]
    found = tenancy.ledger.report(acme, **EVER, by=by)
    (ours,) = [part for part in found if part.group[Dimension.KEY] == key]
    assert ours.labels == {
        Dimension.ORGANISATION: "acme",
        Dimension.PROJECT: "main",
        Dimension.KEY: "the app",
        Dimension.MODEL: "detector",
    }
    assert (ours.requests, ours.answered, ours.rows) == (3, 2, 5)
    assert (ours.compute_us, ours.host_us) == (15, 9)
    (other,) = [part for part in found if part is not ours]
    assert other.labels[Dimension.KEY] == other.labels[Dimension.PROJECT] == ""
    assert other.group[Dimension.PROJECT] is None
    assert totals(tenancy, acme) == {(): (4, 3, 115)}
    assert totals(tenancy, world.organisation("city")) == {}


def test_a_period_takes_its_start_and_leaves_its_end(world, acme):
    records = [make_record(acme.organisation, str(n), at_unix_us=n) for n in range(10)]
    world.tenancy.ledger.ingest(records)
    assert totals(world.tenancy, acme, since_us=3, until_us=6) == {(): (3, 3, 30)}
    page = world.tenancy.ledger.records(acme, since_us=3, until_us=6)
    assert [record.at_unix_us for record in page.records] == [3, 4, 5]


def test_pages_give_every_record_once_in_order(world, acme):
    city = world.organisation("city")
    records = [
        make_record(scope.organisation, f"{n:02}", at_unix_us=n // 4)
        for scope in (acme, city)
        for n in range(10)
    ]
    world.tenancy.ledger.ingest(records)
    seen, after = [], None
    while True:
        page = world.tenancy.ledger.records(world.platform(), **EVER, after=after, limit=3)
        assert len(page.records) <= 3
        seen += page.records
        if (after := page.next) is None:
            break
    assert sorted(records, key=lambda r: (r.at_unix_us, r.organisation, r.request_id)) == seen
    for wrong in ("", "x", "1", "1.", "1..", "-1.a.b", "9" * 20 + ".a.b", "9" * 5000 + ".a.b"):
        with pytest.raises(InvalidInput):
            world.tenancy.ledger.records(acme, **EVER, after=wrong)


def test_a_key_of_one_project_sees_the_usage_of_its_project(world, acme):
    project = world.tenancy.projects.get(acme, "main")
    world.tenancy.ledger.ingest(
        [
            make_record(acme.organisation, "1", project=project.id),
            make_record(acme.organisation, "2", project=None),
        ]
    )
    bound = world.scope_of("acme", Role.CONSUMER, Right.USAGE_READ, project="main")
    assert totals(world.tenancy, bound) == {(): (1, 1, 10)}
    page = world.tenancy.ledger.records(bound, **EVER)
    assert [record.request_id for record in page.records] == ["1"]


def test_somebody_elses_model_is_named_only_while_it_is_public(world, acme):
    city = world.organisation("city")
    version, _ = world.tenancy.records.add_version(city, make_version(visibility=Visibility.PUBLIC))
    world.tenancy.ledger.ingest([make_record(acme.organisation, "1", model=version.model)])
    by = [Dimension.MODEL]
    (part,) = world.tenancy.ledger.report(acme, **EVER, by=by)
    assert part.labels == {Dimension.MODEL: "detector"}
    world.tenancy.visibility.set(city, "detector", Visibility.PROJECT)
    (part,) = world.tenancy.ledger.report(acme, **EVER, by=by)
    assert part.labels == {Dimension.MODEL: ""}
    assert part.group == {Dimension.MODEL: version.model}


def test_usage_moves_last_used_forward_and_never_back(world, acme):
    key = KeyId(world.tenancy.keys.create(acme, role=Role.CONSUMER).id)
    seen = []
    for request, at in (("1", 500), ("2", 900), ("3", 100)):
        record = make_record(acme.organisation, request, key=key, at_unix_us=at)
        world.tenancy.ledger.ingest([record])
        seen.append(world.tenancy.keys.get(acme, key).last_used_unix_us)
    assert seen == [500, 900, 900]


def test_usage_of_an_organisation_nobody_knows_is_kept_too(world):
    lost = make_record(OrganisationId("org_lost"), "1")
    assert world.tenancy.ledger.ingest([lost]) == 1
    assert world.tenancy.ledger.records(world.platform(), **EVER).records == [lost]
