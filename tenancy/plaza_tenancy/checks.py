"""Checks of values that people type, beyond the syntax of names in `plaza_core.ids`."""

from __future__ import annotations

import math

from plaza_core.errors import InvalidInput
from plaza_core.table import RateLimit

_LONGEST = 200


def valid_text(text: str, *, input: str) -> str:
    """One line for people: at most 200 printable characters."""
    if len(text) > _LONGEST or not text.isprintable():
        raise InvalidInput(f"at most {_LONGEST} printable characters", input=input)
    return text


def valid_rate(rate: RateLimit) -> RateLimit:
    if not (math.isfinite(rate.per_second) and rate.per_second > 0):
        raise InvalidInput("a rate is a number of requests per second above 0", input="per_second")
    if not 1 <= rate.burst < 2**31:
        raise InvalidInput("a burst is at least 1 request", input="burst")
    return rate
