"""Time as a port: what decides anything by time takes a Clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back: deadlines, rates, durations."""

    def unix_us(self) -> int:
        """Microseconds since 1970 UTC: what is written down."""


class SystemClock:
    monotonic_ns = staticmethod(time.monotonic_ns)
    """Asked half a dozen times by each request: a function of our own around it is half its cost.
    """

    def unix_us(self) -> int:
        return time.time_ns() // 1000
