"""What control and replicas exchange survives the wire unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.errors import InvalidBundle, MalformedRequest
from plaza_core.ids import new_request_id
from plaza_core.inference import UsageRecord
from plaza_core.manifest import parse_manifest
from plaza_core.table import HubTable
from plaza_core.usage_wire import from_lines, to_lines
from tests.serving.dataplane.world import make_key, make_model, make_table

text = st.text(max_size=20)
count = st.integers(0, 2**53)


@given(
    st.builds(
        UsageRecord,
        **dict.fromkeys(
            ["organisation", "key", "request_id", "model", "digest", "provider", "outcome"], text
        ),
        **dict.fromkeys(
            ["version", "rows", "compute_us", "host_us", "latency_us", "charge", "overrun"], count
        ),
        project=st.none() | text,
        lease=st.none() | text,
        at_unix_us=count,
        replica=text,
    )
)
def test_a_usage_record_is_one_line(record):
    line = to_lines([record])
    assert line.count(b"\n") == 1
    assert from_lines(line) == [record]


OLD_LINE = (
    b'{"organisation":"org_1","project":null,"key":"k1","request_id":"r1","model":"mdl_1",'
    b'"version":3,"digest":"ab","provider":"cpu","rows":2,"compute_us":10,"host_us":4,'
    b'"latency_us":99,"outcome":"ok","at_unix_us":1700000000000000,"replica":"r-1"}\n'
)


def test_a_line_from_before_budgets_is_read_as_charged_nothing():
    (record,) = from_lines(OLD_LINE)
    assert (record.charge, record.overrun, record.lease) == (0, 0, None)
    assert (record.request_id, record.rows, record.replica) == ("r1", 2, "r-1")
    assert from_lines(to_lines([record])) == [record]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"rows":2,', b""),
        (b'"rows":2,', b'"rows":2,"kind":"correction",'),
        (b'"rows":2,', b'"rows":2,"charge":"5",'),
        (b'"rows":2,', b'"rows":2,"charge":null,'),
        (b'"rows":2,', b'"rows":2,"overrun":1.0,'),
        (b'"rows":2,', b'"rows":true,'),
    ],
)
def test_a_line_that_lacks_adds_or_mistypes_a_field_is_refused(old, new):
    with pytest.raises(MalformedRequest):
        from_lines(OLD_LINE.replace(old, new))


@pytest.mark.parametrize("line", [b"{}", b"[1]", b"{", b"null"])
def test_a_foreign_line_is_refused(line):
    with pytest.raises(MalformedRequest):
        from_lines(line)


def test_a_table_survives_json():
    entry, _ = make_key()
    table = make_table([make_model()], [entry])
    assert HubTable.model_validate_json(table.model_dump_json()) == table


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("- a list", "plaza.yaml"),
        ("a: [", "plaza.yaml"),
        ("schema: 2\nname: x\nsignature: {}", "schema"),
        ("schema: 1\nname: X\nsignature: {inputs: [], outputs: []}", "name"),
        ("schema: 1\nname: x", "signature"),
        ("schema: 1\nname: x\nsurprise: 1\nsignature: {}", "surprise"),
        ("schema: 1\nname: x\nsignature: {}", "signature.inputs"),
    ],
)
def test_a_bad_manifest_names_the_field(text, culprit):
    with pytest.raises(InvalidBundle) as refused:
        parse_manifest(text)
    assert refused.value.input == culprit


@given(st.integers(0, 2**48 - 1))
def test_request_ids_are_version_7_and_sort_by_time(ms):
    first = new_request_id(ms, lambda n: b"\xff" * n)
    later = new_request_id(min(ms + 1, 2**48 - 1), lambda n: b"\x00" * n)
    assert first[14] == "7"
    assert first[19] in "89ab"
    assert ms == 2**48 - 1 or first < later
