"""Who may call a model: its project, its organisation, organisations named, or everybody.

    project ◀─▶ organisation ◀─▶ shared (with those named)      the organisation decides
         publish ──▶ request ──operator──▶ public               the hub decides

Going outside the organisation needs `models.publish`. Public is what an operator approved; who has
that right in the operating organisation approves by asking.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, and_, select
from sqlalchemy.orm import Session

from plaza_core.errors import Conflict, Forbidden, InvalidInput, NotFound
from plaza_core.ids import OrganisationId, new_id
from plaza_core.principal import Principal, Right, TenantScope
from plaza_core.table import ModelEntry, RequestState, Visibility
from plaza_tenancy.access import stored_actor
from plaza_tenancy.checks import demand_platform, valid_text
from plaza_tenancy.models import entry_of, own_model, own_model_to_read
from plaza_tenancy.outbox import post_model
from plaza_tenancy.rows import owned
from plaza_tenancy.schema import ModelRow, OrganisationRow, ProjectRow
from plaza_tenancy.schema_registry import ModelShareRow, PublishRequestRow
from plaza_tenancy.store import Change, Store


@dataclass(frozen=True, slots=True)
class PublishRequest:
    id: str
    model: str
    """Its full wire name."""
    state: RequestState
    note: str
    asked_unix_us: int
    asked_by: str
    decided_unix_us: int | None
    decided_by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Published:
    """`request` waits for an operator; None: the model is public."""

    model: ModelEntry
    request: PublishRequest | None


@dataclass(frozen=True, slots=True)
class Guest:
    organisation_name: str
    since_unix_us: int
    by: str


class Visibilities:
    def __init__(self, store: Store) -> None:
        self._store = store

    def set(self, scope: TenantScope, name: str, visibility: Visibility) -> ModelEntry:
        """Raises Forbidden for `public`, except where the actor publishes for the hub, and for
        `shared` without `models.publish`. A request that waits is dropped."""
        with self._store.change(scope, "model.set_visibility", name[:200]) as change:
            model = own_model(change, scope, name)
            dropped = _pending(change.session, model)
            if model.visibility == visibility and dropped is None:
                change.nothing_to_do()
            elif model.visibility != visibility:
                if visibility is Visibility.PUBLIC:
                    demand_may_publish(change)
                if visibility is Visibility.SHARED:
                    _demand_outside(change)
            if dropped is not None:
                _decide(change, dropped, RequestState.DROPPED)
            _become(change, model, visibility)
            return entry_of(change.session, model.organisation, model.id)

    # ── by name ──────────────────────────────────────────────────────────────────────────────────
    def share(self, scope: TenantScope, name: str, guests: Sequence[str]) -> ModelEntry:
        """Let other organisations call a model, by their wire names.

        Raises Forbidden without `models.publish`: whoever may share learns whether there is an
        organisation of that name. Raises NotFound for one that there is not, and Conflict for a
        model that is public.
        """
        found = self._guests(scope, name, guests)
        with self._store.change(scope, "model.share", name[:200]) as change:
            model = own_model(change, scope, name)
            _demand_outside(change)
            if model.visibility == Visibility.PUBLIC:
                raise Conflict("the model is public: everybody may call it", input="visibility")
            known = {row.guest for row in _shares(change.session, model)}
            new = {guest: title for guest, title in found.items() if guest not in known}
            if not new and model.visibility == Visibility.SHARED:
                change.nothing_to_do()
            _become(change, model, Visibility.SHARED, shared_with=sorted(new.values()))
            for guest, guest_name in new.items():
                change.session.add(
                    ModelShareRow(
                        organisation=model.organisation,
                        model=model.id,
                        guest=guest,
                        guest_name=guest_name,
                        at=change.now,
                        actor=scope.actor,
                    )
                )
            change.session.flush()
            return entry_of(change.session, model.organisation, model.id)

    def unshare(self, scope: TenantScope, name: str, guest: str) -> ModelEntry:
        """From the next table on they are told that there is no such model."""
        with self._store.change(scope, "model.unshare", name[:200]) as change:
            model = own_model(change, scope, name)
            rows = [row for row in _shares(change.session, model) if row.guest_name == guest]
            if not rows:
                change.nothing_to_do()
            change.before, change.after = {"shared_with": [guest]}, {"shared_with": []}
            for row in rows:
                change.session.delete(row)
            change.session.flush()
            return entry_of(change.session, model.organisation, model.id)

    def guests(self, scope: TenantScope, name: str) -> builtins.list[Guest]:
        """Whom the scope's own model is shared with."""
        with self._store.read(scope) as session:
            rows = _shares(session, own_model_to_read(session, scope, name))
        return [Guest(row.guest_name, row.at, row.actor) for row in rows]

    def _guests(
        self, scope: TenantScope, name: str, guests: Sequence[str]
    ) -> dict[OrganisationId, str]:
        with self._store.read(scope) as session:
            model = own_model_to_read(session, scope, name)
            now = self._store.clock.unix_us()
            stored_actor(session, scope, now).require(Right.MODELS_PUBLISH)
        query = select(OrganisationRow.id, OrganisationRow.name)
        with self._store.read_everything() as session:
            rows = session.execute(query.where(OrganisationRow.name.in_(guests))).all()
        found: dict[OrganisationId, str] = {row[0]: row[1] for row in rows}
        if set(found.values()) != set(guests):
            raise NotFound("there is no such organisation", input="organisations")
        if model.organisation in found:
            raise InvalidInput("a model is its own organisation's anyway", input="organisations")
        return found

    # ── for everybody ────────────────────────────────────────────────────────────────────────────
    def publish(self, scope: TenantScope, name: str, *, note: str = "") -> Published:
        """Ask operators to make a model public; at once where the actor publishes for the hub.

        Raises Forbidden without `models.publish`.
        """
        valid_text(note, input="note")
        with self._store.change(scope, "model.publish", name[:200]) as change:
            model = own_model(change, scope, name)
            at_once = _publishes(change)
            waiting = _pending(change.session, model)
            if model.visibility == Visibility.PUBLIC or (waiting and not at_once):
                change.nothing_to_do()
            elif at_once:
                if waiting is not None:
                    _decide(change, waiting, RequestState.APPROVED)
                _become(change, model, Visibility.PUBLIC)
                waiting = None
            else:
                waiting = self._ask(change, model, note)
            entry = entry_of(change.session, model.organisation, model.id)
            request = None if waiting is None else _view(waiting, _full_name(entry))
            return Published(entry, request)

    def _ask(self, change: Change, model: ModelRow, note: str) -> PublishRequestRow:
        row = PublishRequestRow(
            organisation=model.organisation,
            id=new_id("pub", self._store.random),
            model=model.id,
            state=RequestState.PENDING,
            note=note,
            asked=change.now,
            asked_by=change.scope.actor,
        )
        change.session.add(row)
        change.session.flush()
        change.after = {"request": row.id, "note": note}
        return row

    def requests(
        self, scope: TenantScope, state: RequestState | None = RequestState.PENDING
    ) -> builtins.list[PublishRequest]:
        """Oldest first; None: in whatever state."""
        query = _requests().where(*owned(scope, ModelRow)).order_by(PublishRequestRow.asked)
        if state is not None:
            query = query.where(PublishRequestRow.state == state)
        with self._store.read(scope) as session:
            return [_view(row, ".".join(names)) for row, *names in session.execute(query)]

    def approve(self, scope: TenantScope, request: str) -> PublishRequest:
        """The model is public from here on, with all versions to come. For operators.

        Raises NotFound, and Conflict for a request that was decided otherwise.
        """
        return self._decided(scope, request, RequestState.APPROVED, None)

    def reject(self, scope: TenantScope, request: str, *, reason: str) -> PublishRequest:
        """For operators. `reason` is told to those who asked."""
        return self._decided(
            scope, request, RequestState.REJECTED, valid_text(reason, input="reason")
        )

    def _decided(
        self, scope: TenantScope, request: str, state: RequestState, reason: str | None
    ) -> PublishRequest:
        demand_platform(scope)
        verb = "approve" if state is RequestState.APPROVED else "reject"
        with self._store.change(scope, f"model.publish_{verb}", request[:200]) as change:
            found = change.session.execute(
                _requests().where(PublishRequestRow.id == request)
            ).one_or_none()
            if found is None:
                raise NotFound("there is no such request", input="request")
            row, name = found[0], ".".join(found[1:])
            model = change.session.get_one(ModelRow, (row.organisation, row.model))
            change.organisation, change.project = model.organisation, model.project
            if row.state == state:
                change.nothing_to_do()
                return _view(row, name)
            if row.state != RequestState.PENDING:
                raise Conflict(f"this request was {row.state} before", input="request")
            row.reason = reason
            _decide(change, row, state)
            if state is RequestState.APPROVED:
                _become(change, model, Visibility.PUBLIC)
            else:
                change.after = {"request": row.id, "reason": reason}
            return _view(row, name)


