"""Proposals: aliases that somebody moved in MLflow, listed and decided."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool

from plaza_core.errors import Conflict
from plaza_core.names import CHAMPION
from plaza_core.principal import Principal, Right, TenantScope
from plaza_core.tracking import Proposal as Found
from plaza_core.tracking import ProposalState
from plaza_serving.control.parts import Hub, Parts
from plaza_serving.control.routes.models import Reader, set_alias
from plaza_serving.control.routes.uploads import ActingFor, Engineer
from plaza_serving.control.shapes.base import Items
from plaza_serving.control.shapes.models import PromoteTerms
from plaza_serving.control.shapes.tracking import Accepted, Proposal

router = APIRouter(prefix="/api/v1/proposals", tags=["models"])

Which = Annotated[ProposalState | Literal["all"], Query(description="Only those, or `all`.")]


@router.get("", summary="List what was proposed in MLflow")
def list_proposals(
    hub: Hub, who: Reader, state: Which = ProposalState.OPEN, organisation: ActingFor = None
) -> Items[Proposal]:
    """Newest first, the last two hundred."""
    scope = hub.tenancy.scope(who, Right.MODELS_READ, organisation=organisation)
    wanted = None if state == "all" else ProposalState(state)
    found = hub.tenancy.proposals.list(scope, state=wanted)
    return Items(items=[Proposal.of(one) for one in found])


@router.post("/{proposal}/accept", summary="Do what was proposed")
async def accept_proposal(
    hub: Hub, who: Engineer, proposal: str, response: Response, organisation: ActingFor = None
) -> Accepted:
    """The same as promoting the version, with the rights of whoever accepts."""
    scope = await run_in_threadpool(_scope, hub, who, organisation)
    found = await run_in_threadpool(hub.tenancy.proposals.get, scope, proposal)
    name, done = await run_in_threadpool(_acceptable, hub, scope, found)
    promotion = None
    if not done and found.version is not None:
        promotion = await set_alias(
            hub=hub,
            who=who,
            name=name,
            alias=found.alias,
            body=PromoteTerms(version=found.version),
            response=response,
            organisation=organisation,
        )
    elif not done:
        await run_in_threadpool(_remove, hub, scope, name, found.alias)
    decided = await run_in_threadpool(hub.tenancy.proposals.get, scope, proposal)
    return Accepted(proposal=Proposal.of(decided), promotion=promotion)


@router.post("/{proposal}/reject", summary="Refuse what was proposed")
def reject_proposal(
    hub: Hub, who: Engineer, proposal: str, organisation: ActingFor = None
) -> Proposal:
    """MLflow is told again what the alias means here."""
    return Proposal.of(hub.tenancy.proposals.reject(_scope(hub, who, organisation), proposal))


def _acceptable(hub: Parts, scope: TenantScope, found: Found) -> tuple[str, bool]:
    """The model's wire name, and whether it was accepted before. Raises Conflict."""
    if found.state not in {ProposalState.OPEN, ProposalState.ACCEPTED}:
        raise Conflict(f"this proposal is {found.state} already", input="proposal")
    if found.version is None and found.number is not None:
        raise Conflict(
            f"it points at MLflow's number {found.number}, which is no version here; import that "
            "and promote it, or reject this",
            input="proposal",
        )
    if found.version is None and found.alias == CHAMPION:
        raise Conflict(
            "calls without a version mean the champion; reject this, or remove it here by name",
            input="proposal",
        )
    names = (m for m in hub.tenancy.records.visible(scope) if m.id == found.model)
    model = next(names)
    name = f"{model.organisation_name}.{model.project_name}.{model.name}"
    return name, found.state == ProposalState.ACCEPTED


def _remove(hub: Parts, scope: TenantScope, name: str, alias: str) -> None:
    if alias in hub.tenancy.records.get(scope, name).aliases:
        hub.tenancy.aliases.remove(scope, name, alias, why="as it was done in MLflow")


def _scope(hub: Parts, who: Principal, organisation: str | None) -> TenantScope:
    return hub.tenancy.scope(who, Right.MODELS_WRITE, organisation=organisation)
