"""What work costs, and what each organisation is guaranteed of the pools: the operators' lists."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from plaza_core.budget import Price
from plaza_core.ids import ModelId
from plaza_core.principal import Principal, Right
from plaza_serving.control.guard import needs
from plaza_serving.control.parts import Hub, Parts
from plaza_serving.control.shapes.base import Items
from plaza_serving.control.shapes.budgets import PriceTerms, ShareTerms
from plaza_tenancy.views import PriceInfo, ShareInfo

router = APIRouter(prefix="/api/v1", tags=["budgets"])

Operator = Annotated[Principal, needs(Right.TENANTS_WRITE, operator=True)]


@router.get("/prices", summary="List prices", dependencies=[needs(Right.USAGE_READ)])
def list_prices(hub: Hub) -> Items[PriceInfo]:
    """Where none fits, a µs of device or host time costs 1 unit."""
    return Items(items=hub.tenancy.prices.list())


@router.put("/prices", summary="Set a price")
def set_price(hub: Hub, who: Operator, body: PriceTerms) -> Price:
    """For operators. It counts for requests that replicas admit after their next poll."""
    scope = hub.tenancy.platform(who, Right.TENANTS_WRITE)
    price = Price(
        provider=body.provider,
        model=_model(hub, who, body.model),
        weight=body.weight,
        host_weight=body.host_weight,
        fixed=body.fixed,
    )
    return hub.tenancy.prices.set(scope, price)


@router.delete("/prices", status_code=204, summary="Remove a price")
def remove_price(
    hub: Hub, who: Operator, provider: str | None = None, model: str | None = None
) -> Response:
    """For operators. Names the price as it was set: by provider, model, both or neither."""
    scope = hub.tenancy.platform(who, Right.TENANTS_WRITE)
    hub.tenancy.prices.remove(scope, provider=provider, model=_model(hub, who, model))
    return Response(status_code=204)


@router.get("/shares", summary="List shares")
def list_shares(hub: Hub, who: Annotated[Principal, needs(Right.TENANTS_READ)]) -> Items[ShareInfo]:
    """Operators see all of them, everybody else their own organisation's."""
    scope = (
        hub.tenancy.platform(who, Right.TENANTS_READ)
        if who.operator
        else hub.tenancy.scope(who, Right.TENANTS_READ)
    )
    return Items(items=hub.tenancy.shares.list(scope))


@router.put("/shares", summary="Set an organisation's share")
def set_share(hub: Hub, who: Operator, body: ShareTerms) -> ShareInfo:
    """For operators. Shares of others shrink accordingly: they are relative."""
    return hub.tenancy.shares.set(
        hub.tenancy.platform(who, Right.TENANTS_WRITE),
        body.organisation,
        weight=body.weight,
        borrow_percent=body.borrow_percent,
    )


def _model(hub: Parts, who: Principal, name: str | None) -> ModelId | None:
    if name is None:
        return None
    return hub.tenancy.records.get(hub.tenancy.platform(who, Right.MODELS_READ), name).id
