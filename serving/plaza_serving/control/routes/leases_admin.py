"""What replicas hold of budgets, what becomes of it when one is lost, and whether sums are true."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from plaza_core.errors import Conflict
from plaza_core.principal import Principal, Right
from plaza_serving.control.guard import needs
from plaza_serving.control.leases_shapes import (
    BudgetDrift,
    LeaseStatus,
    WriteOffRequest,
    WriteOffResult,
)
from plaza_serving.control.parts import Hub, Parts
from plaza_serving.control.shapes import Items

router = APIRouter(prefix="/api/v1", tags=["budgets"])

Reader = Annotated[Principal, needs(Right.TENANTS_READ, operator=True)]
Writer = Annotated[Principal, needs(Right.TENANTS_WRITE, operator=True)]


@router.get("/leases", summary="List what replicas hold of budgets")
def list_leases(
    hub: Hub, who: Reader, replica: Annotated[str | None, Query(max_length=200)] = None
) -> Items[LeaseStatus]:
    """Open leases of all organisations, by replica. For operators.

    A lease of a replica that is dead stays until its usage is in the ledger: a node's control
    adopts what its replicas left in the spool. One whose host is lost stays until it is written
    off.
    """
    scope = hub.tenancy.platform(who, Right.TENANTS_READ)
    live = _live(hub)
    found = hub.tenancy.leases.list(scope, replica)
    return Items(items=[LeaseStatus.of(lease, live=lease.replica in live) for lease in found])


@router.post("/leases/write-off", summary="Write off what a lost replica held")
def write_off(hub: Hub, who: Writer, body: WriteOffRequest) -> WriteOffResult:
    """Charges all that the replica's leases still hold to their keys, and closes them. For
    operators, when its host and spool are lost for good.

    What was used of it can never be known; the whole is never less, so no budget is overspent. Each
    lease becomes one entry of kind `loss` in its organisation's statement, `write-off-LEASE`, and
    one row in its audit trail. What was too much is given back by a correction of that entry. Done
    again, it charges nothing. Refused with `conflict` for a replica that lives.
    """
    if body.replica in _live(hub):
        raise Conflict("this replica lives: it ships its usage itself", input="replica")
    scope = hub.tenancy.platform(who, Right.TENANTS_WRITE)
    return WriteOffResult.of(hub.tenancy.leases.write_off_replica(scope, body.replica))


@router.get("/leases/drift", summary="Do budgets say what their rows add up to?")
def budget_drift(
    hub: Hub,
    who: Reader,
    now: Annotated[bool, Query(description="Look now; else tell what was found last.")] = False,
) -> BudgetDrift:
    """Every kept number of accounts and leases against ledger and leases. For operators. Looked at
    every ten minutes; anything but an empty list is a defect."""
    hub.tenancy.platform(who, Right.TENANTS_READ)
    return BudgetDrift.of(hub.drift.look() if now else hub.drift.last)


def _live(hub: Parts) -> set[str]:
    return {found.heartbeat.replica for found in hub.fleet.replicas() if found.live}
