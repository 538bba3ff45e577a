"""Books to tell stories about: entries drawn by Hypothesis, and an auditor who trusts nobody.

The auditor has a statement and the standard library, and none of our code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from hypothesis import strategies as st
from sqlalchemy import text

from tests.postgres import unwalled
from tests.tenancy.world import World, make_record

EVER = {"since_us": 0, "until_us": 2**62}
HOUR = 3_600_000_000
NOVEMBER = 1_698_796_800_000_000
"""2023-11-01 00:00 UTC; the worlds' clock stands in the middle of that month."""

moments = st.integers(NOVEMBER - 2 * HOUR, NOVEMBER + 3 * HOUR) | st.sampled_from(
    [NOVEMBER, NOVEMBER - 1, NOVEMBER + HOUR, NOVEMBER + HOUR - 1, NOVEMBER + HOUR + 1]
)

records = st.builds(
    make_record,
    st.sampled_from("ab"),  # stands for an organisation until `settled_in`
    st.integers(0, 15).map(str),
    project=st.none() | st.sampled_from(["p1", "p2"]),
    key=st.sampled_from(["k1", "k2"]),
    model=st.sampled_from(["m1", "m2"]),
    version=st.integers(1, 2),
    provider=st.sampled_from(["cpu", "cuda"]),
    rows=st.integers(0, 9),
    compute_us=st.integers(0, 2**40),
    host_us=st.integers(0, 99),
    charge=st.integers(0, 2**40),
    overrun=st.integers(0, 9),
    outcome=st.sampled_from(["ok", "model_failed", 'é"\\\n\x01\u2028']),
    at_unix_us=moments,
    lease=st.none() | st.just("l1"),
)


def settled_in(record, organisations):
    """The record as one of a real organisation's."""
    fields = {name: getattr(record, name) for name in record.__slots__}
    whose, request = organisations[fields.pop("organisation")], fields.pop("request_id")
    return make_record(whose, request, **fields)


def shipments(data, found):
    """The records in arbitrary pieces, some of them shipped again."""
    rest = list(found)
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        shipment, rest = rest[:size], rest[size:]
        yield shipment * data.draw(st.integers(1, 2))
        if data.draw(st.booleans()):
            yield found[: data.draw(st.integers(1, len(found)))]


def tamper(world: World, *statements: str) -> None:
    """What somebody does who has the database."""
    with unwalled(world.url) as connection:
        for statement in statements:
            assert connection.execute(text(statement)).rowcount > 0, statement


def audited(document: bytes) -> dict:
    """A statement, once every digest in it was recomputed and every total added up."""
    told = json.loads(document)
    previous = None
    entries = []
    for batch in told["batches"]:
        assert previous is None or batch["sequence"] > previous["sequence"]
        if previous is not None and batch["sequence"] == previous["sequence"] + 1:
            assert batch["previous"] == previous["digest"]
        fields = ("at", "charge", "count", "organisation", "previous", "sequence")
        header = {name: batch[name] for name in fields} | {"format": told["format"]}
        assert digest_of([header, *batch["entries"]]) == batch["digest"]
        assert batch["count"] == len(batch["entries"])
        entries += [dict(zip(told["fields"], entry, strict=True)) for entry in batch["entries"]]
        previous = batch
    since, until = told["since_unix_us"], told["until_unix_us"]
    told["entries"] = [e for e in entries if since <= e["at_unix_us"] < until]
    for name in ("rows", "compute_us", "host_us", "charge", "overrun"):
        total = sum(entry[name] for entry in told["entries"])
        assert told["totals"][name] == total == sum(part[name] for part in told["sums"])
    return told


def digest_of(documents: Iterable) -> str:
    made = hashlib.sha256()
    for document in documents:
        line = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        made.update(line.encode() + b"\n")
    return made.hexdigest()
