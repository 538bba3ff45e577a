"""Ledger entries as rows, and the bytes that the hash chain is made of. Owns the canonical form.

An entry is one row of `usage`: a request (`use`), or what was added by hand or by rule later
(`correction`, `loss`). Nothing is ever edited. Whoever holds the entries of a batch can recompute
its digest with any JSON library; `statements` exports all that is needed:

    line    JSON array of the values of `FIELDS`, in that order, then one newline
    header  JSON object, keys sorted: at, charge, count, format, organisation, previous, sequence;
            then one newline
    digest  SHA-256, in hexadecimal, over the header and then the lines, by ascending request id
            (compared by code points)

JSON without spaces, in UTF-8, nothing escaped but `"`, `\\` and control characters (the short
forms \\b \\t \\n \\f \\r, else \\u00xx), integers in full. `previous` is the digest of the batch
before, 64 zeros for the first; `charge` is the sum over the lines, `count` their number, `at` µs
since 1970. That is what `json.dumps(x, separators=(",", ":"), ensure_ascii=False)` writes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from operator import attrgetter, itemgetter
from typing import Any, Final

import orjson

from plaza_core.inference import UsageRecord
from plaza_tenancy.views import Kind

FORMAT: Final = 1
GENESIS: Final = "0" * 64
"""What comes before the first of a chain."""

RECORD_FIELDS: Final = (
    "organisation",
    "request_id",
    "project",
    "key",
    "model",
    "version",
    "digest",
    "provider",
    "rows",
    "compute_us",
    "host_us",
    "latency_us",
    "outcome",
    "at_unix_us",
    "replica",
    "charge",
    "overrun",
    "lease",
)
FIELDS: Final = (*RECORD_FIELDS, "kind", "reason", "actor", "refers")

Row = tuple[Any, ...]
"""The values of `FIELDS`."""

_values = attrgetter(*RECORD_FIELDS)  # `asdict` copies deeply, which took longer than the insert
_USED: Final = (Kind.USE.value, None, None, None)

identity = itemgetter(FIELDS.index("organisation"), FIELDS.index("request_id"))
organisation_of = itemgetter(FIELDS.index("organisation"))
request_of = itemgetter(FIELDS.index("request_id"))
charge_of = itemgetter(FIELDS.index("charge"))
at_of = itemgetter(FIELDS.index("at_unix_us"))


def used(record: UsageRecord) -> Row:
    """The row of a request."""
    row: Row = (*_values(record), *_USED)
    return row


def added(record: UsageRecord, kind: Kind, *, reason: str, actor: str, refers: str | None) -> Row:
    """The row of something that is no request."""
    return (*_values(record), kind.value, reason, actor, refers)


def record_of(row: Row) -> UsageRecord:
    return UsageRecord(**dict(zip(RECORD_FIELDS, row, strict=False)))


def lines(rows: Iterable[Row]) -> bytes:
    """The canonical bytes of entries, in the order given."""
    return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def batch_digest(  # noqa: PLR0917 these are the header
    organisation: str, sequence: int, previous: str, at: int, rows: list[Row], charge: int
) -> str:
    """The digest of a batch whose rows are in order."""
    header = {
        "at": at,
        "charge": charge,
        "count": len(rows),
        "format": FORMAT,
        "organisation": organisation,
        "previous": previous,
        "sequence": sequence,
    }
    option = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    return hashlib.sha256(orjson.dumps(header, option=option) + lines(rows)).hexdigest()
