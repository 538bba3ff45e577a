"""Prices: what a request costs in compute units, out of the last hub table.

    device µs, by size share of the run ─┬─× the provider's weight─▶ compute_us   (measured)
                                         └─× Price.weight ─┐
    host µs of this request ───────────────× host_weight ──┴──────▶ cost = charge + overrun

`compute_us` says how much of a device was used, whatever it costs: its weight makes devices
comparable. The cost says what that is worth, by the price in force when the request was admitted.
Where the table names no price, a device µs costs its provider's weight and a host µs costs 1, so
that cost = compute_us + host_us. A fixed price takes the place of both. Device time is split into
whole µs before any weight is applied, so the costs of a run's requests sum exactly to its cost.
"""

from __future__ import annotations

from collections.abc import Iterable

from plaza_core.budget import Price
from plaza_core.ids import ModelId


class PriceList:
    """Prices of one hub table. `weight` is that of this replica's provider."""

    def __init__(self, prices: Iterable[Price] = (), *, weight: int = 1) -> None:
        self._prices = {(price.model, price.provider): price for price in prices}
        self._default = Price(weight=weight)
        self._seen: dict[tuple[ModelId, str], Price] = {}

    def price(self, model: ModelId, provider: str) -> Price:
        """The most specific: model and provider, model, provider, everything, the default."""
        key = (model, provider)
        found = self._seen.get(key)
        if found is None:
            found = self._seen[key] = self._find(model, provider)
        return found

    def _find(self, model: ModelId, provider: str) -> Price:
        for key in ((model, provider), (model, None), (None, provider), (None, None)):
            price = self._prices.get(key)
            if price is not None:
                return price
        return self._default
