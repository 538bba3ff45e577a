"""Bodies of the routes about leases."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from plaza_serving.control.drift_watch import Finding
from plaza_serving.control.shapes import Answer, Items, Taken
from plaza_tenancy.views_leases import LeaseInfo, WrittenOff

DRIFT_SHOWN = 1000


class LeaseStatus(Answer):
    """What one replica holds for one key, in compute units. `outstanding` is what a write-off would
    charge; `live`: the replica was heard within 5 s."""

    id: str
    replica: str
    live: bool
    organisation_name: str
    project_name: str | None
    key: str
    label: str
    opened_unix_us: int
    granted: int
    returned: int
    spent: int
    outstanding: int

    @classmethod
    def of(cls, lease: LeaseInfo, *, live: bool) -> LeaseStatus:
        told = {name: getattr(lease, name) for name in LeaseInfo.__slots__}
        return cls(**told, live=live)


class WriteOffRequest(Taken):
    model_config = ConfigDict(json_schema_extra={"examples": [{"replica": "main-4711-a1b2"}]})

    replica: str = Field(min_length=1, max_length=200)


class WriteOffResult(Answer):
    """`leases` were closed now, and `charged` compute units with them; again: 0 and 0."""

    replica: str
    leases: int
    charged: int

    @classmethod
    def of(cls, done: WrittenOff) -> WriteOffResult:
        return cls(replica=done.replica, leases=done.leases, charged=done.charged)


class DriftedNumber(Answer):
    """One number of an account (`what`: node, period, start) or of a lease (its id)."""

    what: str
    number: str
    kept: int
    recomputed: int


class BudgetDrift(Items[DriftedNumber]):
    """Numbers that are not what their rows add up to: none, or something is wrong. `items` holds
    the first 1,000 of `found`; `checked_unix_us` is null until somebody has looked."""

    found: int
    checked_unix_us: int | None

    @classmethod
    def of(cls, finding: Finding) -> BudgetDrift:
        items = [
            DriftedNumber(
                what=one.what, number=one.number, kept=one.kept, recomputed=one.recomputed
            )
            for one in finding.drifted[:DRIFT_SHOWN]
        ]
        return cls(items=items, found=len(finding.drifted), checked_unix_us=finding.at_unix_us)
