"""Proposals: aliases that somebody moved in MLflow, for an engineer of the hub to decide.

last known ≠ shown now ──▶ is it what the hub said, or is about to say? ──yes──▶ remembered
                                               └──no──▶ open ──▶ accepted, by the promote verb
                                                          ├────▶ rejected: MLflow is told ours
                                                          ├────▶ superseded: moved since
                                                          └────▶ withdrawn: taken back there
"""

from __future__ import annotations

import builtins

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from plaza_core.errors import Conflict, NotFound
from plaza_core.ids import ModelId, new_id
from plaza_core.principal import TenantScope
from plaza_core.tracking import Proposal, ProposalState, Sighting
from plaza_tenancy import outbox
from plaza_tenancy.access import system_scope
from plaza_tenancy.rows import owned
from plaza_tenancy.schema import AliasRow, ModelRow, OutboxRow
from plaza_tenancy.schema_tracking import MirroredRow, ProposalRow
from plaza_tenancy.store import Change, Store

_SHOWN = 200


class Proposals(outbox.Outbox):
    """`plaza_core.ports.MirrorRecords` whole, and the verbs by which people decide."""

    # ── for the mirror: all tenants, no scope ────────────────────────────────────────────────────
    def noticed(self, seen: Sighting) -> bool:
        """See `plaza_core.ports.MirrorRecords`. A proposal is an administrative change, made by
        the hub itself; whoever moved the alias is known to MLflow at most."""
        with self._store.change(system_scope(), "proposal.notice", seen.alias[:200]) as change:
            model = change.session.scalars(select(ModelRow).filter_by(id=seen.model)).one_or_none()
            if model is None:
                change.nothing_to_do()
                return False
            known = (model.organisation, model.id, seen.alias)
            before = change.session.get(MirroredRow, known)
            if (before.number if before else None) == seen.number:
                change.nothing_to_do()
                return False
            outbox.remember(change.session, known, seen.number)
            opened = _weigh(change, model, seen, self._store)
            if opened or change.after is not None:
                change.organisation, change.project = model.organisation, model.project
                return opened
            change.nothing_to_do()
        with self._store.append_everything() as session:  # no change of anybody's: no audit row
            outbox.remember(session, known, seen.number)
        return False

    # ── for people ───────────────────────────────────────────────────────────────────────────────
    def list(
        self, scope: TenantScope, *, state: ProposalState | None = ProposalState.OPEN
    ) -> builtins.list[Proposal]:
        """Newest first, the last two hundred; `state` None: whatever became of them."""
        query = _in_scope(scope).order_by(ProposalRow.seen.desc(), ProposalRow.id).limit(_SHOWN)
        if state is not None:
            query = query.where(ProposalRow.state == state)
        with self._store.read(scope) as session:
            return [_view(row, name) for row, name in session.execute(query)]

    def get(self, scope: TenantScope, proposal: str) -> Proposal:
        """Raises NotFound."""
        with self._store.read(scope) as session:
            return _view(*_find(session, scope, proposal))

    def reject(self, scope: TenantScope, proposal: str) -> Proposal:
        """MLflow is told what the alias means here. Again it changes nothing; raises Conflict
        when it was decided otherwise, NotFound."""
        with self._store.change(scope, "proposal.reject", proposal[:32]) as change:
            row, name = _find(change.session, scope, proposal)
            if row.state == ProposalState.REJECTED:
                change.nothing_to_do()
                return _view(row, name)
            if row.state != ProposalState.OPEN:
                raise Conflict(f"this proposal is {row.state} already", input="proposal")
            model = change.session.get_one(ModelRow, (row.organisation, row.model))
            ours = change.session.get(AliasRow, (row.organisation, row.model, row.alias))
            version = None if ours is None else ours.version
            outbox.decide(change, row, ProposalState.REJECTED)
            payload = {"model": model.id, "alias": row.alias, "version": version}
            outbox.post(change, model, "alias", payload)
            change.organisation, change.project = model.organisation, model.project
            change.before = {row.alias: version}
            change.after = {"rejected": row.version, "number": row.number}
            return _view(row, name)


def _weigh(change: Change, model: ModelRow, seen: Sighting, store: Store) -> bool:
    """Decide whose doing it is. True when a proposal was opened."""
    present = change.session.get(AliasRow, (model.organisation, model.id, seen.alias))
    ours = None if present is None else present.version
    earlier = outbox.open_proposal(change.session, model, seen.alias)
    stranger = seen.number is not None and seen.version is None
    if not stranger and seen.version == ours:
        if earlier is not None:
            outbox.decide(change, earlier, ProposalState.WITHDRAWN)
            change.before, change.after = {"proposal": earlier.id}, {"withdrawn": True}
        return False
    if not stranger and seen.version in _about_to_say(change.session, model, seen.alias):
        return False
    if earlier is not None:
        if (earlier.version, earlier.number) == (seen.version, seen.number):
            return False  # seen again, after MLflow lost something
        outbox.decide(change, earlier, ProposalState.SUPERSEDED)
    row = ProposalRow(
        organisation=model.organisation,
        id=new_id("prp", store.random),
        model=model.id,
        alias=seen.alias,
        version=seen.version,
        number=seen.number,
        present=ours,
        state=ProposalState.OPEN,
        seen=change.now,
    )
    change.session.add(row)
    change.session.flush()
    change.target = row.id
    change.before = {seen.alias: ours}
    change.after = {"model": model.id, seen.alias: seen.version, "number": seen.number}
    return True


def _about_to_say(session: Session, model: ModelRow, alias: str) -> set[int | None]:
    """What waits to be told of the alias. Some of it may have arrived without our knowing."""
    query = select(OutboxRow).where(
        OutboxRow.organisation == model.organisation,
        OutboxRow.kind == "alias",
        OutboxRow.done.is_(False),
    )
    payloads = (row.payload for row in session.scalars(query))
    return {p["version"] for p in payloads if p["model"] == model.id and p["alias"] == alias}


def _in_scope(scope: TenantScope) -> Select[ProposalRow, str]:
    return (
        select(ProposalRow, ModelRow.name)
        .join(
            ModelRow,
            (ModelRow.organisation == ProposalRow.organisation)
            & (ModelRow.id == ProposalRow.model),
        )
        .where(*owned(scope, ModelRow))
    )


def _find(session: Session, scope: TenantScope, proposal: str) -> tuple[ProposalRow, str]:
    found = session.execute(_in_scope(scope).where(ProposalRow.id == proposal)).one_or_none()
    if found is None:
        raise NotFound("there is no such proposal", input="proposal")
    return found[0], found[1]


def _view(row: ProposalRow, name: str) -> Proposal:
    return Proposal(
        id=row.id,
        organisation=row.organisation,
        model=ModelId(row.model),
        name=name,
        alias=row.alias,
        version=row.version,
        number=row.number,
        present=row.present,
        state=ProposalState(row.state),
        seen_unix_us=row.seen,
        decided_unix_us=row.decided,
        decided_by=row.decided_by,
    )
