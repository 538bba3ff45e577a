"""What was used, what was changed, and how the hub is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from plaza_core.errors import InvalidInput
from plaza_core.pools import Pool
from plaza_core.principal import Principal, Right
from plaza_serving.control.guard import needs
from plaza_serving.control.parts import Hub
from plaza_serving.control.shapes.base import Since, Until, span
from plaza_serving.control.shapes.ledger import AuditPage, UsageReport
from plaza_serving.control.shapes.status import (
    HubStatus,
    PoolStatus,
    RayStatus,
    ReplicaStatus,
    TrackingStatus,
)
from plaza_serving.control.whose import Whose, scope_of
from plaza_tenancy.views import Dimension

router = APIRouter(prefix="/api/v1", tags=["reports"])


@router.get("/usage", summary="Sum up usage")
def usage(
    *,
    hub: Hub,
    who: Annotated[Principal, needs(Right.USAGE_READ)],
    since: Since = None,
    until: Until = None,
    by: Annotated[list[Dimension], Query()] = [Dimension.ORGANISATION],  # noqa: B006 read only
    organisation: Whose = None,
) -> UsageReport:
    """Sums over the ledger, one row per group, for since ≤ time < until. `by` may be repeated."""
    since_us, until_us = span(since, until, hub.clock.unix_us())
    if since_us > until_us:
        raise InvalidInput("`since` is after `until`", input="since")
    scope = scope_of(hub, who, Right.USAGE_READ, organisation)
    rows = hub.tenancy.ledger.report(scope, since_us=since_us, until_us=until_us, by=by)
    return UsageReport(since_us=since_us, until_us=until_us, items=rows)


@router.get("/audit", summary="Read the audit trail")
def audit(
    hub: Hub,
    who: Annotated[Principal, needs(Right.AUDIT_READ)],
    before: Annotated[
        int | None, Query(ge=0, le=2**63 - 1, description="The `next` of the page before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    organisation: Whose = None,
) -> AuditPage:
    """Administrative changes, newest first."""
    scope = scope_of(hub, who, Right.AUDIT_READ, organisation)
    entries = hub.tenancy.audit.list(scope, before=before, limit=limit)
    return AuditPage(items=entries, next=entries[-1].id if len(entries) == limit else None)


@router.get(
    "/status",
    summary="How is the hub?",
    dependencies=[needs(Right.TENANTS_READ, operator=True)],
)
def status(hub: Hub) -> HubStatus:
    """For operators: pools, replicas, the table they should have, and what waits for MLflow."""
    table = hub.feed.current
    ray, waiting = hub.ray_state(), hub.tenancy.proposals.waiting()
    refusals = hub.fleet.refusals()

    def pool_status(pool: Pool) -> PoolStatus:
        found = ray.applications.get(pool.name)
        running = found.running if found else 0
        return PoolStatus.of(pool, found, hub.pool_reasons.why(pool, running, refusals))

    return HubStatus(
        table_version=table.version,
        outbox_pending=waiting.items,
        mlflow=TrackingStatus.of(waiting, hub.registrar.mirror.state),
        budget_drift=None if hub.drift.last.at_unix_us is None else len(hub.drift.last.drifted),
        ray=RayStatus.of(ray),
        pools=[pool_status(pool) for pool in hub.settings.all_pools],
        replicas=[
            ReplicaStatus.of(
                replica, hub.feed.reached(replica.heartbeat.table_version, table.sequence)
            )
            for replica in hub.fleet.replicas()
        ],
    )
