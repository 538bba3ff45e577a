"""Compute, the currency: measuring a batch and splitting it among its requests, in integers."""

from __future__ import annotations

from collections.abc import Sequence


def microseconds(nanoseconds: int) -> int:
    """Rounded up: work that happened is never free."""
    return -(-nanoseconds // 1000)


def split(total: int, weights: Sequence[int]) -> list[int]:
    """Shares of `total` proportional to `weights`, by largest remainder: they sum to `total`.

    Ties go to the earlier request, so the same batch always splits the same way.
    """
    whole = sum(weights)
    shares = [total * weight // whole for weight in weights]
    rest = total - sum(shares)
    if rest:
        order = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
        for index in order[:rest]:
            shares[index] += 1
    return shares
