"""The chain of the audit trail: each row of an organisation holds the digest of the one before.

    line    JSON array: format (1), organisation, sequence, previous, at, actor, project, action,
            target, before, after; objects with sorted keys; no spaces; UTF-8; then one newline
    digest  SHA-256 of the line in hexadecimal; `previous` of the first is 64 zeros

That is what `json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False)` writes.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from sqlalchemy.orm import Session

from plaza_tenancy.entries import GENESIS
from plaza_tenancy.schema import AuditHeadRow, AuditRow

FORMAT: Final = 1
LINE: Final = ("at", "actor", "project", "action", "target", "before", "after")


def link(session: Session, row: AuditRow) -> None:
    """Give a new row its place at the end of its organisation's chain.

    The caller holds the hub's row, by which changes happen one after another.
    """
    head = session.get(AuditHeadRow, row.organisation)
    if head is None:
        head = AuditHeadRow(organisation=row.organisation, sequence=0, digest=GENESIS)
        session.add(head)
    row.sequence, row.previous = head.sequence + 1, head.digest
    row.digest = digest(
        row.organisation, row.sequence, row.previous, [getattr(row, name) for name in LINE]
    )
    head.sequence, head.digest = row.sequence, row.digest


def digest(organisation: str, sequence: int, previous: str, told: list[Any]) -> str:
    """Of one row; `told` is what stands in it, from `at` to `after`."""
    line = [FORMAT, organisation, sequence, previous, *told]
    # Once there and back: what the database will give again, such as text for a number as a key.
    stored = json.loads(json.dumps(line))
    text = json.dumps(stored, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode() + b"\n").hexdigest()
