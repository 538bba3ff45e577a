"""Versions and aliases after registration: states, roll-back, history, diff, clearing up."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool

from plaza_core.errors import InvalidInput
from plaza_core.ports import ModelVersion
from plaza_core.principal import Principal, Right, TenantScope
from plaza_serving.control.diffing import diff
from plaza_serving.control.guard import needs
from plaza_serving.control.parts import Hub, Parts
from plaza_serving.control.routes.models import Moved, published
from plaza_serving.control.routes.uploads import ActingFor, Engineer
from plaza_serving.control.shapes.base import Items, VersionNumber
from plaza_serving.control.shapes.models import Collected, ModelDiff, Promotion, Reason
from plaza_tenancy.aliases import AliasStep
from plaza_tenancy.collecting import Removable

router = APIRouter(prefix="/api/v1", tags=["models"])

Reader = Annotated[Principal, needs(Right.MODELS_READ)]
Days = Annotated[
    int | None, Query(ge=0, le=36_500, description="Retired so long ago; default: the hub's own.")
]

_DAY_US = 86_400_000_000
_VERSION = "/models/{name}/versions/{version}"


@router.post(f"{_VERSION}/stage", summary="Keep a version warm")
def stage(
    hub: Hub, who: Engineer, name: str, version: VersionNumber, organisation: ActingFor = None
) -> ModelVersion:
    """Replicas open it now. Refused with `does_not_fit` where none could ever hold it."""
    return hub.tenancy.lifecycle.stage(_scope(hub, who, organisation), name, version)


@router.post(f"{_VERSION}/unstage", summary="Keep a version warm no more")
def unstage(
    hub: Hub, who: Engineer, name: str, version: VersionNumber, organisation: ActingFor = None
) -> ModelVersion:
    return hub.tenancy.lifecycle.unstage(_scope(hub, who, organisation), name, version)


@router.post(f"{_VERSION}/retire", summary="Retire a version")
def retire(
    hub: Hub, who: Engineer, name: str, version: VersionNumber, organisation: ActingFor = None
) -> ModelVersion:
    """Nobody calls it any more; it can be restored until it is cleared away. One that serves is
    not retired."""
    return hub.tenancy.lifecycle.retire(_scope(hub, who, organisation), name, version)


@router.post(f"{_VERSION}/restore", summary="Restore a retired version")
def restore(
    hub: Hub, who: Engineer, name: str, version: VersionNumber, organisation: ActingFor = None
) -> ModelVersion:
    return hub.tenancy.lifecycle.restore(_scope(hub, who, organisation), name, version)


@router.post(f"{_VERSION}/withdraw", summary="Withdraw a version's examination")
def withdraw(
    *,
    hub: Hub,
    who: Engineer,
    name: str,
    version: VersionNumber,
    body: Reason,
    organisation: ActingFor = None,
) -> ModelVersion:
    """Nobody may call it until it is examined again. Not while it serves."""
    scope = _scope(hub, who, organisation)
    return hub.tenancy.lifecycle.withdraw(scope, name, version, reason=body.why)


@router.post(f"{_VERSION}/examine", summary="Examine a version again")
async def examine(
    hub: Hub, who: Engineer, name: str, version: VersionNumber, organisation: ActingFor = None
) -> ModelVersion:
    """In a sandbox, as at its registration. One that fails may not be called."""
    async with hub.examining:
        return await run_in_threadpool(_examine, hub, who, organisation, name, version)


@router.post(
    "/models/{name}/aliases/{alias}/rollback",
    summary="Roll an alias back",
    responses={202: {"model": Promotion, "description": "Recorded; some replicas are not there."}},
)
async def rollback(
    *,
    hub: Hub,
    who: Engineer,
    name: str,
    alias: str,
    body: Reason,
    response: Response,
    organisation: ActingFor = None,
) -> Promotion:
    """One step back in its history; again, another one. A rollout that runs is that step. Needs
    neither MLflow nor the blob store. Statuses as for a promotion."""

    def back() -> Moved:
        scope = _scope(hub, who, organisation)
        model = hub.tenancy.aliases.rollback(scope, name, alias, why=body.why)
        sequence = hub.feed.refresh().sequence
        return Moved(model.id, alias, model.aliases.get(alias), sequence)

    return await published(hub, await run_in_threadpool(back), response)


@router.delete("/models/{name}/aliases/{alias}", status_code=204, summary="Remove an alias")
def remove_alias(
    *,
    hub: Hub,
    who: Engineer,
    name: str,
    alias: str,
    force: bool = False,
    organisation: ActingFor = None,
) -> Response:
    """Calls by it are refused from then on; a roll-back brings it back. `force` cancels a rollout
    that runs on it."""
    scope = _scope(hub, who, organisation)
    hub.tenancy.aliases.remove(scope, name, alias, force=force)
    return Response(status_code=204)


@router.get("/models/{name}/aliases/{alias}/history", summary="Show an alias's history")
def alias_history(
    hub: Hub, who: Reader, name: str, alias: str, organisation: ActingFor = None
) -> Items[AliasStep]:
    """Newest first: who moved it where, when and why. For the model's own organisation."""
    scope = hub.tenancy.scope(who, Right.MODELS_READ, organisation=organisation)
    return Items(items=hub.tenancy.aliases.history(scope, name, alias))


