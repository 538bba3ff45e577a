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
    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def unix_us(self) -> int:
        return time.time_ns() // 1000