def demand_may_publish(change: Change) -> None:
    """Raises Forbidden unless the actor may make a model public without anybody's approval."""
    if not _publishes(change):
        raise Forbidden(
            "only operators of the hub make a model public; register it, then ask for it (publish)"
        )


def _publishes(change: Change) -> bool:
    return _demand_outside(change).operator


def _demand_outside(change: Change) -> Principal:
    """The actor, whose right to let others call a model is checked."""
    actor = stored_actor(change.session, change.scope, change.now)
    actor.require(Right.MODELS_PUBLISH)
    return actor


def _become(change: Change, model: ModelRow, visibility: Visibility, **more: object) -> None:
    change.before = {"visibility": model.visibility}
    change.after = {"visibility": visibility, **more}
    if model.visibility != visibility:
        model.visibility = visibility
        post_model(change, model)
    change.session.flush()


def _decide(change: Change, row: PublishRequestRow, state: RequestState) -> None:
    row.state, row.decided, row.decided_by = state, change.now, change.scope.actor
    change.session.flush()


def _pending(session: Session, model: ModelRow) -> PublishRequestRow | None:
    query = select(PublishRequestRow).filter_by(
        organisation=model.organisation, model=model.id, state=RequestState.PENDING
    )
    return session.scalars(query).one_or_none()


def _shares(session: Session, model: ModelRow) -> list[ModelShareRow]:
    query = select(ModelShareRow).filter_by(organisation=model.organisation, model=model.id)
    return list(session.scalars(query.order_by(ModelShareRow.guest_name)))


def _requests() -> Select[PublishRequestRow, str, str, str]:
    row = PublishRequestRow
    return (
        select(row, OrganisationRow.name, ProjectRow.name, ModelRow.name)
        .join(ModelRow, and_(ModelRow.organisation == row.organisation, ModelRow.id == row.model))
        .join(OrganisationRow, OrganisationRow.id == row.organisation)
        .join(
            ProjectRow,
            and_(ProjectRow.organisation == row.organisation, ProjectRow.id == ModelRow.project),
        )
    )


def _full_name(model: ModelEntry) -> str:
    return f"{model.organisation_name}.{model.project_name}.{model.name}"


def _view(row: PublishRequestRow, name: str) -> PublishRequest:
    return PublishRequest(
        id=row.id,
        model=name,
        state=RequestState(row.state),
        note=row.note,
        asked_unix_us=row.asked,
        asked_by=row.asked_by,
        decided_unix_us=row.decided,
        decided_by=row.decided_by,
        reason=row.reason,
    )
