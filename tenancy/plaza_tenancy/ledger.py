"""The ledger: every admitted request once, unchangeable; what was added later; and the sums.

ingest ─▶ posting (rows, chain, hours) ─▶ settle (accounts and leases), in one transaction
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Table,
    bindparam,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Session

from plaza_core.errors import InvalidInput
from plaza_core.inference import UsageRecord
from plaza_core.principal import TenantScope
from plaza_tenancy import chain, corrections, retention
from plaza_tenancy.entries import RECORD_FIELDS, record_of, used
from plaza_tenancy.posting import post
from plaza_tenancy.rows import owned
from plaza_tenancy.schema import KeyRow, UsageRow
from plaza_tenancy.statements import Statement
from plaza_tenancy.store import Store
from plaza_tenancy.sums import sums
from plaza_tenancy.views import (
    ChainReport,
    Dimension,
    Drift,
    Dropped,
    Entry,
    Kind,
    UsagePage,
    UsageSum,
)

Settle = Callable[[Session, Sequence[UsageRecord]], None]
"""Told of records that are new in the books, in the transaction that adds them."""

_USAGE: Table = UsageRow.metadata.tables["usage"]
_KEYS: Table = KeyRow.metadata.tables["keys"]
_at: BindParameter[int] = bindparam("at_unix_us")
_MOMENT = re.compile(r"[0-9]{1,18}")
_MARK = (
    update(_KEYS)
    .where(
        _KEYS.c.organisation == bindparam("whose"),
        _KEYS.c.id == bindparam("which"),
        or_(_KEYS.c.last_used.is_(None), _KEYS.c.last_used < _at),
    )
    .values(last_used=_at)
)


Amend = Callable[[Session, UsageRecord, UsageRecord], None]
"""Told of a request and its correction, in the transaction that adds the correction."""


def settle_nothing(_session: Session, _records: Sequence[UsageRecord]) -> None:
    """For a ledger without budgets."""


def amend_nothing(_session: Session, _original: UsageRecord, _correction: UsageRecord) -> None:
    """For a ledger without budgets."""


class Ledger:
    """UsageLedger on SQL, and all that is derived from its rows."""

    def __init__(
        self, store: Store, settle: Settle = settle_nothing, amend: Amend = amend_nothing
    ) -> None:
        self._store = store
        self._settle = settle
        self._amend = amend

    def ingest(self, records: Sequence[UsageRecord]) -> int:
        """Insert what is new, in one transaction; return how many were new.

        Also moves `last used` of the keys forward, and charges from leased to settled. A record
        seen before changes nothing.
        """
        if not records:
            return 0
        rows = list(map(used, records))
        with self._store.append_everything() as session:
            new = post(session, rows, self._store.clock.unix_us())
            if new:
                told = records if len(new) == len(records) else list(map(record_of, new))
                self._settle(session, told)
                _mark_used(session, told)
        return len(new)

    def report(
        self,
        scope: TenantScope,
        *,
        since_us: int,
        until_us: int,
        by: Collection[Dimension] = (Dimension.ORGANISATION,),
    ) -> list[UsageSum]:
        """Sums over entries with since ≤ at < until (µs since 1970), one row per group of `by`.

        Corrections count in `charge` and are no requests. Raises InvalidInput when the span begins
        or ends within an hour whose rows were dropped.
        """
        dimensions = [dimension for dimension in Dimension if dimension in by]
        with self._store.read(scope) as session:
            return sums(session, scope, since_us, until_us, dimensions)

    def records(
        self,
        scope: TenantScope,
        *,
        since_us: int,
        until_us: int,
        after: str | None = None,
        limit: int = 1000,
    ) -> UsagePage:
        """Raw requests, oldest first. `after` is the `next` of the page before."""
        order = (UsageRow.at_unix_us, UsageRow.organisation, UsageRow.request_id)
        query = select(*(_USAGE.c[name] for name in RECORD_FIELDS))
        query = query.where(*_within(scope, since_us, until_us), UsageRow.kind == Kind.USE.value)
        if after is not None:
            query = query.where(tuple_(*order) > tuple_(*_position(after)))
        query = query.order_by(*order).limit(limit + 1)
        with self._store.read(scope) as session:
            found = [record_of(tuple(row)) for row in session.execute(query)]
        page = found[:limit]
        return UsagePage(page, _cursor(page[-1]) if len(found) > limit else None)

    def correct(
        self,
        scope: TenantScope,
        organisation: str,
        *,
        charge: int,
        reason: str,
        about: corrections.About | None = None,
    ) -> Entry:
        """Add a signed amount of compute units to an organisation's books, now; for operators.

        Budgets hear of it where it is about a request whose period still runs: it counts where the
        request did. All others are of the bill alone. Raises Forbidden, NotFound for what `about`
        names and is not there, InvalidInput for an amount of 0, no reason, or giving back more than
        a request was charged or a budget has settled.
        """
        about = about or corrections.About()
        with self._store.change(scope, "ledger.correct", organisation) as change:
            entry, original = corrections.correct(
                change, self._store.random, organisation, charge=charge, reason=reason, about=about
            )
            if original is not None:
                self._amend(change.session, original, entry.record)
            return entry

    def statement(self, scope: TenantScope, month: str) -> Statement:
        """The books of one organisation for a month such as `2026-11`, to be streamed."""
        return Statement.open(self._store, scope, month)

    def verify(self, scope: TenantScope) -> list[ChainReport]:
        """Recompute the chains of the scope's organisations. See `chain.verify`."""
        return chain.verify(self._store, scope)

    def drift(self, scope: TenantScope) -> list[Drift]:
        """Every hour and group whose stored sums differ from the rows; for operators."""
        return retention.drift(self._store, scope)

    def rebuild(self, scope: TenantScope) -> list[Drift]:
        """Make drifted hours anew from the rows; returns what differed. For operators."""
        return retention.rebuild(self._store, scope)

    def drop_before(self, scope: TenantScope, month: str) -> list[Dropped]:
        """Close the books before a month such as `2026-01`; see `retention.drop_before`."""
        return retention.drop_before(self._store, scope, month)


def _mark_used(session: Session, records: Sequence[UsageRecord]) -> None:
    latest: dict[tuple[str, str], int] = {}
    for record in records:
        node = (record.organisation, record.key)
        latest[node] = max(latest.get(node, 0), record.at_unix_us)
    session.connection().execute(
        _MARK,
        [
            {"whose": whose, "which": which, "at_unix_us": when}
            for (whose, which), when in sorted(latest.items())
        ],
    )


def _within(scope: TenantScope, since_us: int, until_us: int) -> list[ColumnElement[bool]]:
    at = UsageRow.at_unix_us
    return [*owned(scope, UsageRow), at >= since_us, at < until_us]


def _cursor(record: UsageRecord) -> str:
    return f"{record.at_unix_us}.{record.organisation}.{record.request_id}"


def _position(cursor: str) -> tuple[int, str, str]:
    at, _, rest = cursor.partition(".")
    organisation, _, request_id = rest.partition(".")
    if not (_MOMENT.fullmatch(at) and organisation and request_id):
        raise InvalidInput("this is not the `next` of a page", input="after")
    return int(at), organisation, request_id
