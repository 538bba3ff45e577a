"""RolloutRecords on SQL, see `plaza_core.ports`: attempts to bring a version into traffic.

A rollout begins and ends in the transaction that changes the split of its alias. All of them lock
the hub row first (`Store.change`), so of a stop by the gate, an end by a person and a promotion by
hand that come together, the first is done and the others find the rollout ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, select, update
from sqlalchemy.orm import Session

from plaza_core.errors import Conflict, InvalidInput, ModelNotFound, NotFound
from plaza_core.ids import new_id
from plaza_core.principal import TenantScope
from plaza_core.rollout import (
    WHOLE,
    GatePolicy,
    Rollout,
    RolloutKind,
    RolloutState,
    Split,
    Verdict,
)
from plaza_core.webhooks import Event
from plaza_tenancy.access import gate_scope
from plaza_tenancy.models import full_name, own_model, own_model_to_read
from plaza_tenancy.outgoing import tell
from plaza_tenancy.rows import owned
from plaza_tenancy.schema import AliasRow, ModelRow, OrganisationRow, ProjectRow
from plaza_tenancy.schema_registry import RolloutRow
from plaza_tenancy.states import demand_callable, demand_compatible, demand_fit, version_of
from plaza_tenancy.steps import (
    StepKind,
    alias_row,
    close_rollout,
    go,
    newest_step,
    return_to,
    step_before,
)
from plaza_tenancy.store import Change, Store

_RUNNING = RolloutState.RUNNING


class Rollouts:
    """`room`: most bytes that a replica may hold of models, or None where nobody knows."""

    def __init__(self, store: Store, room: int | None = None) -> None:
        self._store = store
        self._room = room

    # ── people ───────────────────────────────────────────────────────────────────────────────────
    def start(
        self,
        scope: TenantScope,
        name: str,
        alias: str,
        candidate: int,
        *,
        kind: RolloutKind,
        part: int,
        policy: GatePolicy,
        why: str = "",
        force: bool = False,
        allow_breaking: bool = False,
    ) -> Rollout:
        """Also raises DoesNotFit, and BreakingChange unless it is allowed. `force` cancels the
        rollout that runs on the alias, unless this one may not start."""
        _demand_part(kind, part)
        with self._store.change(scope, "rollout.start", name[:200]) as change:
            model = own_model(change, scope, name)
            wanted = version_of(change.session, model, candidate)
            if force:
                _cancel_running(change, model, alias)
            present = _demand_free(change, model, alias)
            if present.version == candidate:
                raise Conflict("the alias means this version already", input="version")
            demand_callable(wanted)
            demand_fit(wanted, self._room)
            if not allow_breaking:
                demand_compatible(version_of(change.session, model, present.version), wanted)
            row = RolloutRow(
                organisation=model.organisation,
                id=new_id("rol", self._store.random),
                model=model.id,
                alias=alias,
                kind=kind,
                stable=present.version,
                candidate=candidate,
                part=part,
                policy=policy.model_dump(mode="json"),
                state=_RUNNING,
                started=change.now,
                started_by=scope.actor,
                evidence={},
            )
            change.session.add(row)
            go(change, model, alias, _split(row), kind=StepKind.START, why=why)
            change.target = row.id
            return _view(row, full_name(change.session, model))

    def end(self, scope: TenantScope, rollout: str, state: RolloutState) -> Rollout:
        if state not in {RolloutState.CANCELLED, RolloutState.PROMOTED}:
            raise InvalidInput("a person cancels a rollout or promotes it", input="state")
        verb = "cancel" if state is RolloutState.CANCELLED else "promote"
        with self._store.change(scope, f"rollout.{verb}", rollout[:200]) as change:
            row, name = _find(change.session, RolloutRow.id == rollout, *owned(scope, ModelRow))
            model = change.session.get_one(ModelRow, (row.organisation, row.model))
            change.organisation, change.project = model.organisation, model.project
            if row.state != _RUNNING:
                raise Conflict(f"this rollout was {row.state} before", input="rollout")
            if state is RolloutState.CANCELLED:
                _undo(change, model, row, StepKind.CANCEL)
            else:
                demand_callable(version_of(change.session, model, row.candidate))
                stable = Split(stable=row.candidate)
                go(change, model, row.alias, stable, kind=StepKind.FINISH, why=row.id)
            close_rollout(change, row.organisation, row.id, state)
            return _view(row, name)

    def find(self, scope: TenantScope, name: str | None = None) -> list[Rollout]:
        """Raises ModelNotFound when `name` is no model of the scope's own."""
        with self._store.read(scope) as session:
            query = _query().where(*owned(scope, ModelRow))
            if name is not None:
                model = own_model_to_read(session, scope, name)
                query = query.where(
                    RolloutRow.organisation == model.organisation, RolloutRow.model == model.id
                )
            return _views(session, query.order_by(RolloutRow.started.desc(), RolloutRow.id))

    def get(self, scope: TenantScope, rollout: str) -> Rollout:
        """Raises NotFound."""
        with self._store.read(scope) as session:
            return _view(*_find(session, RolloutRow.id == rollout, *owned(scope, ModelRow)))

    # ── the gate ─────────────────────────────────────────────────────────────────────────────────
    def running(self) -> list[Rollout]:
        query = _query().where(RolloutRow.state == _RUNNING).order_by(RolloutRow.started)
        with self._store.read_everything() as session:
            return _views(session, query)

    def keep(self, rollout: str, evidence: Mapping[str, Any], verdict: Verdict) -> None:
        # One statement: after a stop that it had to wait for, its condition is looked at again.
        with self._store.append_everything() as session:
            session.execute(
                update(RolloutRow)
                .where(RolloutRow.id == rollout, RolloutRow.state == _RUNNING)
                .values(evidence=dict(evidence), verdict=verdict.model_dump(mode="json"))
            )

    def stop(self, rollout: str, verdict: Verdict) -> bool:
        with self._store.change(gate_scope(), "rollout.stop", rollout[:200]) as change:
            query = _query().where(RolloutRow.id == rollout, RolloutRow.state == _RUNNING)
            found = change.session.execute(query).one_or_none()
            if found is None:
                change.nothing_to_do()
                return False
            row, *names = found
            model = change.session.get_one(ModelRow, (row.organisation, row.model))
            change.organisation, change.project = model.organisation, model.project
            row.verdict = verdict.model_dump(mode="json")
            _undo(change, model, row, StepKind.STOP)
            close_rollout(change, row.organisation, row.id, RolloutState.STOPPED)
            change.after = dict(change.after or {}) | {"verdict": row.verdict}
            news = _view(row, ".".join(names)).stopped_news(verdict)
            stopped, random = Event.ROLLOUT_STOPPED, self._store.random
            tell(change.session, random, row.organisation, stopped, data=news, now=change.now)
            return True


