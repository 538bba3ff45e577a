"""What control does by itself, beside answering: each job is a step that says when to run again.

A job never ends and never takes the process with it: a step that fails is logged and tried again,
ever more slowly.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager

from plaza_core.errors import PlazaError

logger = logging.getLogger(__name__)

Step = Callable[[], Awaitable[float]]
"""Does one round; returns the seconds until the next."""

Work = Callable[[], object]
"""Blocks."""

_SLOWEST_S = 30.0


Sleep = Callable[[float], Awaitable[object]]


async def forever(name: str, step: Step, sleep: Sleep = asyncio.sleep) -> None:
    """Run `step` again and again until cancelled."""
    failures = 0
    while True:
        try:
            wait = await step()
            failures = 0
        except PlazaError as error:
            wait = slower(failures := failures + 1)
            logger.warning("job waits: %s", error.message, extra={"job": name, "code": error.code})
        except Exception:
            # A bug in one job must not silence the others; the trace is in the log.
            wait = slower(failures := failures + 1)
            logger.exception("job failed", extra={"job": name})
        await sleep(wait)


def slower(failures: int) -> float:
    """Seconds to wait after so many failures in a row: 1, 2, 4 … 30."""
    return float(min(_SLOWEST_S, 2 ** (failures - 1)))


def every(seconds: float, work: Work) -> Step:
    """A step that does blocking `work` on a thread."""

    async def step() -> float:
        await asyncio.to_thread(work)
        return seconds

    return step


def later(seconds: float, work: Work) -> Step:
    """As `every`, but not at once: what is heavy must not meet the start of the process."""
    due = False

    async def step() -> float:
        nonlocal due
        if due:
            await asyncio.to_thread(work)
        due = True
        return seconds

    return step


def in_turn(turn: Callable[[], AbstractContextManager[bool]], work: Work) -> Work:
    """`work`, left out while another control process of this hub is at it."""

    def once() -> None:
        with turn() as mine:
            if mine:
                work()

    return once


class Drain:
    """Brings the outbox to MLflow. `drain` returns False when the tracker did not take an item."""

    def __init__(self, drain: Callable[[], bool], seconds: float) -> None:
        self._drain = drain
        self._seconds = seconds
        self._failures = 0

    async def step(self) -> float:
        if await asyncio.to_thread(self._drain):
            self._failures = 0
            return self._seconds
        self._failures += 1
        return slower(self._failures)
