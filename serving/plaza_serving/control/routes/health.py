"""Liveness and readiness: the only answers without a key."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from plaza_serving.control.parts import Hub

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> dict[str, str]:
    return {"status": "alive"}


@router.get(
    "/readyz",
    summary="Can it do its work?",
    response_model=dict[str, str],
    responses={503: {"description": "The database does not answer."}},
)
def readyz(hub: Hub) -> JSONResponse:
    """Ready when the database answers and replicas can be told the table."""
    hub.tenancy.table_version()
    ready = hub.feed.loaded
    return JSONResponse({"status": "ready" if ready else "starting"}, 200 if ready else 503)
