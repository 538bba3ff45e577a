"""A hub's SQLite database, read beside the hub: what its ledger and its accounts really say.

Proofs read the rows themselves, so that no verb of the hub can flatter the result.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """One request in the ledger. Amounts are compute units."""

    charge: int
    overrun: int
    outcome: str
    replica: str
    lease: str | None


def entries(state_dir: Path, organisation: str) -> dict[str, Entry]:
    """All requests of an organisation, by their id."""
    query = (
        "SELECT request_id, charge, overrun, outcome, replica, lease FROM usage"
        " JOIN organisations ON organisations.id = organisation"
        " WHERE organisations.name = ? AND kind = 'use'"
    )
    with database(state_dir) as opened:
        return {id_: Entry(*rest) for id_, *rest in opened.execute(query, (organisation,))}


@contextmanager
def database(state_dir: Path) -> Iterator[sqlite3.Connection]:
    """The hub's database, read only."""
    path = f"file:{state_dir}/plaza.db?mode=ro"
    with closing(sqlite3.connect(path, uri=True, timeout=10)) as opened:
        yield opened
