"""Who has crashed too often: versions by digest, out for a while that doubles each time.

crash ─▶ crash again within 10 min ─▶ out for 1 min ─▶ tried once ─▶ crash ─▶ out for 2 min …
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final

from plaza_core.clock import Clock
from plaza_core.errors import Quarantined
from plaza_core.ids import Digest

CRASHES: Final = 2
FORGET_NS: Final = 600_000_000_000
FIRST_NS: Final = 60_000_000_000
LONGEST_NS: Final = 3_600_000_000_000


@dataclass(slots=True)
class _History:
    crashes: list[int] = field(default_factory=list)
    """When, of those that are not forgotten."""
    times: int = 0
    """How often it was put out."""
    until_ns: int = 0


class Quarantine:
    """Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.monotonic_ns
        self._lock = threading.Lock()
        self._known: dict[Digest, _History] = {}

    def check(self, digest: Digest) -> None:
        """Raises Quarantined, saying how long still."""
        with self._lock:
            history = self._known.get(digest)
            left = 0 if history is None else history.until_ns - self._now()
        if left > 0:
            raise Quarantined(
                "this version crashed repeatedly and is tried again later",
                input="model",
                retry_after=max(1, -(-left // 1_000_000_000)),
            )

    def crashed(self, digest: Digest) -> bool:
        """Take note of a crash; True when it puts the version out."""
        with self._lock:
            now = self._now()
            self._forget(now)
            history = self._known.setdefault(digest, _History())
            history.crashes = [at for at in history.crashes if now - at < FORGET_NS]
            history.crashes.append(now)
            # Once out, it comes back on trial: a single crash is enough then.
            if len(history.crashes) < CRASHES and not history.times:
                return False
            history.until_ns = now + min(LONGEST_NS, FIRST_NS << min(history.times, 10))
            history.times += 1
            history.crashes.clear()
            return True

    def out(self) -> dict[Digest, int]:
        """Digest -> nanoseconds until it is tried again."""
        with self._lock:
            now = self._now()
            return {d: h.until_ns - now for d, h in self._known.items() if h.until_ns > now}

    def _forget(self, now: int) -> None:
        """A version that has kept quiet long after its last trouble has a clean name again."""
        self._known = {
            digest: history
            for digest, history in self._known.items()
            if now - max([history.until_ns, *history.crashes]) < FORGET_NS
        }
