"""The books: statements, verification, corrections, projections, retention."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse

from plaza_core.principal import Principal, Right
from plaza_serving.control.guard import needs
from plaza_serving.control.parts import Hub
from plaza_serving.control.patterns import MONTH
from plaza_serving.control.shapes.ledger import (
    Correction,
    CorrectionRequest,
    DriftReport,
    DropReport,
    DropRequest,
    Format,
    Verified,
)
from plaza_serving.control.whose import Whose, scope_of
from plaza_tenancy.corrections import About

router = APIRouter(prefix="/api/v1", tags=["ledger"])

# Books tell of every request of every key, and verifying them is work: not for each consumer's key.
AuditReader = Annotated[Principal, needs(Right.AUDIT_READ)]
Writer = Annotated[Principal, needs(Right.TENANTS_WRITE)]
OperatingReader = Annotated[Principal, needs(Right.TENANTS_READ, operator=True)]
OperatingWriter = Annotated[Principal, needs(Right.TENANTS_WRITE, operator=True)]

_MEDIA = {Format.JSON: "application/json", Format.CSV: "text/csv; charset=utf-8"}


@router.get(
    "/organisations/{org}/statements/{period}",
    summary="A month's books as JSON or CSV",
    response_class=StreamingResponse,
)
def statement(
    hub: Hub,
    who: AuditReader,
    org: str,
    period: Annotated[str, Path(pattern=MONTH, description="A month in UTC: `2026-11`.")],
    format: Annotated[Format, Query()] = Format.JSON,
) -> StreamingResponse:
    """Every entry of the month with totals, corrections and the digests of the chain.

    JSON holds what it takes to recompute each digest; CSV is safe to open in a spreadsheet.
    """
    scope = hub.tenancy.scope(who, Right.AUDIT_READ, organisation=org)
    made = hub.tenancy.ledger.statement(scope, period)
    pieces = made.json() if format is Format.JSON else made.csv()
    name = f"{made.name}-{made.month}.{format}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(pieces, media_type=_MEDIA[format], headers=headers)


@router.get("/usage/verify", summary="Verify the books")
def verify_usage(hub: Hub, who: AuditReader, organisation: Whose = None) -> Verified:
    """Recomputes every batch from its entries; names the first that does not fit."""
    scope = scope_of(hub, who, Right.AUDIT_READ, organisation)
    return Verified.of(hub.tenancy.ledger.verify(scope))


@router.get("/audit/verify", summary="Verify the audit trail")
def verify_audit(hub: Hub, who: AuditReader, organisation: Whose = None) -> Verified:
    """Recomputes every row's digest; names the first row that does not fit."""
    scope = scope_of(hub, who, Right.AUDIT_READ, organisation)
    return Verified.of(hub.tenancy.audit.verify(scope))


@router.post("/organisations/{org}/corrections", status_code=201, summary="Correct the books")
def correct(hub: Hub, who: Writer, org: str, body: CorrectionRequest) -> Correction:
    """For operators: adds a signed amount with its reason. Nothing is ever edited."""
    # Asked first, so that a foreign organisation does not exist rather than being forbidden.
    hub.tenancy.scope(who, Right.TENANTS_WRITE, organisation=org)
    platform = hub.tenancy.platform(who, Right.TENANTS_WRITE)
    about = About(
        request=body.request,
        key=body.key,
        project=body.project,
        model=body.model,
        month=body.period,
    )
    entry = hub.tenancy.ledger.correct(
        platform, org, charge=body.charge, reason=body.reason, about=about
    )
    return Correction.of(entry)


@router.get("/usage/drift", summary="Do sums and rows agree?")
def drift(hub: Hub, who: OperatingReader) -> DriftReport:
    """For operators. Every hour whose stored sums differ from its rows; there should be none."""
    platform = hub.tenancy.platform(who, Right.TENANTS_READ)
    return DriftReport.of(hub.tenancy.ledger.drift(platform))


@router.post("/usage/rebuild", summary="Make the sums anew")
def rebuild(hub: Hub, who: OperatingWriter) -> DriftReport:
    """For operators. Answers with what differed and is mended."""
    platform = hub.tenancy.platform(who, Right.TENANTS_WRITE)
    return DriftReport.of(hub.tenancy.ledger.rebuild(platform))


@router.post("/usage/drop", summary="Drop closed months")
def drop(hub: Hub, who: OperatingWriter, body: DropRequest) -> DropReport:
    """For operators. Drops the rows and batches before a month; sums and the chain's anchor stay.

    For good: take statements first.
    """
    platform = hub.tenancy.platform(who, Right.TENANTS_WRITE)
    return DropReport(items=hub.tenancy.ledger.drop_before(platform, body.before))
