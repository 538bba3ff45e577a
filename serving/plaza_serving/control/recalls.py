"""Recalls: before a budget is called used up, its holders give back what lies idle below it.

    exchange would be denied ─▶ recall(nodes) ─▶ long polls wake ─▶ returns ─▶ tried once more

Owns who listens and who has answered. In memory only: a restarted control begins with numbers above
all earlier ones, and its listeners are back within one poll.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from plaza_core.budget import Recall
from plaza_core.clock import Clock
from plaza_serving.control.broadcast import Broadcast

ANSWER_WITHIN_S = 0.1
_LISTENING_NS = 2_000_000_000
"""Between two polls a replica still counts as listening for so long."""
_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class _Sent:
    recall: Recall
    to: frozenset[str]


class Recalls:
    """All methods run on the loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._number = clock.unix_us()
        self._recent: deque[_Sent] = deque(maxlen=_REMEMBERED)
        self._polling: dict[str, int] = {}
        self._heard_ns: dict[str, int] = {}
        self._open: dict[int, set[str]] = {}
        self._news = Broadcast()
        self._answers = Broadcast()

    async def poll(self, replica: str, after: int, wait_s: float) -> Recall | None:
        """Recalls of this replica after number `after`, as one; None when there is none within
        `wait_s`."""
        self._polling[replica] = self._polling.get(replica, 0) + 1
        try:
            if not await self._news.until(lambda: bool(self._for(replica, after)), wait_s):
                return None
            found = self._for(replica, after)
            nodes = {node for one in found for node in one.nodes}
            return Recall(number=found[-1].number, nodes=sorted(nodes)) if found else None
        finally:
            if replica in self._polling:  # else it was forgotten meanwhile
                self._polling[replica] -= 1
                if not self._polling[replica]:
                    del self._polling[replica]
                self._heard_ns[replica] = self._clock.monotonic_ns()

    def answered(self, replica: str, number: int) -> None:
        """A replica has returned all it can for recalls up to `number`."""
        for open_number, waiting in self._open.items():
            if open_number <= number:
                waiting.discard(replica)
        self._answers.fire()

    async def call(self, nodes: Iterable[str], holders: Collection[str]) -> bool:
        """Ask those `holders` who listen, and wait until all have answered, at most 100 ms.

        False when none of them does: then nothing can have come back.
        """
        waiting = self.listeners() & set(holders)
        if not waiting:
            return False
        self._number += 1
        number = self._number
        recall = Recall(number=number, nodes=sorted(nodes))
        self._recent.append(_Sent(recall, frozenset(waiting)))
        self._open[number] = waiting
        self._news.fire()
        try:
            await self._answers.until(lambda: not waiting, ANSWER_WITHIN_S)
        finally:
            del self._open[number]
        return True

    def listeners(self) -> set[str]:
        """Replicas that poll now, or have just been answered."""
        now = self._clock.monotonic_ns()
        self._heard_ns = {r: at for r, at in self._heard_ns.items() if now - at < _LISTENING_NS}
        return set(self._polling) | set(self._heard_ns)

    def forget(self, replica: str) -> None:
        """It is dead: it neither listens nor answers any more."""
        self._polling.pop(replica, None)
        self._heard_ns.pop(replica, None)
        for waiting in self._open.values():
            waiting.discard(replica)
        self._answers.fire()

    def close(self) -> None:
        self._news.close()
        self._answers.close()

    def _for(self, replica: str, after: int) -> list[Recall]:
        sent = (one for one in self._recent if replica in one.to)
        return [one.recall for one in sent if one.recall.number > after]
