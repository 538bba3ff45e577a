"""What tenancy tells of leases."""

from __future__ import annotations

from dataclasses import dataclass

from plaza_core.ids import KeyId


@dataclass(frozen=True, slots=True)
class LeaseInfo:
    """What one replica holds for one key. Amounts are compute units."""

    id: str
    replica: str
    organisation_name: str
    project_name: str | None
    key: KeyId
    label: str
    opened_unix_us: int
    granted: int
    returned: int
    spent: int
    """What the ledger has of it."""
    outstanding: int
    """Granted, and neither given back nor in the ledger: what a write-off charges."""
