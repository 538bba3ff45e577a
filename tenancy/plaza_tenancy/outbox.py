"""The outbox: what MLflow must hear of, written in the transaction that changes it.

Every move of an alias passes `post`, which also settles what somebody proposed for that alias.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from plaza_core.card import read_card
from plaza_core.ids import ModelId
from plaza_core.ports import OutboxItem
from plaza_core.tracking import Mirrored, ProposalState, Waiting
from plaza_tenancy.schema import ModelRow, OutboxRow, ProjectRow, VersionRow
from plaza_tenancy.schema_registry import ModelTagRow
from plaza_tenancy.schema_tracking import MirroredRow, ProposalRow
from plaza_tenancy.states import aliases_of, served_by, state_of
from plaza_tenancy.store import Change, Store

KEPT_US = 7 * 24 * 3600 * 1_000_000
"""How long what MLflow has heard stays in the outbox, for whoever must find out what happened."""
_MODEL: ColumnElement[str] = OutboxRow.payload["model"].as_string()
_WAITS = OutboxRow.done.is_(False)


def post(change: Change, model: ModelRow, kind: str, payload: dict[str, Any]) -> None:
    """Have MLflow told; kinds and payloads as in `plaza_core.ports.OutboxItem`."""
    if kind == "alias":
        settle(change, model, payload["alias"], payload["version"])
    _add(change.session, model, kind, payload, change.now)


def post_states(change: Change, model: ModelRow, serving: Collection[int], *numbers: int) -> None:
    """Have MLflow told where these versions stand now; `serving`: those that have traffic."""
    for number in sorted(numbers):
        row = change.session.get_one(VersionRow, (model.organisation, model.id, number))
        payload = {"model": model.id, "version": number, "state": state_of(row, serving)}
        post(change, model, "state", payload)


def post_card(change: Change, model: ModelRow, row: VersionRow) -> None:
    payload = {
        "model": model.id,
        "version": row.version,
        "card": row.card,
        "metrics": _metrics(row),
    }
    post(change, model, "card", payload)


def post_model(change: Change, model: ModelRow, tags: Iterable[str] | None = None) -> None:
    """Have MLflow told who may call the model and, where given, its tags."""
    post(change, model, "model", _model_payload(model, tags))


def version_payload(
    model: ModelRow, row: VersionRow, project_name: str, serving: Collection[int], *, first: bool
) -> dict[str, Any]:
    """What MLflow hears of a version, and whether it is the `first` of those that the model has."""
    return {
        "model": model.id,
        "name": model.name,
        "organisation": model.organisation,
        "project": project_name,
        "version": row.version,
        "first": first,
        "digest": row.digest,
        "family": row.family,
        "card": row.card,
        "created_unix_us": row.created,
        "examination": row.examination,
        "lineage": row.lineage,
        "metrics": _metrics(row),
        "state": state_of(row, serving),
    }


def open_proposal(session: Session, model: ModelRow, alias: str) -> ProposalRow | None:
    query = select(ProposalRow).filter_by(
        organisation=model.organisation, model=model.id, alias=alias, state=ProposalState.OPEN
    )
    return session.scalars(query).one_or_none()


def settle(change: Change, model: ModelRow, alias: str, version: int | None) -> None:
    """The alias means `version` now (None: it is gone): what was proposed for it is decided."""
    row = open_proposal(change.session, model, alias)
    if row is not None:
        agreed = row.version == version and (version is not None or row.number is None)
        decide(change, row, ProposalState.ACCEPTED if agreed else ProposalState.SUPERSEDED)


def decide(change: Change, row: ProposalRow, state: ProposalState) -> None:
    row.state, row.decided, row.decided_by = state, change.now, change.scope.actor
    change.session.flush()


class Outbox:
    """The half of `plaza_core.ports.MirrorRecords` about telling. For control's jobs: all tenants
    at once, no scope."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def pending(self, limit: int, after: int = 0) -> list[OutboxItem]:
        query = (
            select(OutboxRow)
            .where(_WAITS, OutboxRow.id > after)
            .order_by(OutboxRow.id)
            .limit(limit)
        )
        with self._store.read_everything() as session:
            return [OutboxItem(row.id, row.kind, row.payload) for row in session.scalars(query)]

    def done(self, item: int, number: int | None = None) -> None:
        now = self._store.clock.unix_us()
        with self._store.append_everything() as session:
            row = session.get(OutboxRow, item)
            if row is None or row.done:
                return
            row.done, row.done_at = True, now
            if row.kind == "alias":
                known = (row.organisation, ModelId(row.payload["model"]), row.payload["alias"])
                remember(session, known, number)

    def waiting(self, model: ModelId | None = None) -> Waiting:
        query = select(func.count(), func.min(OutboxRow.at)).where(_WAITS)
        if model is not None:
            query = query.where(_about(model))
        with self._store.read_everything() as session:
            items, since = session.execute(query).one()
        return Waiting(items, since)

    def known(self, model: ModelId | None = None) -> dict[ModelId, Mirrored]:
        models, seen = select(ModelRow.id), select(MirroredRow)
        unsettled = select(_MODEL).where(_WAITS).distinct()
        if model is not None:
            models = models.where(ModelRow.id == model)
            seen = seen.where(MirroredRow.model == model)
            unsettled = unsettled.where(_about(model))
        with self._store.read_everything() as session:
            aliases: dict[ModelId, dict[str, int]] = {
                found: {} for found in session.scalars(models)
            }
            for row in session.scalars(seen):
                aliases[row.model][row.alias] = row.number
            waits = set(session.scalars(unsettled))
        return {found: Mirrored(at, found not in waits) for found, at in aliases.items()}

    def tell_again(self, model: ModelId, *, lost: bool) -> None:
        """All of it as it is now; what waited of it is part of that."""
        now = self._store.clock.unix_us()
        with self._store.append_everything() as session:
            row = session.scalars(select(ModelRow).filter_by(id=model)).one()
            gone: set[str] = set()
            for item in session.scalars(select(OutboxRow).where(_WAITS, _about(model))):
                item.done, item.done_at = True, now
                if item.kind == "alias":
                    gone.add(item.payload["alias"])
            if lost:
                mine = (MirroredRow.organisation == row.organisation, MirroredRow.model == model)
                session.execute(delete(MirroredRow).where(*mine))
            _tell_all(session, row, now, gone)

    def expire(self) -> int:
        """Forget what MLflow heard a week ago; returns how many items."""
        past = self._store.clock.unix_us() - KEPT_US
        old = func.coalesce(OutboxRow.done_at, 0) < past
        with self._store.append_everything() as session:
            gone = session.execute(delete(OutboxRow).where(OutboxRow.done.is_(True), old))
        return int(getattr(gone, "rowcount", 0))


