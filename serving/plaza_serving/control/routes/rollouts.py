"""Rollouts: what runs, what the gate saw, and ending one by hand. They begin with a promotion."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool

from plaza_core.principal import Principal, Right
from plaza_core.rollout import Rollout, RolloutState
from plaza_serving.control.guard import needs
from plaza_serving.control.parts import Hub, Parts
from plaza_serving.control.routes.models import PUBLISHED_WITHIN_S
from plaza_serving.control.routes.uploads import ActingFor, Engineer
from plaza_serving.control.shapes.base import Items
from plaza_serving.control.shapes.models import RolloutShown

router = APIRouter(prefix="/api/v1/rollouts", tags=["models"])

Reader = Annotated[Principal, needs(Right.MODELS_READ)]


@router.get("", summary="List rollouts")
def list_rollouts(
    hub: Hub,
    who: Reader,
    model: Annotated[str | None, Query(description="Of this model only.")] = None,
    organisation: ActingFor = None,
) -> Items[RolloutShown]:
    """Of the organisation's own models, newest first."""
    scope = hub.tenancy.scope(who, Right.MODELS_READ, organisation=organisation)
    return Items(items=[RolloutShown.of(one) for one in hub.tenancy.rollouts.find(scope, model)])


@router.get("/{rollout}", summary="Show a rollout")
def show_rollout(
    hub: Hub, who: Reader, rollout: str, organisation: ActingFor = None
) -> RolloutShown:
    """With the tests of the gate as they stand, or as they stood when it ended."""
    scope = hub.tenancy.scope(who, Right.MODELS_READ, organisation=organisation)
    return RolloutShown.of(hub.tenancy.rollouts.get(scope, rollout))


@router.post("/{rollout}/cancel", summary="Cancel a rollout")
async def cancel_rollout(
    hub: Hub, who: Engineer, rollout: str, organisation: ActingFor = None
) -> RolloutShown:
    """The stable version answers all requests again: on every live replica, or after 30 s on those
    that follow."""
    return await _end(hub, who, rollout, organisation, RolloutState.CANCELLED)


@router.post("/{rollout}/promote", summary="Promote a rollout's candidate")
async def promote_rollout(
    hub: Hub, who: Engineer, rollout: str, organisation: ActingFor = None
) -> RolloutShown:
    """It becomes the stable version and answers all requests, as after a cancellation."""
    return await _end(hub, who, rollout, organisation, RolloutState.PROMOTED)


async def _end(
    hub: Parts, who: Principal, rollout: str, organisation: str | None, state: RolloutState
) -> RolloutShown:
    def end() -> tuple[Rollout, int]:
        scope = hub.tenancy.scope(who, Right.MODELS_WRITE, organisation=organisation)
        return hub.tenancy.rollouts.end(scope, rollout, state), hub.feed.refresh().sequence

    ended, sequence = await run_in_threadpool(end)
    answers = ended.candidate if state is RolloutState.PROMOTED else ended.stable
    await hub.fleet.wait_published(ended.model, answers, sequence, PUBLISHED_WITHIN_S)
    return RolloutShown.of(ended)
