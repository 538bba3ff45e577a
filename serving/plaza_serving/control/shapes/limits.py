"""Bodies of the routes about rates, holdings, calendars and leases."""

from __future__ import annotations

from pydantic import Field

from plaza_core.budget import LARGEST
from plaza_core.table import RateLimit
from plaza_core.windows import MOST_WINDOWS, Window
from plaza_serving.control.shapes.base import Answer, Rate, Taken, example
from plaza_tenancy.views_leases import LeaseInfo


class RateTerms(Taken):
    """How many requests a node may send."""

    model_config = example(rate={"per_second": 50, "burst": 100})

    rate: Rate | None = Field(description="null: no limit of its own; not for organisations.")


class RateAnswer(Answer):
    rate: RateLimit | None


class HoldingLimit(Taken):
    """How many of one kind, or how many bytes, a node may hold."""

    model_config = example(limit=20)

    limit: int | None = Field(strict=True, ge=0, le=LARGEST, description="null: any number.")


class Calendar(Taken):
    """When another limit holds. The first window that fits counts."""

    model_config = example(
        windows=[
            {"first": "2026-12-01", "until": "2027-01-01", "limit": 7_200_000_000},
            {"weekdays": ["sat", "sun"], "limit": 0},
        ]
    )

    windows: list[Window] = Field(max_length=MOST_WINDOWS)


class HeldLease(Answer):
    id: str
    organisation_name: str
    key: str
    replica: str
    live: bool = Field(description="Its replica told of itself within 5 s.")
    opened_unix_us: int
    outstanding: int

    @classmethod
    def of(cls, lease: LeaseInfo, *, live: bool) -> HeldLease:
        return cls(
            id=lease.id,
            organisation_name=lease.organisation_name,
            key=lease.key,
            replica=lease.replica,
            live=live,
            opened_unix_us=lease.opened_unix_us,
            outstanding=lease.outstanding,
        )


class WrittenOff(Answer):
    lease: str
    written_off: int = Field(description="Compute units charged.")
