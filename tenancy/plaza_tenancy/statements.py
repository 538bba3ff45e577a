"""Statements: one organisation's books of one month, complete enough to be checked by anybody.

JSON holds every batch with an entry in the month, whole: header, digest and entries as the chain
has them (`entries` tells how a digest is made), so entries of the neighbouring months that share a
batch are there too; totals count the month only. CSV holds the month's entries as a table that a
spreadsheet may open: no text in it begins a formula, numbers are numbers.

A statement ends at the head that was there when it was opened: what arrives while it is sent is
left out. Pages are read in transactions of their own, so a slow reader keeps nobody waiting.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from plaza_core.errors import InvalidInput, NotFound
from plaza_core.ids import OrganisationId
from plaza_core.principal import TenantScope
from plaza_core.table import Visibility
from plaza_tenancy.catalogue import named_to
from plaza_tenancy.chain import page_of_batches
from plaza_tenancy.checks import demand_whole, month_bounds
from plaza_tenancy.entries import FIELDS, FORMAT, GENESIS, Row, lines
from plaza_tenancy.hours import MEASURES
from plaza_tenancy.rows import one_organisation
from plaza_tenancy.schema import (
    KeyRow,
    LedgerBatchRow,
    LedgerHeadRow,
    ModelRow,
    OrganisationRow,
    ProjectRow,
)
from plaza_tenancy.store import Store
from plaza_tenancy.views import Kind

_PAGE = 100
_GROUP: Final = ("project", "key", "model", "provider")
_NAMES: Final = {"project": "project_name", "key": "key_label", "model": "model_name"}
COLUMNS: Final = (
    "kind",
    "at",
    "request_id",
    *("project", "project_name", "key", "key_label", "model", "model_name", "version", "provider"),
    *("outcome", *MEASURES, "latency_us", "lease", "batch", "batch_digest"),
    *("reason", "actor", "refers"),
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

Names = Mapping[tuple[str, str], str]
"""(`project`, `key` or `model`; its id) -> its name for people."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One month of one organisation, open to be streamed as often as wanted."""

    organisation: OrganisationId
    name: str
    month: str
    since_us: int
    until_us: int
    sequence: int
    """The head that the statement ends at."""
    digest: str
    made_unix_us: int
    _store: Store = field(repr=False)
    _scope: TenantScope = field(repr=False)

    @classmethod
    def open(cls, store: Store, scope: TenantScope, month: str) -> Statement:
        """Raises InvalidInput for no month or one whose records were dropped, Forbidden for a
        scope on one project (a chain has the entries of all), NotFound."""
        demand_whole(scope)
        whose = one_organisation(scope)
        since, until = month_bounds(month, input="period")
        with store.read(scope) as session:
            organisation = session.get(OrganisationRow, whose)
            if organisation is None:
                raise NotFound("there is no such organisation", input="organisation")
            head = session.get(LedgerHeadRow, whose)
            if head is not None and since < head.closed_until:
                raise InvalidInput(
                    "the records of this month were dropped; the usage report has its sums",
                    input="period",
                )
            sequence, digest = (head.sequence, head.digest) if head else (0, GENESIS)
        now = store.clock.unix_us()
        return cls(
            whose, organisation.name, month, since, until, sequence, digest, now, store, scope
        )

    def json(self) -> Iterator[bytes]:
        """One JSON document, in pieces."""
        head = {
            "format": FORMAT,
            "organisation": self.organisation,
            "name": self.name,
            "period": self.month,
            "since_unix_us": self.since_us,
            "until_unix_us": self.until_us,
            "made_unix_us": self.made_unix_us,
            "head": {"sequence": self.sequence, "digest": self.digest},
            "fields": FIELDS,
        }
        yield orjson.dumps(head)[:-1] + b',"batches":['
        totals, between = Totals(), b""
        for batch, rows in self._batches():
            totals.count(self._within(rows))
            about = {name: getattr(batch, name) for name in _HEADER} | {"digest": batch.digest}
            entries = lines(rows).replace(b"\n", b",")[:-1]
            yield between + orjson.dumps(about)[:-1] + b',"entries":[' + entries + b"]}"
            between = b","
        names = self._names()
        rest = {
            "totals": totals.whole(),
            "corrections": totals.added[Kind.CORRECTION],
            "losses": totals.added[Kind.LOSS],
            "sums": [_named(group, names) | sums for group, sums in totals.groups()],
        }
        yield b"]," + orjson.dumps(rest)[1:]

    def csv(self) -> Iterator[bytes]:
        """A table (RFC 4180, UTF-8): entries, the digest after each batch, sums, the total."""
        names, totals = self._names(), Totals()
        yield _table([dict(zip(COLUMNS, COLUMNS, strict=True))])
        for batch, rows in self._batches():
            mine = self._within(rows)
            totals.count(mine)
            seal = {"kind": "batch", "batch": batch.sequence, "batch_digest": batch.digest}
            yield _table([*(_cells(row, batch.sequence, names) for row in mine), seal])
        yield _table(
            [
                *({"kind": "sum"} | _named(group, names) | sums for group, sums in totals.groups()),
                {"kind": "total"} | totals.whole(),
                {"kind": "head", "batch": self.sequence, "batch_digest": self.digest},
            ]
        )

    def _within(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        entries = [dict(zip(FIELDS, row, strict=True)) for row in rows]
        return [e for e in entries if self.since_us <= e["at_unix_us"] < self.until_us]

    def _batches(self) -> Iterator[tuple[LedgerBatchRow, list[Row]]]:
        """Every batch with an entry in the month, and its entries in order."""
        position = 0
        query = (
            select(LedgerBatchRow)
            .where(LedgerBatchRow.organisation == self.organisation)
            .where(LedgerBatchRow.sequence <= self.sequence)
            .where(LedgerBatchRow.first_unix_us < self.until_us)
            .where(LedgerBatchRow.last_unix_us >= self.since_us)
            .order_by(LedgerBatchRow.sequence)
            .limit(_PAGE)
        )
        while True:
            with self._store.read(self._scope) as session:
                self._demand_open(session)
                found = list(session.scalars(query.where(LedgerBatchRow.sequence > position)))
                page = page_of_batches(session, found)
            if not page:
                return
            yield from page
            position = page[-1][0].sequence

    def _demand_open(self, session: Session) -> None:
        head = session.get(LedgerHeadRow, self.organisation)
        if head is not None and self.since_us < head.closed_until:
            raise InvalidInput("the records were dropped while they were sent", input="period")

    def _names(self) -> Names:
        mine = ModelRow.organisation == self.organisation
        public = ModelRow.visibility == Visibility.PUBLIC
        shown = or_(mine, public, named_to(self.organisation))
        queries = {
            "project": select(ProjectRow.id, ProjectRow.name).where(
                ProjectRow.organisation == self.organisation
            ),
            "key": select(KeyRow.id, KeyRow.label).where(KeyRow.organisation == self.organisation),
            "model": select(ModelRow.id, ModelRow.name).where(shown),
        }
        with self._store.read(self._scope) as session:
            return {
                (what, identity): name
                for what, query in queries.items()
                for identity, name in session.execute(query)
            }


_HEADER: Final = ("organisation", "sequence", "previous", "at", "count", "charge")


class Totals:
    """Sums that grow with the entries: by group, and of what was added by hand."""

    def __init__(self) -> None:
        self.added = dict.fromkeys((Kind.CORRECTION, Kind.LOSS), 0)
        self._groups: dict[tuple[str | None, ...], dict[str, int]] = {}

    def count(self, entries: Sequence[Mapping[str, Any]]) -> None:
        for entry in entries:
            group = tuple(entry[name] for name in _GROUP)
            sums = self._groups.setdefault(group, dict.fromkeys(MEASURES, 0))
            for name, number in _measured(entry).items():
                sums[name] += number
            if entry["kind"] != Kind.USE:
                self.added[Kind(entry["kind"])] += entry["charge"]

    def groups(self) -> list[tuple[tuple[str | None, ...], dict[str, int]]]:
        return sorted(self._groups.items(), key=lambda item: tuple(map(str, item[0])))

    def whole(self) -> dict[str, int]:
        return {name: sum(s[name] for s in self._groups.values()) for name in MEASURES}


def _measured(entry: Mapping[str, Any]) -> dict[str, int]:
    request = entry["kind"] == Kind.USE
    counted = {"requests": int(request), "answered": int(request and entry["outcome"] == "ok")}
    return counted | {name: entry[name] for name in MEASURES[2:]}


def _named(group: Sequence[str | None], names: Names) -> dict[str, str | None]:
    ids = dict(zip(_GROUP, group, strict=True))
    return ids | {title: names.get((what, ids[what] or ""), "") for what, title in _NAMES.items()}


def _cells(entry: Mapping[str, Any], batch: int, names: Names) -> dict[str, Any]:
    """An entry as the cells of one line."""
    at = datetime.fromtimestamp(entry["at_unix_us"] / 1e6, UTC)
    named = {title: names.get((what, entry[what] or ""), "") for what, title in _NAMES.items()}
    kept = {name: entry[name] for name in COLUMNS if name in FIELDS}
    seen = {"at": at.isoformat(sep=" ", timespec="milliseconds")[:-6], "batch": batch}
    return kept | _measured(entry) | named | seen


def _table(rows: Sequence[Mapping[str, Any]]) -> bytes:
    out = io.StringIO()
    # All text is quoted: a semicolon in it starts no cell, wherever the list separator is one.
    table = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
    table.writerows([[_safe(row.get(name)) for name in COLUMNS] for row in rows])
    return out.getvalue().encode()


def _safe(cell: Any) -> Any:
    """Text that a spreadsheet would run is led by an apostrophe; numbers stay as they are."""
    if isinstance(cell, str) and cell.startswith(_FORMULA):
        return "'" + cell
    return "" if cell is None else cell
