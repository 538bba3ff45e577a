"""A running replica: what it consists of, and in which order it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from plaza_core.pools import Pool
from plaza_core.running import Cells
from plaza_core.settings import Settings
from plaza_serving.dataplane.broker import Broker
from plaza_serving.dataplane.control_client import ControlClient
from plaza_serving.dataplane.marks import ControlMarks
from plaza_serving.dataplane.plane import DataPlane
from plaza_serving.dataplane.spool import Spool
from plaza_serving.doors.http import HttpDoor
from plaza_serving.doors.rpc.door import GrpcDoor
from plaza_serving.doors.rpc.server import GrpcListener, listen
from plaza_serving.forwarding.carrier import HttpCarrier
from plaza_serving.idempotency.keeper import Keeper


@dataclass(slots=True)
class Replica:
    """Its plane, its doors, and what keeps them current."""

    pool: Pool
    plane: DataPlane
    door: HttpDoor
    grpc_door: GrpcDoor
    _broker: Broker
    _keeper: Keeper
    _control: ControlClient
    _marks: ControlMarks
    _spool: Spool | None
    _cells: Cells | None
    _tasks: Sequence[asyncio.Task[None]]
    _carrier: HttpCarrier | None = None
    _listener: GrpcListener | None = None

    async def listen(self, settings: Settings) -> None:
        """Answer gRPC, where the pool has a port for it. HTTP has Ray Serve's server."""
        if self.pool.grpc_port is not None:
            self._listener = await listen(self.grpc_door, settings, self.pool.grpc_port)

    def live(self) -> bool:
        return self.plane.live()

    def mean_wait_ms(self) -> float:
        return self.plane.mean_wait_ms()

    async def close(self) -> None:
        """Stop following, finish batches, return leases, ship usage.

        The spool file goes last: whoever finds it without its owner settles what is left.
        """
        if self._listener is not None:
            await self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._keeper.close()
        await self.plane.close()
        if self._carrier is not None:
            self._carrier.close()
        if self._cells is not None:
            await asyncio.to_thread(self._cells.close)
        returned = await self._broker.close()
        if self._spool is not None:
            await asyncio.to_thread(self._spool.close, leases_returned=returned)
        await self._marks.close()
        await self._control.close()