@router.get("/models/{name}/diff", summary="Compare two versions")
def compare(
    *,
    hub: Hub,
    who: Reader,
    name: str,
    before: str,
    after: str,
    other: Annotated[str | None, Query(description="Whose version `after` is.")] = None,
    organisation: ActingFor = None,
) -> ModelDiff:
    """Signature, limits and options, metrics of the cards, numbers of the examinations. Versions
    are numbers or aliases."""
    scope = hub.tenancy.scope(who, Right.MODELS_READ, organisation=organisation)
    records = hub.tenancy.records
    return diff(records.details(scope, name, before), records.details(scope, other or name, after))


@router.get("/retired", summary="List what may be cleared away")
def list_retired(
    hub: Hub, who: Engineer, older_than_days: Days = None, organisation: ActingFor = None
) -> Collected:
    """Retired for so long, not the newest of their model. Nothing is removed by asking."""
    keep_us = _keep_us(hub, older_than_days)
    found = hub.tenancy.collector.removable(_scope(hub, who, organisation), keep_us)
    return _collected(found, removed=False)


@router.delete("/retired", summary="Clear retired versions away for good")
def remove_retired(
    hub: Hub, who: Engineer, older_than_days: Days = None, organisation: ActingFor = None
) -> Collected:
    """What `GET` lists. Files that no version of anybody names are deleted with them."""
    keep_us = _keep_us(hub, older_than_days)
    found = hub.tenancy.collector.remove(_scope(hub, who, organisation), keep_us)
    blobs = hub.tenancy.collector.sweep(hub.blobs) if found else 0
    return _collected(found, removed=True, blobs=blobs)


def _collected(found: list[Removable], *, removed: bool, blobs: int = 0) -> Collected:
    size = sum(one.size for one in found)
    return Collected(items=found, bytes=size, removed=removed, blobs=blobs)


def _keep_us(hub: Parts, days: int | None) -> int:
    least = hub.settings.retired_keep_days
    if days is not None and days < least:
        raise InvalidInput(
            f"this hub keeps retired versions for {least} days (setting retired_keep_days)",
            input="older_than_days",
        )
    return (least if days is None else days) * _DAY_US


def _examine(
    hub: Parts, who: Principal, organisation: str | None, name: str, version: int
) -> ModelVersion:
    scope = _scope(hub, who, organisation)
    entry = hub.tenancy.records.details(scope, name, str(version)).entry
    found, certificate = hub.registrar.examine_again(entry)
    if certificate is not None:
        hub.tenancy.certificates.add(scope, name, version, certificate)
    return hub.tenancy.lifecycle.examined(scope, name, version, found)


def _scope(hub: Parts, who: Principal, organisation: str | None) -> TenantScope:
    return hub.tenancy.scope(who, Right.MODELS_WRITE, organisation=organisation)
