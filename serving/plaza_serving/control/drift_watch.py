"""The watch over budgets: every ten minutes, do accounts and leases say what their rows add up to?

What it finds is a defect: logged as an error, and counted in the status of the hub.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from plaza_core.clock import Clock
from plaza_core.drift import Drift

log = logging.getLogger(__name__)

EVERY_S: Final = 600.0
_FIRST_S: Final = 60.0
"""A control that starts has better things to do."""
_LOGGED: Final = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """`at_unix_us` None: nobody has looked yet."""

    at_unix_us: int | None = None
    drifted: Sequence[Drift] = ()


class DriftWatch:
    """`check` recomputes and blocks. `last` is what was found last, by the job or on request."""

    def __init__(self, check: Callable[[], Sequence[Drift]], clock: Clock) -> None:
        self._check = check
        self._clock = clock
        self._first = True
        self.last = Finding()

    async def step(self) -> float:
        """A job's round; the first does nothing yet."""
        if self._first:
            self._first = False
            return _FIRST_S
        await asyncio.to_thread(self.look)
        return EVERY_S

    def look(self) -> Finding:
        """Blocks; any thread."""
        at = self._clock.unix_us()
        self.last = Finding(at, tuple(self._check()))
        for one in self.last.drifted[:_LOGGED]:
            log.error(
                "a budget has drifted from its rows",
                extra={
                    "what": one.what,
                    "number": one.number,
                    "kept": one.kept,
                    "recomputed": one.recomputed,
                },
            )
        if len(self.last.drifted) > _LOGGED:
            log.error("more budgets have drifted", extra={"all": len(self.last.drifted)})
        return self.last
