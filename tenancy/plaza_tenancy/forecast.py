"""Looking ahead: when a budget runs out, and how many requests are left in it. Pure functions."""

from __future__ import annotations

from plaza_core.book import Account
from plaza_core.budget import Price

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


def estimate(
    remaining: int | None, price: Price, *, device_us: int, host_us: int = 0, rows: int = 1
) -> int | None:
    """How many requests of this cost are left. None: no limit, or they cost nothing."""
    cost = price.cost(device_us=device_us, host_us=host_us, rows=rows)
    if remaining is None or cost <= 0:
        return None
    return max(0, remaining) // cost
