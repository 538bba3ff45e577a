"""How an alias moves: its row, the step in its history, and what MLflow hears, all at once.

    1 promote v1 ◀── 2 promote v2 ◀── 3 start (canary v3)        `back` of each step: ◀──
                 ◀─────────────────── 4 stop, as 2 was: back to 1

A step that undoes takes the state of the one it goes back to, and that one's own way back. So
rollback after rollback walks down the history, one state each time, and no `back` ever leads into
a rollout that is over.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from plaza_core.ids import OrganisationId
from plaza_core.rollout import RolloutState, Split
from plaza_tenancy.outbox import post, post_states
from plaza_tenancy.schema import AliasRow, ModelRow
from plaza_tenancy.schema_registry import AliasStepRow, RolloutRow
from plaza_tenancy.states import aliases_of, served_by, split_of
from plaza_tenancy.store import Change


class StepKind(StrEnum):
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    REMOVE = "remove"
    START = "start"
    """A rollout began."""
    FINISH = "finish"
    """A rollout's candidate became the stable version."""
    CANCEL = "cancel"
    STOP = "stop"
    """The gate stopped a rollout."""


def alias_row(session: Session, model: ModelRow, alias: str) -> AliasRow | None:
    return session.get(AliasRow, (model.organisation, model.id, alias))


def newest_step(session: Session, model: ModelRow, alias: str) -> AliasStepRow | None:
    query = select(AliasStepRow).filter_by(
        organisation=model.organisation, model=model.id, alias=alias
    )
    return session.scalars(query.order_by(AliasStepRow.sequence.desc()).limit(1)).one_or_none()


def go(
    change: Change,
    model: ModelRow,
    alias: str,
    split: Split | None,
    *,
    kind: StepKind,
    why: str = "",
) -> None:
    """Forward to `split` (None: no alias). A rollback will undo this step, and a rollout that it
    ended with it."""
    last = newest_step(change.session, model, alias)
    back = None
    if last is not None:
        back = last.sequence if last.rollout is None else last.back
    _write(change, model, alias, split, kind=kind, why=why, last=last, back=back)


def return_to(
    change: Change,
    model: ModelRow,
    last: AliasStepRow,
    before: AliasStepRow,
    *,
    kind: StepKind,
    why: str = "",
) -> None:
    """Back from `last`, the newest step, to the state of the step `before`."""
    split = None if before.version is None else Split(stable=before.version)
    _write(change, model, last.alias, split, kind=kind, why=why, last=last, back=before.back)


def close_rollout(
    change: Change, organisation: OrganisationId, rollout: str, state: RolloutState
) -> None:
    """Mark a rollout as ended; the caller moves its alias in the same transaction."""
    row = change.session.get_one(RolloutRow, (organisation, rollout))
    row.state, row.ended, row.ended_by = state, change.now, change.scope.actor
    change.session.flush()


def step_before(session: Session, last: AliasStepRow) -> AliasStepRow | None:
    if last.back is None:
        return None
    return session.get_one(AliasStepRow, (last.organisation, last.model, last.alias, last.back))


def facts(split: Split | None) -> dict[str, Any] | None:
    """For audit rows and answers; JSON knows no number as a key."""
    return None if split is None else split.model_dump(mode="json")


def _write(
    change: Change,
    model: ModelRow,
    alias: str,
    split: Split | None,
    *,
    kind: StepKind,
    why: str,
    last: AliasStepRow | None,
    back: int | None,
) -> None:
    row = alias_row(change.session, model, alias)
    stable_before = None if row is None else row.version
    serving_before = served_by(aliases_of(change.session, model))
    change.before = {alias: None if row is None else _told(split_of(row))}
    change.after = {alias: None if split is None else _told(split)} | ({"why": why} if why else {})
    kept = _kept(split)
    change.session.add(
        AliasStepRow(
            organisation=model.organisation,
            model=model.id,
            alias=alias,
            sequence=1 if last is None else last.sequence + 1,
            at=change.now,
            actor=change.scope.actor,
            kind=kind,
            why=why,
            version=None if split is None else split.stable,
            back=back,
            **kept,
        )
    )
    if split is None:
        if row is not None:
            change.session.delete(row)
    else:
        if row is None:
            row = AliasRow(organisation=model.organisation, model=model.id, alias=alias)
            change.session.add(row)
        row.version = split.stable
        row.weights, row.shadows, row.rollout = kept["weights"], kept["shadows"], kept["rollout"]
    change.session.flush()
    stable = None if split is None else split.stable
    if stable != stable_before:
        post(change, model, "alias", {"model": model.id, "alias": alias, "version": stable})
    serving = served_by(aliases_of(change.session, model))
    post_states(change, model, serving, *(serving.keys() ^ serving_before.keys()))


def _kept(split: Split | None) -> dict[str, Any]:
    """Empty ones are NULL; JSON knows no number as a key."""
    if split is None:
        return {"weights": None, "shadows": None, "rollout": None}
    parts = {"weights": split.weights, "shadows": split.shadows}
    kept = {name: {str(v): n for v, n in part.items()} or None for name, part in parts.items()}
    return kept | {"rollout": split.rollout}


def _told(split: Split) -> Any:
    """In an audit row: the version, or with a rollout all of the split."""
    return split.stable if split.rollout is None else facts(split)
