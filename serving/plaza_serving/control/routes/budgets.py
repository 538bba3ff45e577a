"""Budgets and limits on concurrency, of organisations, projects and keys.

Operators limit organisations; an organisation's admins limit its projects and keys. Every role
sees how its own budgets stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from plaza_core.budget import LARGEST
from plaza_core.errors import InvalidInput
from plaza_core.ids import KeyId
from plaza_core.principal import Principal, Right, TenantScope
from plaza_serving.control.guard import needs
from plaza_serving.control.parts import Hub, Parts
from plaza_serving.control.shapes.base import Items
from plaza_serving.control.shapes.budgets import (
    BudgetStep,
    BudgetTerms,
    ConcurrencyAnswer,
    ConcurrencyLimit,
    KeyPriority,
    PriorityAnswer,
)
from plaza_tenancy.nodes import Kind, Node
from plaza_tenancy.views import Budget, Estimate, Figures

router = APIRouter(prefix="/api/v1/organisations/{org}", tags=["budgets"])

Reader = Annotated[Principal, needs(Right.USAGE_READ)]
Writer = Annotated[Principal, needs(Right.TENANTS_WRITE)]


@dataclass(frozen=True, slots=True)
class Place:
    """A node of the tree, as a path names it."""

    organisation: str
    node: Node

    def read(self, hub: Parts, who: Principal) -> tuple[TenantScope, Node]:
        return hub.tenancy.scope(who, Right.USAGE_READ, organisation=self.organisation), self.node

    def change(self, hub: Parts, who: Principal) -> tuple[TenantScope, Node]:
        """Raises Forbidden for an organisation's limits, unless an operator asks."""
        # Asked first, so that a foreign organisation does not exist rather than being forbidden.
        scope = hub.tenancy.scope(who, Right.TENANTS_WRITE, organisation=self.organisation)
        if self.node.kind is Kind.ORGANISATION:
            scope = hub.tenancy.platform(who, Right.TENANTS_WRITE)
        return scope, self.node


def organisation_place(org: str) -> Place:
    return Place(org, Node(Kind.ORGANISATION, org))


def project_place(org: str, project: str) -> Place:
    return Place(org, Node(Kind.PROJECT, project))


def key_place(org: str, key: str) -> Place:
    return Place(org, Node(Kind.KEY, key))


OfOrganisation = Annotated[Place, Depends(organisation_place)]
OfProject = Annotated[Place, Depends(project_place)]
OfKey = Annotated[Place, Depends(key_place)]


@router.get("/budgets", summary="List all budgets of an organisation")
def list_budgets(hub: Hub, who: Reader, org: str) -> Items[Budget]:
    """The organisation's own first. A key of one project sees those of its project."""
    scope = hub.tenancy.scope(who, Right.USAGE_READ, organisation=org)
    return Items(items=hub.tenancy.budgets.list(scope))


# ── an organisation ──────────────────────────────────────────────────────────────────────────────
@router.get("/budget", summary="Show an organisation's budget")
def show_organisation_budget(hub: Hub, who: Reader, place: OfOrganisation) -> Budget:
    return hub.tenancy.budgets.show(*place.read(hub, who))


@router.put("/budget", summary="Set an organisation's budget")
def set_organisation_budget(
    hub: Hub, who: Writer, place: OfOrganisation, body: BudgetTerms
) -> Budget:
    """For operators. Lowered below what is used, nothing more is granted; running work ends."""
    return _set(hub, who, place, body)


@router.patch("/budget", summary="Raise or lower an organisation's limit")
def adjust_organisation_budget(
    hub: Hub, who: Writer, place: OfOrganisation, body: BudgetStep
) -> Budget:
    """For operators. Whatever others do at the same time, each step counts."""
    return hub.tenancy.budgets.adjust(*place.change(hub, who), by=body.by)


@router.delete("/budget", status_code=204, summary="Remove an organisation's budget")
def remove_organisation_budget(hub: Hub, who: Writer, place: OfOrganisation) -> Response:
    """For operators. Budgets below it stay."""
    return _remove(hub, who, place)


@router.put("/concurrency", summary="Limit how many requests an organisation has inside at once")
def limit_organisation_concurrency(
    hub: Hub, who: Writer, place: OfOrganisation, body: ConcurrencyLimit
) -> ConcurrencyAnswer:
    """For operators."""
    return _limit(hub, who, place, body)


# ── a project ────────────────────────────────────────────────────────────────────────────────────
@router.get("/projects/{project}/budget", summary="Show a project's budget")
def show_project_budget(hub: Hub, who: Reader, place: OfProject) -> Budget:
    return hub.tenancy.budgets.show(*place.read(hub, who))