def _about(model: ModelId) -> ColumnElement[bool]:
    return _MODEL.in_([model])


def remember(session: Session, known: tuple[str, ModelId, str], number: int | None) -> None:
    """Note that MLflow shows the alias `known` (organisation, model, alias) at `number`."""
    row = session.get(MirroredRow, known)
    if number is None:
        if row is not None:
            session.delete(row)
    elif row is None:
        names = dict(zip(("organisation", "model", "alias"), known, strict=True))
        session.add(MirroredRow(**names, number=number))
    else:
        row.number = number
    session.flush()


def _tell_all(session: Session, model: ModelRow, now: int, gone: set[str]) -> None:
    """Of the aliases in `gone`, those that there are no more are taken away there too."""
    project = session.get_one(ProjectRow, (model.organisation, model.project)).name
    mine = {"organisation": model.organisation, "model": model.id}
    aliases = aliases_of(session, model)
    serving, first = served_by(aliases), True
    for version in session.scalars(
        select(VersionRow).filter_by(**mine).order_by(VersionRow.version)
    ):
        payload = version_payload(model, version, project, serving, first=first)
        _add(session, model, "version", payload, now)
        first = False
    tags = select(ModelTagRow.tag).filter_by(**mine).order_by(ModelTagRow.tag)
    _add(session, model, "model", _model_payload(model, session.scalars(tags)), now)
    for alias in aliases:
        payload = {"model": model.id, "alias": alias.alias, "version": alias.version}
        _add(session, model, "alias", payload, now)
        gone.discard(alias.alias)
    for name in sorted(gone):
        payload = {"model": model.id, "alias": name, "version": None}
        _add(session, model, "alias", payload, now)


def _metrics(row: VersionRow) -> dict[str, float]:
    return {name: metric.value for name, metric in read_card(row.card).front.measured().items()}


def _model_payload(model: ModelRow, tags: Iterable[str] | None) -> dict[str, Any]:
    payload: dict[str, Any] = {"model": model.id, "visibility": model.visibility}
    return payload if tags is None else payload | {"tags": dict.fromkeys(tags, "")}


def _add(session: Session, model: ModelRow, kind: str, payload: dict[str, Any], now: int) -> None:
    session.add(
        OutboxRow(organisation=model.organisation, kind=kind, payload=payload, done=False, at=now)
    )
    session.flush()