def _undo(change: Change, model: ModelRow, row: RolloutRow, kind: StepKind) -> None:
    last = newest_step(change.session, model, row.alias)
    before = None if last is None else step_before(change.session, last)
    assert last is not None, "the rollout's start is a step"
    assert before is not None, "an alias is there before a rollout starts on it"
    return_to(change, model, last, before, kind=kind, why=row.id)


def _cancel_running(change: Change, model: ModelRow, alias: str) -> None:
    present = alias_row(change.session, model, alias)
    if present is not None and present.rollout is not None:
        row, _ = _find(change.session, RolloutRow.id == present.rollout)
        _undo(change, model, row, StepKind.CANCEL)
        close_rollout(change, row.organisation, row.id, RolloutState.CANCELLED)


def _demand_free(change: Change, model: ModelRow, alias: str) -> AliasRow:
    present = alias_row(change.session, model, alias)
    if present is None:
        raise ModelNotFound("the model has no such alias", input="alias")
    if present.rollout is not None:
        raise Conflict(f"rollout {present.rollout} runs on this alias", input="alias")
    return present


def _demand_part(kind: RolloutKind, part: int) -> None:
    most = WHOLE - 1 if kind is RolloutKind.CANARY else WHOLE
    if not 1 <= part <= most:
        raise InvalidInput(f"a part of the requests is 1 to {most} of {WHOLE}", input="part")


def _split(row: RolloutRow) -> Split:
    if row.kind == RolloutKind.SHADOW:
        return Split(stable=row.stable, shadows={row.candidate: row.part}, rollout=row.id)
    weights = {row.stable: WHOLE - row.part, row.candidate: row.part}
    return Split(stable=row.stable, weights=weights, rollout=row.id)


def _query() -> Select[RolloutRow, str, str, str]:
    """Rollouts, each with the names that its model's full name is made of."""
    return (
        select(RolloutRow, OrganisationRow.name, ProjectRow.name, ModelRow.name)
        .join(
            ModelRow,
            and_(ModelRow.organisation == RolloutRow.organisation, ModelRow.id == RolloutRow.model),
        )
        .join(OrganisationRow, OrganisationRow.id == RolloutRow.organisation)
        .join(
            ProjectRow,
            and_(
                ProjectRow.organisation == RolloutRow.organisation,
                ProjectRow.id == ModelRow.project,
            ),
        )
    )


def _find(session: Session, *conditions: ColumnElement[bool]) -> tuple[RolloutRow, str]:
    """(row, full name of its model). Raises NotFound."""
    found = session.execute(_query().where(*conditions)).one_or_none()
    if found is None:
        raise NotFound("there is no such rollout", input="rollout")
    return found[0], ".".join(found[1:])


def _views(session: Session, query: Select[RolloutRow, str, str, str]) -> list[Rollout]:
    return [_view(row, ".".join(names)) for row, *names in session.execute(query)]


def _view(row: RolloutRow, name: str) -> Rollout:
    return Rollout(
        id=row.id,
        model=row.model,
        name=name,
        organisation=row.organisation,
        alias=row.alias,
        kind=RolloutKind(row.kind),
        stable=row.stable,
        candidate=row.candidate,
        part=row.part,
        policy=GatePolicy.model_validate(row.policy),
        state=RolloutState(row.state),
        started_unix_us=row.started,
        ended_unix_us=row.ended,
        ended_by=row.ended_by,
        verdict=None if row.verdict is None else Verdict.model_validate(row.verdict),
        evidence=row.evidence,
    )
