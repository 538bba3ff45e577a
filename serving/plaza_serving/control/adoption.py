"""Adopting what dead replicas left: their usage, their leases, and their place in the fleet.

spool files nobody locks ─▶ ledger ─▶ leases closed ─▶ fleet and recalls forget the replica
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from plaza_serving.control.parts import Parts
from plaza_serving.dataplane.spool import adopt

_EVERY_S = 1.0


class Adoption:
    """A job: `step` looks once into the node's spool directory."""

    def __init__(self, parts: Parts, spool: Path) -> None:
        self._parts = parts
        self._spool = spool

    async def step(self) -> float:
        dead: list[str] = []
        try:
            await asyncio.to_thread(self._adopt, dead)
        finally:
            for replica in dead:  # on the loop, as fleet and recalls are
                self._parts.fleet.gone(replica)
                self._parts.leases.forget(replica)
        return _EVERY_S

    def _adopt(self, dead: list[str]) -> None:
        def gone(replica: str) -> None:
            self._parts.leases.gone(replica)
            dead.append(replica)

        adopt(self._spool, self._parts.tenancy.ledger.ingest, gone)
