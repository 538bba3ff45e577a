"""When this node's control last granted slots, kept over its own restarts: a file's time.

A control that starts must not give away what replicas may still hold from its predecessor. Without
this mark it would have to wait even where nobody ever held anything.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from plaza_core.clock import Clock

_AGAIN_S = 0.5


class GrantMark:
    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._marked_us = 0

    def age_s(self) -> float:
        """Seconds since the last grant; infinite if there never was one."""
        try:
            marked = self._path.stat().st_mtime
        except FileNotFoundError:
            return math.inf
        return max(0.0, self._clock.unix_us() / 1e6 - marked)

    def touch(self) -> None:
        """To be called before an answer with slots leaves. Writes twice a second at most."""
        now = self._clock.unix_us()
        if 0 <= now - self._marked_us < _AGAIN_S * 1e6:
            return
        self._path.touch(mode=0o600)
        os.utime(self._path, (now / 1e6, now / 1e6))
        self._marked_us = now
