"""How many replicas a pool has, within its bounds: by the time that requests wait in them.

Ray Serve's own rule counts requests that it has inside; those that the bypass answers it never
sees. So replicas report how long theirs waited, and this runs in Serve's controller, which calls it
many times a second and waits `upscale_delay_s` or `downscale_delay_s` before it does what it says.
"""

from __future__ import annotations

from typing import Any

METRIC = "queue_ms"
"""What replicas report: the mean wait of the requests begun lately, in milliseconds."""

_IDLE = 4
"""Fewer replicas are enough while the wait is under this part of what is wanted."""


class QueueTime:
    """One more while requests wait longer than `queue_ms`, one fewer while they hardly do."""

    def __init__(self, queue_ms: float) -> None:
        self._queue_ms = queue_ms

    def __call__(self, context: Any) -> tuple[int, dict[str, Any]]:
        """Ray Serve's contract: (wanted replicas, state for the next call).

        Replicas that have not reported count for nothing; without any report all stays.
        """
        reported = list((context.aggregated_metrics or {}).get(METRIC, {}).values())
        wanted = context.target_num_replicas
        if reported:
            mean = sum(reported) / len(reported)
            wanted += (mean > self._queue_ms) - (mean < self._queue_ms / _IDLE)
        least = context.capacity_adjusted_min_replicas
        return max(least, min(wanted, context.capacity_adjusted_max_replicas)), {}
