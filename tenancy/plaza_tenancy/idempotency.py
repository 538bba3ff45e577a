"""Requests that happen once: claims and sealed answers, each call one transaction.

Bounded per organisation, because a kept answer is disk that a caller fills: what an organisation
holds is counted by `expire` once a minute, and what it adds meanwhile is counted here.
"""

from __future__ import annotations

import threading
from typing import Any

from sqlalchemy import CursorResult, Table, and_, delete, func, select, update

from plaza_core.errors import Conflict, QuotaExceeded
from plaza_core.idempotency import CLAIM_S, KEPT_S, ClaimAsk, Done, Place, State, Verdict
from plaza_core.ids import OrganisationId
from plaza_tenancy import dialect
from plaza_tenancy.access import scope_of_place
from plaza_tenancy.schema_idempotency import IdempotencyRow as Row
from plaza_tenancy.store import Store

MOST_NAMES = 100_000
MOST_STORED = 256 << 20
"""Bytes of answers, and names, that one organisation may have kept at a time."""

_TABLE: Table = Row.metadata.tables["idempotency"]
_S = 1_000_000


class Idempotency:
    """`plaza_core.idempotency.Claims`, blocking and thread-safe. The place comes from a key that
    was authenticated, so a caller reaches its own names only."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: dict[str, tuple[int, int]] = {}
        self._counting = threading.Lock()

    def claim(self, ask: ClaimAsk) -> Verdict:
        """Raises QuotaExceeded when the organisation keeps too much, Conflict for a key that is
        not one of the organisation's."""
        now = self._store.clock.unix_us()
        fresh = {**ask.model_dump(), **_unanswered(now)}
        with self._store.append(scope_of_place(ask)) as session:
            if dialect.insert_new(session.connection(), _TABLE, [fresh]):
                self._count(ask.organisation, names=1)
                return Verdict(state=State.YOURS, request_id=ask.request_id, token=ask.token)
            row = session.scalars(select(Row).where(*_name(ask)).with_for_update()).one_or_none()
            if row is None:
                raise Conflict("this name has just become free; try again", retry_after=1)
            return _meet(row, ask, now)

    def renew(self, place: Place) -> None:
        """Another minute for the holder of the claim."""
        until = self._store.clock.unix_us() + CLAIM_S * _S
        with self._store.append(scope_of_place(place)) as session:
            session.execute(update(Row).where(*_mine(place)).values(claimed_until=until))

    def complete(self, done: Done) -> None:
        until = self._store.clock.unix_us() + KEPT_S * _S
        values = {"status": done.status, "answer": done.answer, "kept_until": until}
        with self._store.append(scope_of_place(done)) as session:
            ended = session.execute(update(Row).where(*_mine(done)).values(**values))
        if _touched(ended):
            self._count(done.organisation, stored=len(done.answer or b""))

    def release(self, place: Place) -> None:
        with self._store.append(scope_of_place(place)) as session:
            ended = session.execute(delete(Row).where(*_mine(place)))
        if _touched(ended):
            self._count(place.organisation, names=-1)

    def expire(self) -> int:
        """Forget what is older than a day; returns how many. Counts anew what everybody holds."""
        now = self._store.clock.unix_us()
        with self._store.append_everything() as session:
            past = and_(Row.kept_until <= now, Row.claimed_until <= now)
            gone = _touched(session.execute(delete(Row).where(past)))
            stored = func.coalesce(func.sum(func.length(Row.answer)), 0)
            counts = select(Row.organisation, func.count(), stored).group_by(Row.organisation)
            held = {whose: (int(n), int(size)) for whose, n, size in session.execute(counts)}
        with self._counting:
            self._held = held
        return gone

    def _count(self, whose: OrganisationId, *, names: int = 0, stored: int = 0) -> None:
        """Raises QuotaExceeded where a new name would be one too many: nothing is inserted then."""
        with self._counting:
            had, size = self._held.get(whose, (0, 0))
            if names > 0 and (had >= MOST_NAMES or size >= MOST_STORED):
                raise QuotaExceeded(
                    "the organisation keeps too many answers; send less with this header",
                    input="idempotency-key",
                    retry_after=60,
                )
            self._held[whose] = had + names, size + stored


def _unanswered(now: int) -> dict[str, Any]:
    return {
        "claimed_until": now + CLAIM_S * _S,
        "kept_until": now + KEPT_S * _S,
        "status": None,
        "answer": None,
    }


def _meet(row: Row, ask: ClaimAsk, now: int) -> Verdict:
    """What an attempt finds where somebody has been before."""
    running = row.status is None and row.claimed_until > now
    if row.kept_until <= now and not running:
        return _take(row, ask, now, request_id=ask.request_id)
    found = {"request_id": row.request_id, "token": row.token}
    if row.fingerprint != ask.fingerprint:
        return Verdict(state=State.OTHER, **found)
    if row.status is not None:
        return Verdict(state=State.KEPT, status=row.status, answer=row.answer, **found)
    if running and row.token != ask.token:
        wait = min(1.0, (row.claimed_until - now) / _S)
        return Verdict(state=State.RUNNING, retry_after_s=wait, **found)
    # Its holder died, or asks again because the first answer to this ask was lost. The request id
    # stays: if the dead one had reached the ledger, the ledger knows the id.
    return _take(row, ask, now, request_id=row.request_id)


def _take(row: Row, ask: ClaimAsk, now: int, *, request_id: str) -> Verdict:
    row.token, row.fingerprint = ask.token, ask.fingerprint
    for name, value in {**_unanswered(now), "request_id": request_id}.items():
        setattr(row, name, value)
    return Verdict(state=State.YOURS, request_id=row.request_id, token=row.token)


def _name(place: Place) -> tuple[Any, ...]:
    return (
        Row.organisation == place.organisation,
        Row.key == place.key,
        Row.name == place.name,
    )


def _mine(place: Place) -> tuple[Any, ...]:
    """The row while this attempt holds the claim: late words of an earlier one change nothing."""
    return (*_name(place), Row.token == place.token, Row.status.is_(None))


def _touched(result: Any) -> int:
    assert isinstance(result, CursorResult)
    return result.rowcount
