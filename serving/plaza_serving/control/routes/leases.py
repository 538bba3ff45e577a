"""Leases of compute budgets, between replicas and the bank. For nodes, not in the OpenAPI.

Idempotent like all internal routes: counters are cumulative.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from plaza_core.budget import Grants, LeaseAsks
from plaza_serving.control.guard import NODE_ONLY
from plaza_serving.control.parts import Hub
from plaza_serving.control.routes.internal import LONGEST_WAIT_S

router = APIRouter(prefix="/internal/v1", dependencies=[NODE_ONLY], include_in_schema=False)


@router.post("/leases")
async def exchange(
    hub: Hub, asks: LeaseAsks, recall: Annotated[int | None, Query(ge=0)] = None
) -> Grants:
    """One grant per ask, in order. `recall`: these are the returns to that recall."""
    return Grants(grants=await hub.leases.exchange(asks, recall=recall))


@router.get("/recalls")
async def recalls(
    hub: Hub,
    replica: Annotated[str, Query(max_length=200)],
    after: Annotated[int, Query(ge=0)] = 0,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, allow_inf_nan=False)] = 0.0,
) -> Response:
    """Recalls after number `after` as one, or 204 when there is none within `wait` seconds."""
    recall = await hub.leases.recalls(replica, after, wait)
    if recall is None:
        return Response(status_code=204)
    return Response(recall.model_dump_json(), media_type="application/json")
