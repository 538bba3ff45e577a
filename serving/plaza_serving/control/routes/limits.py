"""Rates, counts and storage, calendars of budgets; and what replicas hold of budgets."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from plaza_core.errors import Conflict
from plaza_core.held import Held
from plaza_core.principal import Principal, Right
from plaza_serving.control.guard import needs
from plaza_serving.control.parts import Hub, Parts
from plaza_serving.control.routes.budgets import OfKey, OfOrganisation, OfProject, Place
from plaza_serving.control.shapes.base import Items
from plaza_serving.control.shapes.limits import (
    Calendar,
    HeldLease,
    HoldingLimit,
    RateAnswer,
    RateTerms,
    WrittenOff,
)
from plaza_tenancy.views import Budget, Holding, NodeLimits

router = APIRouter(prefix="/api/v1", tags=["budgets"])

_ORG = "/organisations/{org}"
_PROJECT = f"{_ORG}/projects/{{project}}"
_KEY = f"{_ORG}/keys/{{key}}"

Reader = Annotated[Principal, needs(Right.TENANTS_READ)]
Writer = Annotated[Principal, needs(Right.TENANTS_WRITE)]
OperatingReader = Annotated[Principal, needs(Right.TENANTS_READ, operator=True)]
OperatingWriter = Annotated[Principal, needs(Right.TENANTS_WRITE, operator=True)]


@router.get(f"{_ORG}/limits", summary="List every limit that is no budget")
def list_limits(hub: Hub, who: Reader, org: str) -> Items[NodeLimits]:
    """The organisation, its projects and its usable keys; a key of one project sees its own."""
    scope = hub.tenancy.scope(who, Right.TENANTS_READ, organisation=org)
    return Items(items=hub.tenancy.limits.list(scope))


# ── rates ────────────────────────────────────────────────────────────────────────────────────────
@router.put(f"{_ORG}/rate", summary="Set an organisation's rate")
def set_organisation_rate(
    hub: Hub, who: Writer, place: OfOrganisation, body: RateTerms
) -> RateAnswer:
    """For operators."""
    return _rate(hub, who, place, body)


@router.put(f"{_PROJECT}/rate", summary="Set a project's rate")
def set_project_rate(hub: Hub, who: Writer, place: OfProject, body: RateTerms) -> RateAnswer:
    return _rate(hub, who, place, body)


@router.put(f"{_KEY}/rate", summary="Set a key's rate")
def set_key_rate(hub: Hub, who: Writer, place: OfKey, body: RateTerms) -> RateAnswer:
    return _rate(hub, who, place, body)


# ── counts and storage ───────────────────────────────────────────────────────────────────────────
@router.put(f"{_ORG}/holdings/{{what}}", summary="Limit what an organisation may hold")
def limit_organisation_holding(
    hub: Hub, who: Writer, place: OfOrganisation, what: Held, body: HoldingLimit
) -> Holding:
    """For operators. Below what it holds, the limit only stops more."""
    return _holding(hub, who, place, what, body)


@router.put(f"{_PROJECT}/holdings/{{what}}", summary="Limit what a project may hold")
def limit_project_holding(
    hub: Hub, who: Writer, place: OfProject, what: Held, body: HoldingLimit
) -> Holding:
    return _holding(hub, who, place, what, body)


# ── calendars ────────────────────────────────────────────────────────────────────────────────────
@router.put(f"{_ORG}/budget/calendar", summary="Say when an organisation has another limit")
def set_organisation_calendar(
    hub: Hub, who: Writer, place: OfOrganisation, body: Calendar
) -> Budget:
    """For operators. Replaces the calendar; the first window that holds on a period's first day
    says its limit, and the usual limit holds otherwise."""
    return _calendar(hub, who, place, body)


@router.put(f"{_PROJECT}/budget/calendar", summary="Say when a project has another limit")
def set_project_calendar(hub: Hub, who: Writer, place: OfProject, body: Calendar) -> Budget:
    return _calendar(hub, who, place, body)


@router.put(f"{_KEY}/budget/calendar", summary="Say when a key has another limit")
def set_key_calendar(hub: Hub, who: Writer, place: OfKey, body: Calendar) -> Budget:
    return _calendar(hub, who, place, body)


# ── what replicas hold ───────────────────────────────────────────────────────────────────────────
@router.get("/leases", summary="List what replicas hold of budgets")
def list_leases(hub: Hub, who: OperatingReader) -> Items[HeldLease]:
    """For operators. The oldest first; of a replica that is not live, its usage is still awaited
    from its spool."""
    found = hub.tenancy.leases.list(hub.tenancy.platform(who, Right.TENANTS_READ))
    live = _live(hub)
    return Items(items=[HeldLease.of(lease, live=lease.replica in live) for lease in found])


@router.post("/leases/{lease}/write-off", summary="Charge a lease whose node is lost for good")
def write_off(hub: Hub, who: OperatingWriter, lease: str) -> WrittenOff:
    """For operators. Charges in full what the lease holds; for good. Again, it charges nothing."""
    platform = hub.tenancy.platform(who, Right.TENANTS_WRITE)
    held = {one.id: one.replica for one in hub.tenancy.leases.list(platform)}
    if held.get(lease) in _live(hub):
        raise Conflict("the replica of this lease lives: it will tell itself", input="lease")
    return WrittenOff(lease=lease, written_off=hub.tenancy.leases.write_off(platform, lease))


def _live(hub: Parts) -> set[str]:
    return {one.heartbeat.replica for one in hub.fleet.replicas() if one.live}


def _rate(hub: Parts, who: Principal, place: Place, body: RateTerms) -> RateAnswer:
    rate = body.rate.limit() if body.rate else None
    return RateAnswer(rate=hub.tenancy.limits.set_rate(*place.change(hub, who), rate))


def _holding(hub: Parts, who: Principal, place: Place, what: Held, body: HoldingLimit) -> Holding:
    return hub.tenancy.limits.set_holding(*place.change(hub, who), what, body.limit)


def _calendar(hub: Parts, who: Principal, place: Place, body: Calendar) -> Budget:
    return hub.tenancy.budgets.set_calendar(*place.change(hub, who), body.windows)
