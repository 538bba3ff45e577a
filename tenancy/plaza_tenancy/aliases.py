"""Moving aliases by hand: promote, roll back, remove; and their history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from plaza_core.errors import Conflict, ModelNotFound
from plaza_core.ids import valid_alias
from plaza_core.principal import TenantScope
from plaza_core.rollout import RolloutState, Split
from plaza_core.table import ModelEntry
from plaza_tenancy.checks import valid_text
from plaza_tenancy.models import entry_of, own_model, own_model_to_read
from plaza_tenancy.schema import AliasRow, ModelRow, VersionRow
from plaza_tenancy.schema_registry import AliasStepRow
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


@dataclass(frozen=True, slots=True)
class AliasStep:
    """One state that an alias was brought into, by whom and why."""

    sequence: int
    at_unix_us: int
    actor: str
    kind: StepKind
    why: str
    version: int | None
    """The stable version; None: the alias was removed."""
    split: dict[str, Any] | None
    """While a rollout ran: see `plaza_core.rollout.Split`."""
    back: int | None
    """The step whose state a rollback from here returns to."""
    current: bool


class Aliases:
    """`room`: most bytes that a replica may hold of models, or None where nobody knows."""

    def __init__(self, store: Store, room: int | None = None) -> None:
        self._store = store
        self._room = room

    def promote(
        self,
        scope: TenantScope,
        name: str,
        alias: str,
        version: int,
        *,
        why: str = "",
        force: bool = False,
        allow_breaking: bool = False,
    ) -> ModelEntry:
        """Point `alias` at one of the scope's own versions. `force` ends a rollout that runs on it.

        Raises ModelNotFound; Conflict for a version that cannot be called, and while a rollout
        runs; DoesNotFit; BreakingChange unless it is allowed.
        """
        valid_alias(alias)
        valid_text(why, input="why")
        with self._store.change(scope, "model.set_alias", name[:200]) as change:
            model = own_model(change, scope, name)
            wanted = version_of(change.session, model, version)
            present = alias_row(change.session, model, alias)
            if present is None or present.version != version or present.rollout is not None:
                demand_callable(wanted)
                demand_fit(wanted, self._room)
                _end_rollout(change, present, force=force)
                if present is not None and not allow_breaking:
                    stable = version_of(change.session, model, present.version)
                    demand_compatible(stable, wanted)
                go(change, model, alias, Split(stable=version), kind=StepKind.PROMOTE, why=why)
            else:
                change.nothing_to_do()
            return entry_of(change.session, model.organisation, model.id)

    def rollback(self, scope: TenantScope, name: str, alias: str, *, why: str = "") -> ModelEntry:
        """One step back in the history of `alias`; a rollout that runs on it is that step.

        Raises ModelNotFound, and Conflict when there is no step before, or its version cannot be
        called any more.
        """
        valid_text(why, input="why")
        with self._store.change(scope, "model.rollback", name[:200]) as change:
            model = own_model(change, scope, name)
            last = newest_step(change.session, model, alias)
            if last is None:
                raise ModelNotFound("the model has no such alias", input="alias")
            before = step_before(change.session, last)
            if before is None:
                raise Conflict("there is nothing before this to roll back to", input="alias")
            if before.version is not None:
                _demand_still_there(change, model, before.version)
            _end_rollout(change, alias_row(change.session, model, alias), force=True)
            return_to(change, model, last, before, kind=StepKind.ROLLBACK, why=why)
            return entry_of(change.session, model.organisation, model.id)

    def remove(
        self, scope: TenantScope, name: str, alias: str, *, why: str = "", force: bool = False
    ) -> ModelEntry:
        """Whoever calls the model by this alias hears that there is none; a rollback brings it
        back. Raises ModelNotFound, and Conflict while a rollout runs."""
        valid_text(why, input="why")
        with self._store.change(scope, "model.remove_alias", name[:200]) as change:
            model = own_model(change, scope, name)
            present = alias_row(change.session, model, alias)
            if present is None:
                raise ModelNotFound("the model has no such alias", input="alias")
            _end_rollout(change, present, force=force)
            go(change, model, alias, None, kind=StepKind.REMOVE, why=why)
            return entry_of(change.session, model.organisation, model.id)

    def history(self, scope: TenantScope, name: str, alias: str) -> list[AliasStep]:
        """Newest first: the first is how the alias stands. Raises ModelNotFound."""
        with self._store.read(scope) as session:
            model = own_model_to_read(session, scope, name)
            query = select(AliasStepRow).filter_by(
                organisation=model.organisation, model=model.id, alias=alias
            )
            rows = session.scalars(query.order_by(AliasStepRow.sequence.desc())).all()
        if not rows:
            raise ModelNotFound("the model has no such alias", input="alias")
        return [_view(row, current=row is rows[0]) for row in rows]


def _end_rollout(change: Change, present: AliasRow | None, *, force: bool) -> None:
    if present is None or present.rollout is None:
        return
    if not force:
        raise Conflict(
            f"rollout {present.rollout} runs on this alias; promote or cancel it, or force",
            input="alias",
        )
    close_rollout(change, present.organisation, present.rollout, RolloutState.CANCELLED)


def _demand_still_there(change: Change, model: ModelRow, version: int) -> None:
    row = change.session.get(VersionRow, (model.organisation, model.id, version))
    if row is None:
        raise Conflict(f"version {version}, the one before, was removed for good", input="alias")
    demand_callable(row)


def _view(row: AliasStepRow, *, current: bool) -> AliasStep:
    split = None
    if row.rollout is not None:
        split = {"weights": row.weights or {}, "shadows": row.shadows or {}, "rollout": row.rollout}
    return AliasStep(
        sequence=row.sequence,
        at_unix_us=row.at,
        actor=row.actor,
        kind=StepKind(row.kind),
        why=row.why,
        version=row.version,
        split=split,
        back=row.back,
        current=current,
    )
