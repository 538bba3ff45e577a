"""A hub's SQLite database, read beside the hub: what its ledger and its accounts really say.

Proofs read the rows themselves, so that no verb of the hub can flatter the result.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from plaza_core.clock import SystemClock
from plaza_core.principal import Right
from plaza_core.table import RateLimit
from plaza_tenancy import Tenancy


@dataclass(frozen=True, slots=True)
class Entry:
    """One request in the ledger. Amounts are compute units."""

    charge: int
    overrun: int
    outcome: str
    replica: str
    lease: str | None


@dataclass(frozen=True, slots=True)
class Account:
    """One node of the tree in one period; `depth` 0 is an organisation, 1 a project, 2 a key."""

    depth: int
    node: str
    limit: int | None
    settled: int
    leased: int

    @property
    def over(self) -> bool:
        return self.limit is not None and self.settled + self.leased > self.limit


def entries(state_dir: Path, organisation: str) -> dict[str, Entry]:
    """All requests of an organisation, by their id. Raises ValueError for an id that is twice."""
    query = (
        "SELECT request_id, charge, overrun, outcome, replica, lease FROM usage"
        " JOIN organisations ON organisations.id = organisation"
        " WHERE organisations.name = ? AND kind = 'use'"
    )
    with _database(state_dir) as opened:
        rows = opened.execute(query, (organisation,)).fetchall()
    found = {id_: Entry(*rest) for id_, *rest in rows}
    if len(found) != len(rows):
        raise ValueError(f"{len(rows) - len(found)} requests of {organisation} are there twice")
    return found


def accounts(state_dir: Path, organisation: str | None = None) -> list[Account]:
    """The accounts of one organisation, root first, or of all of them."""
    query = (
        'SELECT depth, node, "limit", settled, leased FROM accounts'
        " JOIN organisations ON organisations.id = organisation"
        " WHERE ? IS NULL OR organisations.name = ? ORDER BY depth"
    )
    with _database(state_dir) as opened:
        rows = opened.execute(query, (organisation, organisation)).fetchall()
    return [Account(*row) for row in rows]


def drift(state_dir: Path) -> list[str]:
    """All that the hub's own auditors find, on a copy: accounts and leases that are not what their
    rows add up to, hours that are not, and chains of the books or the audit that are broken."""
    with tempfile.TemporaryDirectory(prefix="plaza-copy-") as scratch:
        copy = Path(scratch) / "plaza.db"
        with _database(state_dir) as opened, closing(sqlite3.connect(copy)) as into:
            opened.backup(into)
        pepper = (state_dir / "secrets" / "pepper").read_text().strip().encode()
        tenancy = Tenancy(
            f"sqlite+pysqlite:///{copy}",
            pepper=pepper,
            clock=SystemClock(),
            random=os.urandom,
            default_rate=RateLimit(per_second=1, burst=1),
        )
        with closing(tenancy):
            operator = tenancy.authenticate((state_dir / "admin.key").read_text().strip())
            scope = tenancy.platform(operator, Right.AUDIT_READ)
            reports = (*tenancy.ledger.verify(scope), *tenancy.audit.verify(scope))
            return [
                *map(str, tenancy.leases.drift()),
                *map(str, tenancy.ledger.drift(scope)),
                *(str(report) for report in reports if report.broken is not None),
            ]


@contextmanager
def _database(state_dir: Path) -> Iterator[sqlite3.Connection]:
    """The hub's database, read only."""
    path = f"file:{state_dir}/plaza.db?mode=ro"
    with closing(sqlite3.connect(path, uri=True, timeout=10)) as opened:
        yield opened
