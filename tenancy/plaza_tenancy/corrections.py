"""Corrections: signed amounts that operators add, with a reason. No entry is ever edited.

A correction is posted to the current period, as in any books: a statement that was sent stays true.
What it is about stands in `refers`. Budgets hear of those about requests: see `Ledger.correct`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from plaza_core.errors import InvalidInput, NotFound
from plaza_core.ids import (
    Digest,
    KeyId,
    ModelId,
    OrganisationId,
    ProjectId,
    RandomBytes,
    RequestId,
    new_id,
)
from plaza_core.inference import UsageRecord
from plaza_tenancy.checks import demand_platform, month_bounds, valid_text
from plaza_tenancy.entries import RECORD_FIELDS, added, record_of
from plaza_tenancy.posting import lock_heads, post
from plaza_tenancy.schema import KeyRow, OrganisationRow, ProjectRow, UsageRow
from plaza_tenancy.store import Change
from plaza_tenancy.views import Entry, Kind

_MOST: Final = 2**53


@dataclass(frozen=True, slots=True)
class About:
    """What a correction is about: a request, or a key, project or model; and for which month."""

    request: str | None = None
    """Fills in all the others; together with its corrections it never falls below 0."""
    key: str | None = None
    project: str | None = None
    """By name. A key brings its own."""
    model: str | None = None
    """By id."""
    month: str | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    project: ProjectId | None = None
    key: str = ""
    model: str = ""
    version: int = 0
    digest: str = ""
    provider: str = ""


def correct(
    change: Change, random: RandomBytes, name: str, *, charge: int, reason: str, about: About
) -> tuple[Entry, UsageRecord | None]:
    """Post a correction inside a change; returns it and the request it is about.

    See `Ledger.correct`.
    """
    demand_platform(change.scope)
    if charge == 0 or abs(charge) > _MOST:
        raise InvalidInput("a correction is a whole number of compute units", input="charge")
    if not valid_text(reason, input="reason").strip():
        raise InvalidInput("a correction needs a reason", input="reason")
    organisation = _organisation(change.session, name)
    lock_heads(change.session.connection(), [organisation])
    original = None
    if about.request is not None:
        original = _request(change.session, organisation, about.request, charge)
    place = _place(change.session, organisation, about, original)
    identity = RequestId(new_id("cor", random))
    record = UsageRecord(
        organisation=organisation,
        project=place.project,
        key=place.key,
        request_id=identity,
        model=ModelId(place.model),
        version=place.version,
        digest=Digest(place.digest),
        provider=place.provider,
        rows=0,
        compute_us=0,
        host_us=0,
        latency_us=0,
        outcome=Kind.CORRECTION.value,
        at_unix_us=change.now,
        replica="",
        charge=charge,
    )
    refers, actor = about.request or about.month, change.scope.actor
    row = added(record, Kind.CORRECTION, reason=reason, actor=actor, refers=refers)
    if not post(change.session, [row], change.now):
        raise InvalidInput("the books of this moment are closed", input="charge")
    change.organisation, change.project, change.target = organisation, place.project, identity
    change.after = {"charge": charge, "reason": reason, "refers": refers, "key": place.key}
    return Entry(record, Kind.CORRECTION, reason, actor, refers), original


def _organisation(session: Session, name: str) -> OrganisationId:
    found = session.scalar(select(OrganisationRow.id).where(OrganisationRow.name == name))
    if found is None:
        raise NotFound("there is no such organisation", input="organisation")
    return found


def _place(
    session: Session, organisation: OrganisationId, about: About, of: UsageRecord | None
) -> _Place:
    if about.month is not None:
        month_bounds(about.month, input="month")
    if of is not None:
        project = None if of.project is None else ProjectId(of.project)
        return _Place(project, of.key, of.model, of.version, of.digest, of.provider)
    project, key, model = None, about.key or "", about.model or ""
    if about.key is not None:
        query = select(KeyRow.project).where(
            KeyRow.organisation == organisation, KeyRow.id == KeyId(about.key)
        )
        found = session.execute(query).one_or_none()
        if found is None:
            raise NotFound("there is no such key", input="key")
        (project,) = found
    elif about.project is not None:
        project = session.scalar(
            select(ProjectRow.id).where(
                ProjectRow.organisation == organisation, ProjectRow.name == about.project
            )
        )
        if project is None:
            raise NotFound("there is no such project", input="project")
    return _Place(project, key, model[:32])


def _request(
    session: Session, organisation: OrganisationId, request: str, charge: int
) -> UsageRecord:
    whose = UsageRow.organisation == organisation
    columns = (getattr(UsageRow, name) for name in RECORD_FIELDS)
    query = select(*columns).where(
        whose, UsageRow.request_id == request, UsageRow.kind != Kind.CORRECTION.value
    )
    row = session.execute(query).one_or_none()
    if row is None:
        raise NotFound("there is no such request in the books", input="request")
    original = record_of(tuple(row))
    corrected = session.scalar(
        select(func.coalesce(func.sum(UsageRow.charge), 0)).where(
            whose, UsageRow.refers == request, UsageRow.kind == Kind.CORRECTION.value
        )
    )
    if original.charge + int(corrected or 0) + charge < 0:
        raise InvalidInput("that is more than the request was charged", input="charge")
    return original
