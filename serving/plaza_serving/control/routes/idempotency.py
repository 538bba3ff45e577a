"""Claims of idempotency keys, for replicas. Repeating a call changes nothing.

The answers that pass here are sealed by the replica with a key that control does not hold.
"""

from __future__ import annotations

from fastapi import APIRouter

from plaza_core.idempotency import ClaimAsk, Done, Place, Verdict
from plaza_serving.control.guard import NODE_ONLY
from plaza_serving.control.parts import Hub

router = APIRouter(
    prefix="/internal/v1/idempotency", dependencies=[NODE_ONLY], include_in_schema=False
)


@router.post("/claim", name="claim_idempotency_key")
def claim(hub: Hub, ask: ClaimAsk) -> Verdict:
    return hub.tenancy.idempotency.claim(ask)


@router.post("/renew", name="renew_idempotency_claim")
def renew(hub: Hub, place: Place) -> None:
    hub.tenancy.idempotency.renew(place)


@router.post("/complete", name="complete_idempotency_claim")
def complete(hub: Hub, done: Done) -> None:
    hub.tenancy.idempotency.complete(done)


@router.post("/release", name="release_idempotency_claim")
def release(hub: Hub, place: Place) -> None:
    hub.tenancy.idempotency.release(place)
