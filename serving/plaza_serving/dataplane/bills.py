"""What one request holds of its budget, what it used and what that costs.

Structures of msgspec, made in C: such modules are not compiled (`plaza_serving.native`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from plaza_serving.dataplane.purses import Holding


class Bill(msgspec.Struct, frozen=True, gc=False):
    """What a request used and costs. `charge + overrun` is its part of what its batch cost."""

    rows: int = 0
    compute_us: int = 0
    host_us: int = 0
    charge: int = 0
    overrun: int = 0

    def after(self, lost: Bill) -> Bill:
        """Of a request whose earlier attempt cost `lost`, for which nobody is charged."""
        return Bill(
            rows=self.rows,
            compute_us=self.compute_us + lost.compute_us,
            host_us=self.host_us + lost.host_us,
            charge=self.charge,
            overrun=self.overrun + lost.charge + lost.overrun,
        )


class Ran(msgspec.Struct, gc=False):
    """One run of the model, shared by all requests that were joined in it."""

    device_us: int
    rows: int
    host_us: int = 0
    """Of all its requests together."""


FREE = Bill()


class Reservation(msgspec.Struct, eq=False):
    """What one request holds. `holding` None: control said that no budget limits the key."""

    holding: Holding | None
    amount: int
    settled: bool = False

    @property
    def lease(self) -> str | None:
        return None if self.holding is None else self.holding.lease

    def remaining_after(self, charge: int) -> int | None:
        """What the key could still spend after this charge, as far as is known without asking."""
        held = self.holding
        if held is None or held.remaining is None:
            return None
        return held.remaining + held.free + self.amount - charge
