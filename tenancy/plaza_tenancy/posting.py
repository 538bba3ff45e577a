"""Adding entries to the books: rows, chain and projections in one transaction. Nothing else adds.

    heads locked ─▶ new rows inserted ─▶ a batch per organisation sealed ─▶ hours added up

The lock on an organisation's head orders whoever posts to it, so that the chain has no fork and
the next sequence is known before the rows are written.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, Table, bindparam, select, tuple_, update
from sqlalchemy.orm import Session

from plaza_tenancy import dialect, hours
from plaza_tenancy.entries import (
    FIELDS,
    GENESIS,
    Row,
    at_of,
    batch_digest,
    charge_of,
    identity,
    organisation_of,
)
from plaza_tenancy.schema import LedgerBatchRow, LedgerHeadRow, UsageRow

logger = logging.getLogger(__name__)

_USAGE: Table = UsageRow.metadata.tables["usage"]
_HEADS: Table = LedgerHeadRow.metadata.tables["ledger_heads"]
_BATCHES: Table = LedgerBatchRow.metadata.tables["ledger_batches"]
_COLUMNS = (*FIELDS, "batch")
_MOVE = (
    update(_HEADS)
    .where(_HEADS.c.organisation == bindparam("whose"))
    .values(sequence=bindparam("to_sequence"), digest=bindparam("to_digest"))
)


def post(session: Session, rows: Sequence[Row], now: int) -> list[Row]:
    """Add those `rows` that are not in the books yet; return them, by organisation and request.

    Two rows of one identity count as one, the first. `now` (µs since 1970) is written on the
    batches. What belongs to books that are closed is taken as known.
    """
    connection = session.connection()
    first: dict[tuple[str, str], Row] = {}
    for row in rows:
        first.setdefault(identity(row), row)
    heads = lock_heads(connection, {whose for whose, _ in first})
    # In key order: two writers of one database then never wait for one another in a circle.
    ordered = [
        first[key] for key in sorted(first) if at_of(first[key]) >= heads[key[0]].closed_until
    ]
    if len(ordered) < len(first):
        logger.warning("usage of closed books", extra={"records": len(first) - len(ordered)})
    numbered = [(*row, heads[organisation_of(row)].sequence + 1) for row in ordered]
    new = ordered
    if dialect.insert_tuples(connection, _USAGE, _COLUMNS, numbered) < len(ordered):
        inserted = _of_batches(connection, heads)
        new = [row for row in ordered if identity(row) in inserted]
    if new:
        _seal(connection, new, heads, now)
        hours.add(connection, new)
    return new


def _of_batches(connection: Connection, heads: dict[str, Head]) -> set[tuple[str, str]]:
    """Who is in the links that are being added: nobody else can write the next of a locked head."""
    columns = _USAGE.c
    link = tuple_(columns.organisation, columns.batch)
    added = [(whose, head.sequence + 1) for whose, head in heads.items()]
    query = select(columns.organisation, columns.request_id).where(link.in_(added))
    return {(whose, request) for whose, request in connection.execute(query)}


class Head(NamedTuple):
    """The end of one organisation's chain, held for the rest of the transaction."""

    sequence: int
    digest: str
    closed_until: int


def lock_heads(connection: Connection, organisations: Iterable[str]) -> dict[str, Head]:
    """The heads of these organisations, made where there was none."""
    wanted = sorted(organisations)
    heads = _locked(connection, wanted)
    missing = [whose for whose in wanted if whose not in heads]
    if missing:
        start = {"sequence": 0, "digest": GENESIS, "closed_until": 0}
        anchor = {"anchor_sequence": 0, "anchor_digest": GENESIS}
        fresh = [{"organisation": whose, **start, **anchor} for whose in missing]
        dialect.insert_new(connection, _HEADS, fresh)
        heads = _locked(connection, wanted)
    return heads


def _locked(connection: Connection, wanted: list[str]) -> dict[str, Head]:
    columns = _HEADS.c
    query = (
        select(columns.organisation, columns.sequence, columns.digest, columns.closed_until)
        .where(columns.organisation.in_(wanted))
        .order_by(columns.organisation)
        .with_for_update()
    )
    return {whose: Head(*rest) for whose, *rest in connection.execute(query)}


def _seal(connection: Connection, new: list[Row], heads: dict[str, Head], now: int) -> None:
    """One more link for every organisation that has something new. `new` is in key order."""
    batches, moved = [], []
    for whose, group in itertools.groupby(new, organisation_of):
        rows, head = list(group), heads[whose]
        sequence, charge = head.sequence + 1, sum(map(charge_of, rows))
        digest = batch_digest(whose, sequence, head.digest, now, rows, charge)
        times = list(map(at_of, rows))
        batches.append(
            {
                "organisation": whose,
                "sequence": sequence,
                "previous": head.digest,
                "digest": digest,
                "count": len(rows),
                "charge": charge,
                "at": now,
                "first_unix_us": min(times),
                "last_unix_us": max(times),
            }
        )
        moved.append({"whose": whose, "to_sequence": sequence, "to_digest": digest})
    connection.execute(_BATCHES.insert(), batches)
    connection.execute(_MOVE, moved)
