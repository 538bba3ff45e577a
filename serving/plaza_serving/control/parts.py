"""Everything the admin API works with, handed in from outside: `main` composes the real parts,
tests compose theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from plaza_core.clock import Clock
from plaza_core.ids import RandomBytes
from plaza_core.ports import BlobStore
from plaza_core.settings import Settings
from plaza_registry.importing import Importer
from plaza_registry.register import Registrar
from plaza_registry.uploads import Uploads
from plaza_serving.control.drift_watch import DriftWatch
from plaza_serving.control.feed import TableFeed
from plaza_serving.control.fleet import Fleet
from plaza_serving.control.leases import LeaseDesk
from plaza_serving.control.logins import Logins
from plaza_serving.control.pool_reasons import PoolReasons
from plaza_serving.control.reconciler import RayState
from plaza_serving.searching.service import Searching
from plaza_tenancy import Tenancy


@dataclass(frozen=True, slots=True)
class Parts:
    settings: Settings
    clock: Clock
    random: RandomBytes
    tenancy: Tenancy
    registrar: Registrar
    uploads: Uploads
    blobs: BlobStore
    feed: TableFeed
    fleet: Fleet
    leases: LeaseDesk
    ray_state: Callable[[], RayState]
    node_token: str
    drift: DriftWatch
    pool_reasons: PoolReasons
    searching: Searching
    importer: Importer | None = None
    """None: no MLflow to import from."""
    logins: Logins | None = None
    """None: people cannot log in here, there are only keys."""
    examining: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """One examination at a time: each may take gigabytes and every core."""

    def close_waits(self) -> None:
        """End all long polls: called first when the process stops."""
        self.feed.close()
        self.fleet.close()
        self.leases.close()


def parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


Hub = Annotated[Parts, Depends(parts_of)]
"""The parameter by which a handler gets the parts."""
