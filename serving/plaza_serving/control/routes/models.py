"""Models: what there is, its versions, and which version a name means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool

from plaza_core.ids import ModelId, valid_alias
from plaza_core.ports import ModelVersion
from plaza_core.principal import Principal, Right, TenantScope
from plaza_core.table import ModelEntry
from plaza_serving.control.addresses import ModelShown, shown
from plaza_serving.control.fleet import Publication
from plaza_serving.control.guard import needs
from plaza_serving.control.parts import Hub, Parts
from plaza_serving.control.routes.uploads import ActingFor, Engineer
from plaza_serving.control.shapes.base import Items
from plaza_serving.control.shapes.models import PromoteTerms, Promotion

router = APIRouter(prefix="/api/v1/models", tags=["models"])

Reader = Annotated[Principal, needs(Right.MODELS_READ)]

PUBLISHED_WITHIN_S = 30.0


@router.get("", summary="List models")
def list_models(hub: Hub, who: Reader, organisation: ActingFor = None) -> Items[ModelEntry]:
    """Every model that the key may call, its own first."""
    scope = hub.tenancy.scope(who, Right.MODELS_READ, organisation=organisation)
    return Items(items=hub.tenancy.records.visible(scope))


@router.get("/{name}", summary="Show a model")
def show_model(hub: Hub, who: Reader, name: str, organisation: ActingFor = None) -> ModelShown:
    """`name` is `model`, `project.model` or `organisation.project.model`."""
    scope = hub.tenancy.scope(who, Right.MODELS_READ, organisation=organisation)
    return shown(hub, hub.tenancy.records.get(scope, name))


@router.get("/{name}/versions", summary="List the versions of a model")
def list_versions(
    hub: Hub, who: Reader, name: str, organisation: ActingFor = None
) -> Items[ModelVersion]:
    """Newest first, with their cards."""
    scope = hub.tenancy.scope(who, Right.MODELS_READ, organisation=organisation)
    return Items(items=hub.tenancy.records.versions(scope, name))


@router.put(
    "/{name}/aliases/{alias}",
    summary="Point an alias at a version",
    responses={202: {"model": Promotion, "description": "Recorded; some replicas are not there."}},
)
async def set_alias(
    *,
    hub: Hub,
    who: Engineer,
    name: str,
    alias: str,
    body: PromoteTerms,
    response: Response,
    organisation: ActingFor = None,
) -> Promotion:
    """Promote. The change is recorded at once and holds whatever the answer.

    With `canary_percent` or `shadow_percent` the alias stays where it is and a rollout begins: the
    version answers that part of the requests, or computes it too and is compared.

    200 when every replica heard of in the last 5 s has published the version (or has said that it
    cannot load it, see `failed_on`); 202 when, after 30 s, some still have not: `waiting_for` names
    them, and each answers with the version it has until it catches up.
    """
    moved = await run_in_threadpool(
        lambda: _point(hub, _scope(hub, who, organisation), name, alias, body)
    )
    return await published(hub, moved, response)


@dataclass(frozen=True, slots=True)
class Moved:
    """An alias after a verb, and the change of the table that tells replicas."""

    model: ModelId
    alias: str
    version: int | None
    sequence: int
    rollout: str | None = None


async def published(hub: Parts, moved: Moved, response: Response) -> Promotion:
    """The answer once every replica has published what the alias means now, or 30 s later."""
    where = Publication((), ())
    if moved.version is not None:
        where = await hub.fleet.wait_published(
            moved.model, moved.version, moved.sequence, PUBLISHED_WITHIN_S
        )
    response.status_code = 200 if where.settled else 202
    return Promotion(
        model=moved.model,
        alias=moved.alias,
        version=moved.version,
        rollout=moved.rollout,
        published_on=list(where.published_on),
        waiting_for=list(where.waiting_for),
        failed_on=where.failed_on,
    )


def _point(hub: Parts, scope: TenantScope, name: str, alias: str, body: PromoteTerms) -> Moved:
    """Record the change and tell replicas. MLflow hears of it from the outbox, by the background
    drain: a promotion must not wait for it, and works while it is down."""
    valid_alias(alias)
    tenancy, rollout = hub.tenancy, None
    if (part := body.part()) is None:
        model = tenancy.aliases.promote(
            scope,
            name,
            alias,
            body.version,
            why=body.why,
            force=body.force,
            allow_breaking=body.allow_breaking,
        ).id
    else:
        started = tenancy.rollouts.start(
            scope,
            name,
            alias,
            body.version,
            kind=part[0],
            part=part[1],
            policy=body.policy,
            why=body.why,
            force=body.force,
            allow_breaking=body.allow_breaking,
        )
        model, rollout = started.model, started.id
    return Moved(model, alias, body.version, hub.feed.refresh().sequence, rollout)


def _scope(hub: Parts, who: Principal, organisation: str | None) -> TenantScope:
    return hub.tenancy.scope(who, Right.MODELS_WRITE, organisation=organisation)
