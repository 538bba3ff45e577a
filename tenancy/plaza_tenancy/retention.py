"""Keeping projections true, and dropping what is closed. Verbs of operators.

Each organisation is one transaction of its own, with an audit row in its trail: books may be large,
and nobody waits for the books of somebody else.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.orm import Session

from plaza_core.errors import InvalidInput
from plaza_core.ids import OrganisationId
from plaza_core.principal import TenantScope
from plaza_tenancy import hours
from plaza_tenancy.checks import demand_platform, month_bounds
from plaza_tenancy.posting import lock_heads
from plaza_tenancy.schema import LedgerBatchRow, LedgerHeadRow, OrganisationRow, UsageRow
from plaza_tenancy.store import Change, Store
from plaza_tenancy.upkeep import remember
from plaza_tenancy.views import Drift, Dropped

GRACE_US: Final = 7 * 86_400_000_000
"""How long a month must be over: usage waits in a spool while its node cannot reach control."""


def drift(store: Store, scope: TenantScope) -> list[Drift]:
    """See `Ledger.drift`."""
    demand_platform(scope)
    found: list[Drift] = []
    for organisation, closed_until in _books(store, scope):
        with store.read(scope) as session:
            found += hours.drift(session.connection(), organisation, closed_until)
    return found


def rebuild(store: Store, scope: TenantScope) -> list[Drift]:
    """See `Ledger.rebuild`."""
    mended: list[Drift] = []
    for whose in sorted({found.organisation for found in drift(store, scope)}):
        with store.change(scope, "ledger.rebuild", whose) as change:
            connection = change.session.connection()
            since = lock_heads(connection, [whose])[whose].closed_until
            found = hours.drift(connection, whose, since)
            hours.rebuild(connection, whose, since)
            change.organisation = _trail(change.session, whose)
            change.after = {"mended": len(found)}
            mended += found
    return mended


def drop_before(store: Store, scope: TenantScope, month: str) -> list[Dropped]:
    """Close the books before `month` (such as `2026-01`) and drop what is older; for operators.

    Dropped are the batches from the anchor on whose entries all lie before the month, and their
    rows: the last of them is the new anchor. A batch across the border stays until the next time.
    Projections stay. A record of closed books that arrives later is taken as known. Raises
    InvalidInput for a month that has not begun 7 days ago.
    """
    demand_platform(scope)
    start, _ = month_bounds(month, input="month")
    if start + GRACE_US > store.clock.unix_us():
        raise InvalidInput("the month before is not over for 7 days", input="month")
    dropped = []
    for whose, closed_until in _books(store, scope):
        if closed_until < start:
            with store.change(scope, "ledger.drop_before", month) as change:
                dropped.append(_drop(change, whose, start))
    return dropped


def _drop(change: Change, whose: OrganisationId, start: int) -> Dropped:
    session = change.session
    lock_heads(session.connection(), [whose])
    head = session.get_one(LedgerHeadRow, whose)
    batches = LedgerBatchRow.organisation == whose
    stays = session.scalar(
        select(LedgerBatchRow.sequence)
        .where(batches, LedgerBatchRow.last_unix_us >= start)
        .order_by(LedgerBatchRow.sequence)
        .limit(1)
    )
    last = head.sequence if stays is None else stays - 1
    entries = 0
    if last > head.anchor_sequence:
        anchor = session.get_one(LedgerBatchRow, (whose, last))
        remember(session, whose, UsageRow.batch <= last)
        head.anchor_sequence, head.anchor_digest = last, anchor.digest
        gone = session.execute(
            delete(UsageRow).where(UsageRow.organisation == whose, UsageRow.batch <= last)
        )
        assert isinstance(gone, CursorResult)
        entries = gone.rowcount
    counted = session.execute(
        delete(LedgerBatchRow).where(batches, LedgerBatchRow.sequence <= last)
    )
    assert isinstance(counted, CursorResult)
    session.execute(
        update(LedgerHeadRow).where(LedgerHeadRow.organisation == whose).values(closed_until=start)
    )
    change.organisation = _trail(session, whose)
    told = Dropped(whose, batches=counted.rowcount, entries=entries, anchor=last)
    change.after = {"entries": told.entries, "batches": told.batches, "anchor": last}
    return told


def _books(store: Store, scope: TenantScope) -> list[tuple[OrganisationId, int]]:
    """(organisation, until when its books are closed) of everybody who has books."""
    query = select(LedgerHeadRow.organisation, LedgerHeadRow.closed_until)
    with store.read(scope) as session:
        found = session.execute(query.order_by(LedgerHeadRow.organisation))
        return [(whose, closed_until) for whose, closed_until in found]


def _trail(session: Session, whose: OrganisationId) -> OrganisationId:
    """Whose trail tells of it: its own, or the operators' where usage has outlived its owner."""
    if session.get(OrganisationRow, whose) is not None:
        return whose
    return session.scalars(select(OrganisationRow.id).filter_by(operator=True)).one()
