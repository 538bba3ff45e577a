"""Looking ahead: when a budget runs out, and how many requests are left in it. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable

from plaza_core.accounts import Account
from plaza_core.budget import Price
from plaza_core.ids import ModelId

_SHORTEST_US = 60_000_000
"""Less than a minute of spending tells nothing about a month."""


def runs_out(account: Account, now: int) -> int | None:
    """When, in µs since 1970, the budget will be used up if spending goes on as in this period.

    None when it will last, has no limit, or there is too little to tell from. Not in the past:
    a budget that is used up runs out now.
    """
    if account.limit is None:
        return None
    left = account.limit - account.settled
    if left <= 0:
        return now
    elapsed = now - account.opened
    if account.settled == 0 or elapsed < _SHORTEST_US:
        return None
    at = now + left * elapsed // account.settled
    return at if at < account.end else None


def estimate(remaining: int | None, cost: int) -> int | None:
    """How many requests of this cost are left. None: no limit, or they cost nothing."""
    if remaining is None or cost <= 0:
        return None
    return max(0, remaining) // cost


def price_for(prices: Iterable[Price], provider: str | None, model: ModelId | None) -> Price:
    """The most specific price: of the model there, of the model, of the provider, the default."""
    by_place = {(price.model, price.provider): price for price in prices}
    for place in ((model, provider), (model, None), (None, provider), (None, None)):
        if place in by_place:
            return by_place[place]
    return Price()