@router.put("/projects/{project}/budget", summary="Set a project's budget")
def set_project_budget(hub: Hub, who: Writer, place: OfProject, body: BudgetTerms) -> Budget:
    return _set(hub, who, place, body)


@router.patch("/projects/{project}/budget", summary="Raise or lower a project's limit")
def adjust_project_budget(hub: Hub, who: Writer, place: OfProject, body: BudgetStep) -> Budget:
    return hub.tenancy.budgets.adjust(*place.change(hub, who), by=body.by)


@router.delete("/projects/{project}/budget", status_code=204, summary="Remove a project's budget")
def remove_project_budget(hub: Hub, who: Writer, place: OfProject) -> Response:
    return _remove(hub, who, place)


@router.put(
    "/projects/{project}/concurrency", summary="Limit how many requests a project has at once"
)
def limit_project_concurrency(
    hub: Hub, who: Writer, place: OfProject, body: ConcurrencyLimit
) -> ConcurrencyAnswer:
    return _limit(hub, who, place, body)


# ── a key ────────────────────────────────────────────────────────────────────────────────────────
@router.get("/keys/{key}/budget", summary="Show a key's budget")
def show_key_budget(hub: Hub, who: Reader, place: OfKey) -> Budget:
    return hub.tenancy.budgets.show(*place.read(hub, who))


@router.put("/keys/{key}/budget", summary="Set a key's budget")
def set_key_budget(hub: Hub, who: Writer, place: OfKey, body: BudgetTerms) -> Budget:
    return _set(hub, who, place, body)


@router.patch("/keys/{key}/budget", summary="Raise or lower a key's limit")
def adjust_key_budget(hub: Hub, who: Writer, place: OfKey, body: BudgetStep) -> Budget:
    return hub.tenancy.budgets.adjust(*place.change(hub, who), by=body.by)


@router.delete("/keys/{key}/budget", status_code=204, summary="Remove a key's budget")
def remove_key_budget(hub: Hub, who: Writer, place: OfKey) -> Response:
    return _remove(hub, who, place)


@router.put("/keys/{key}/concurrency", summary="Limit how many requests a key has at once")
def limit_key_concurrency(
    hub: Hub, who: Writer, place: OfKey, body: ConcurrencyLimit
) -> ConcurrencyAnswer:
    return _limit(hub, who, place, body)


@router.put("/keys/{key}/priority", summary="Say which keys of an organisation go first")
def set_key_priority(hub: Hub, who: Writer, place: OfKey, body: KeyPriority) -> PriorityAnswer:
    scope, node = place.change(hub, who)
    hub.tenancy.concurrency.set_priority(scope, KeyId(node.name), body.priority)
    return PriorityAnswer(priority=body.priority)


# ── looking ahead ────────────────────────────────────────────────────────────────────────────────
@router.get("/estimate", summary="How many requests are left?")
def estimate(
    *,
    hub: Hub,
    who: Reader,
    org: str,
    model: str,
    project: str | None = None,
    key: str | None = None,
    device_us: Annotated[int | None, Query(ge=0, le=LARGEST)] = None,
    host_us: Annotated[int | None, Query(ge=0, le=LARGEST)] = None,
    rows: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
    provider: str | None = None,
) -> Estimate:
    """By what requests to the model cost in the last 30 days, or by the figures given here and
    the price list; against the tightest budget from the node up to the organisation."""
    if project is not None and key is not None:
        raise InvalidInput("name a project or a key, not both", input="key")
    if device_us is None and (host_us, rows, provider) != (None, None, None):
        raise InvalidInput(
            "host_us, rows and provider go with device_us: what one request takes there",
            input="device_us",
        )
    scope = hub.tenancy.scope(who, Right.USAGE_READ, organisation=org, project=project)
    if key is not None:
        node = Node(Kind.KEY, key)
    elif scope.project is not None:
        node = Node(Kind.PROJECT, project or who.project_name or "")
    else:
        node = Node(Kind.ORGANISATION, org)
    figures = None
    if device_us is not None:
        figures = Figures(device_us, host_us or 0, rows or 1, provider)
    found = hub.tenancy.records.get(scope, model)
    return hub.tenancy.estimates.show(scope, node, found.id, figures)


def _set(hub: Parts, who: Principal, place: Place, body: BudgetTerms) -> Budget:
    scope, node = place.change(hub, who)
    return hub.tenancy.budgets.set(scope, node, limit=body.limit, period=body.period)


def _remove(hub: Parts, who: Principal, place: Place) -> Response:
    hub.tenancy.budgets.remove(*place.change(hub, who))
    return Response(status_code=204)


def _limit(hub: Parts, who: Principal, place: Place, body: ConcurrencyLimit) -> ConcurrencyAnswer:
    return ConcurrencyAnswer(limit=hub.tenancy.concurrency.set(*place.change(hub, who), body.limit))
