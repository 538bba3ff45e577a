"""Bodies of the ledger's routes."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from pydantic import ConfigDict, Field

from plaza_core.inference import UsageRecord
from plaza_serving.control.patterns import MONTH
from plaza_serving.control.shapes.base import Answer, Items, Taken
from plaza_tenancy.views import AuditEntry, ChainReport, Drift, Dropped, Entry, Kind, UsageSum

DRIFT_SHOWN = 1000


class Format(StrEnum):
    JSON = "json"
    CSV = "csv"


class CorrectionRequest(Taken):
    """What it is about: a request (which names all the rest), or a key, project or model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"charge": -1500, "reason": "the model was down, ticket 17", "period": "2026-10"}
            ]
        }
    )

    charge: int = Field(
        ge=-(2**53), le=2**53, description="Compute units to add; negative gives back."
    )
    reason: str = Field(min_length=1, max_length=200)
    request: str | None = Field(None, max_length=64)
    key: str | None = Field(None, max_length=32)
    project: str | None = Field(None, max_length=63)
    model: str | None = Field(None, max_length=32, description="By id.")
    period: str | None = Field(None, pattern=MONTH)


class Correction(Answer):
    id: str = Field(description="Its request id in statements.")
    charge: int
    reason: str
    actor: str
    refers: str | None
    at_unix_us: int
    project: str | None
    key: str
    model: str

    @classmethod
    def of(cls, entry: Entry) -> Correction:
        record: UsageRecord = entry.record
        assert entry.kind is Kind.CORRECTION
        return cls(
            id=record.request_id,
            charge=record.charge,
            reason=entry.reason or "",
            actor=entry.actor or "",
            refers=entry.refers,
            at_unix_us=record.at_unix_us,
            project=record.project,
            key=record.key,
            model=record.model,
        )


class Verified(Items[ChainReport]):
    """One chain per organisation; `broken` names the first link that does not fit."""

    intact: bool

    @classmethod
    def of(cls, chains: list[ChainReport]) -> Verified:
        return cls(items=chains, intact=all(chain.intact for chain in chains))


class DriftReport(Items[Drift]):
    """Hours whose sums differ from their rows; `items` holds the first 1,000 of `groups`."""

    groups: int

    @classmethod
    def of(cls, found: Sequence[Drift]) -> DriftReport:
        return cls(items=list(found[:DRIFT_SHOWN]), groups=len(found))


class DropRequest(Taken):
    model_config = ConfigDict(json_schema_extra={"examples": [{"before": "2026-01"}]})

    before: str = Field(pattern=MONTH, description="Books before this month are closed.")


class DropReport(Items[Dropped]):
    """What was dropped, by organisation. Sums per hour stay."""


class UsageReport(Items[UsageSum]):
    """Sums for since ≤ time < until, in microseconds since 1970."""

    since_us: int
    until_us: int


class AuditPage(Items[AuditEntry]):
    """`next` is the `before` of the next page; none at the end."""

    next: int | None


class Ingested(Answer):
    accepted: int
    new: int
