"""Statements: complete, checkable by anybody, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plaza_core.errors import InvalidInput
from plaza_core.principal import Role
from plaza_tenancy.corrections import About
from plaza_tenancy.statements import COLUMNS, _safe
from tests.tenancy.books import HOUR, NOVEMBER, audited, digest_of
from tests.tenancy.world import make_record, make_version

DECEMBER = NOVEMBER + 30 * 24 * HOUR


def as_json(world, scope, month="2023-11"):
    return audited(b"".join(world.tenancy.ledger.statement(scope, month).json()))


def as_table(world, scope, month="2023-11"):
    text = b"".join(world.tenancy.ledger.statement(scope, month).csv()).decode()
    return list(csv.DictReader(io.StringIO(text)))


def test_a_month_takes_its_start_and_leaves_its_end(world, acme):
    moments = [NOVEMBER - 1, NOVEMBER, DECEMBER - 1, DECEMBER]
    world.tenancy.ledger.ingest(
        [make_record(acme.organisation, str(n), at_unix_us=at) for n, at in enumerate(moments)]
    )
    told = as_json(world, acme)
    assert [e["request_id"] for e in told["entries"]] == ["1", "2"]
    assert told["totals"]["requests"] == 2
    (batch,) = told["batches"]
    assert batch["count"] == 4, "the neighbours are there too: the digest is over all of them"
    assert [r["request_id"] for r in as_table(world, acme) if r["kind"] == "use"] == ["1", "2"]
    assert as_json(world, acme, "2024-05")["batches"] == []


def test_the_chain_can_be_followed_from_statement_to_statement(world, acme):
    for n in range(4):
        at = NOVEMBER if n < 2 else DECEMBER
        world.tenancy.ledger.ingest([make_record(acme.organisation, str(n), at_unix_us=at)])
    november, december = as_json(world, acme), as_json(world, acme, "2023-12")
    assert december["batches"][0]["previous"] == november["batches"][-1]["digest"]
    assert december["batches"][-1]["digest"] == december["head"]["digest"]
    forged = december["batches"][0] | {"charge": 1}
    fields = ("at", "charge", "count", "organisation", "previous", "sequence")
    header = {name: forged[name] for name in fields} | {"format": 1}
    assert digest_of([header, *forged["entries"]]) != forged["digest"]


def test_names_for_people_stand_beside_the_ids(world, acme):
    project = world.tenancy.projects.get(acme, "main").id
    version, _ = world.tenancy.records.add_version(acme, make_version())
    key = world.tenancy.keys.create(acme, role=Role.CONSUMER, label="the app").id
    world.tenancy.ledger.ingest(
        [
            make_record(
                acme.organisation, "1", project=project, key=key, model=version.model,
                at_unix_us=NOVEMBER, charge=12,
            )
        ]
    )  # fmt: skip
    (part,) = as_json(world, acme)["sums"]
    assert (part["project_name"], part["key_label"], part["model_name"]) == (
        "main", "the app", "detector",
    )  # fmt: skip
    line, seal, part, total, head = as_table(world, acme)
    assert [r["kind"] for r in (line, seal, part, total, head)] == [
        "use", "batch", "sum", "total", "head",
    ]  # fmt: skip
    assert (line["key_label"], line["model_name"], line["charge"]) == ("the app", "detector", "12")
    assert line["at"] == "2023-11-01 00:00:00.000"
    assert part["charge"] == total["charge"] == "12"
    assert seal["batch_digest"] == head["batch_digest"]
    assert seal["charge"] == "", "or a column would add up to more than there is"


HOSTILE = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", '=HYPERLINK("x")']


@pytest.mark.parametrize("text", [*HOSTILE, 'a";=1', "a,=1", "a;=cmd", "ok"])
def test_no_cell_is_a_formula_and_every_text_comes_back(world, acme, text):
    world.tenancy.ledger.ingest(
        [make_record(acme.organisation, "1", replica=text, outcome=text, at_unix_us=NOVEMBER)]
    )
    raw = b"".join(world.tenancy.ledger.statement(acme, "2023-11").csv()).decode()
    found = list(csv.DictReader(io.StringIO(raw)))
    assert found[0]["outcome"].removeprefix("'") == text
    for row in found:
        for cell in row.values():
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))
    assert as_json(world, acme)["entries"][0]["outcome"] == text


@given(st.none() | st.integers() | st.text())
@example("=1")
@example(-5)
def test_a_cell_is_a_number_or_text_that_begins_no_formula(value):
    cell = _safe(value)
    if isinstance(value, int):
        assert cell == value
    else:
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
        assert cell.removeprefix("'") == (value or "").removeprefix("'") or cell == value


def test_a_negative_amount_is_a_number(world, acme):
    world.tenancy.ledger.ingest(
        [make_record(acme.organisation, "r", charge=9, at_unix_us=world.clock.unix_us())]
    )
    about = About(request="r")
    world.tenancy.ledger.correct(world.platform(), "acme", charge=-5, reason="=x", about=about)
    text = b"".join(world.tenancy.ledger.statement(acme, "2023-11").csv()).decode()
    lines = text.split("\r\n")
    (line,) = [line for line in lines if line.startswith('"correction"')]
    assert ",-5," in line
    assert '"\'=x"' in line
    (total,) = [row for row in as_table(world, acme) if row["kind"] == "total"]
    assert total["charge"] == "4"


def test_what_arrives_while_it_is_sent_is_left_out(world, acme):
    ledger = world.tenancy.ledger
    ledger.ingest([make_record(acme.organisation, "1", at_unix_us=NOVEMBER)])
    statement = ledger.statement(acme, "2023-11")
    pieces = statement.json()
    first = next(pieces)
    ledger.ingest([make_record(acme.organisation, "2", at_unix_us=NOVEMBER)])
    told = audited(first + b"".join(pieces))
    assert [e["request_id"] for e in told["entries"]] == ["1"]
    assert told["head"]["sequence"] == 1
    assert len(as_json(world, acme)["entries"]) == 2


def test_a_slow_reader_keeps_nobody_waiting(world, acme, monkeypatch):
    monkeypatch.setattr("plaza_tenancy.statements._PAGE", 10)
    ledger = world.tenancy.ledger
    for n in range(25):
        ledger.ingest([make_record(acme.organisation, f"{n:03}", at_unix_us=NOVEMBER)])
    pieces = ledger.statement(acme, "2023-11").json()
    next(pieces)
    next(pieces)
    # Would wait for ever if a transaction were open: an embedded database has one connection.
    ledger.ingest([make_record(acme.organisation, "late", at_unix_us=NOVEMBER)])
    assert sum(1 for _ in pieces) == 25


def test_others_are_not_in_it(world, acme):
    city = world.organisation("city")
    world.tenancy.ledger.ingest(
        [make_record(s.organisation, "1", at_unix_us=NOVEMBER) for s in (acme, city)]
    )
    assert city.organisation not in str(as_json(world, acme))
    assert {r["kind"] for r in as_table(world, acme)} <= {"use", "batch", "sum", "total", "head"}


@pytest.mark.parametrize("month", ["2023", "2023-1", "2023-13", "23-01", "1969-12", "2023-11-01"])
def test_a_month_is_written_in_one_way(world, acme, month):
    with pytest.raises(InvalidInput):
        world.tenancy.ledger.statement(acme, month)


def test_every_column_has_a_name_of_its_own():
    assert len(set(COLUMNS)) == len(COLUMNS)
