"""Reserves: how much budget to hold for a request before anybody knows what it will cost.

A fixed price is known: price × rows. Else the model's recent cost per row tells: the second highest
of the last 128 requests, which one outlier does not move, and a fifth more. Too small a reserve
costs the platform (the rest is overrun); too large a one keeps others from budget for a moment.
"""

from __future__ import annotations

from plaza_core.budget import Price
from plaza_core.ids import VersionKey
from plaza_core.inference import Call
from plaza_core.table import HubTable

FIRST_US = 20_000
"""Time per row to hold for the first requests of a version, before it has been measured."""
_KNOWN_AFTER = 4
_REMEMBERED = 128
_SORT_EVERY = 16


class Reserves:
    """Recent costs of each version. `estimate` runs on the loop, `observe` on worker threads."""

    def __init__(self) -> None:
        self._recent: dict[VersionKey, _Recent] = {}

    def estimate(self, version: VersionKey, price: Price, rows: int, allowed_us: int) -> int:
        """Units to hold; at most what `allowed_us`, the time until the deadline, can cost."""
        if price.fixed is not None:
            return price.fixed * rows
        dearest = max(price.weight, price.host_weight)
        recent = self._recent.get(version)
        if recent is None or recent.high is None or not recent.is_for(price):
            per_row = FIRST_US * dearest
        else:
            per_row = recent.high * 6 // 5 + 1
        return min(per_row * rows, max(1, allowed_us) * dearest)

    def observe(self, version: VersionKey, price: Price, rows: int, cost: int) -> None:
        """Learn what a request of so many (estimated) rows cost. Amortised O(1)."""
        if price.fixed is not None:
            return
        recent = self._recent.get(version)
        if recent is None or not recent.is_for(price):
            recent = self._recent[version] = _Recent(price)
        recent.add(-(-cost // rows))

    def keep_only(self, table: HubTable) -> None:
        """Forget versions that left the table."""
        present = {(m.id, v.version) for m in table.models for v in m.versions}
        for version in [v for v in self._recent if v not in present]:
            self._recent.pop(version, None)


class _Recent:
    """Costs per row at one price. Two workers that add at once may lose one sample: harmless."""

    __slots__ = ("_costs", "_count", "high", "price")

    def __init__(self, price: Price) -> None:
        self.price = price
        self._costs: list[int] = []
        self._count = 0
        self.high: int | None = None

    def is_for(self, price: Price) -> bool:
        """Whether these costs were measured at this price; comparing by value costs 0.5 µs."""
        if self.price is price:
            return True
        if self.price != price:
            return False
        self.price = price  # of a newer table
        return True

    def add(self, cost: int) -> None:
        if len(self._costs) < _REMEMBERED:
            self._costs.append(cost)
        else:
            self._costs[self._count % _REMEMBERED] = cost
        self._count += 1
        few = self._count < _SORT_EVERY
        if self._count >= _KNOWN_AFTER and (few or self._count % _SORT_EVERY == 0):
            ordered = sorted(self._costs)
            # One outlier among few may be the first slow run: it counts until there are many.
            self.high = ordered[-1] if few else ordered[-2]


def rows_of(call: Call, *, batched: bool) -> int:
    """Rows that a request will have, as far as its form tells: one for each text, series or
    picture of several, and for each forecast that scores values.

    Payloads of other kinds count as one row; a family that makes more of them shows in the cost
    per request, which `Reserves` learns.
    """
    if call.tensors is not None:
        return max(1, len(next(iter(call.tensors.values())))) if batched else 1
    forecasts: int | None = getattr(call.task, "forecasts", None)
    if forecasts is not None:
        return max(1, forecasts)
    for many in ("texts", "series", "images"):
        if payload := getattr(call.task, many, None):
            return len(payload)
    return 1
