"""Warning levels with hysteresis: raised by a high chance, lowered only by a clearly lower one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from plaza_core.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Step:
    """One level: entered from `enter` on, left below `leave`. Chances, 0 to 1."""

    name: str
    enter: float
    leave: float


@dataclass(frozen=True, slots=True)
class Ladder:
    """Levels above the quiet one, in rising order."""

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        """Raises InvalidInput where a level could not be left or comes before a lower one."""
        before = 0.0
        for step in self.steps:
            if not 0 <= step.leave <= step.enter <= 1 or step.enter < before:
                raise InvalidInput(
                    "levels must rise, and be left at a chance no higher than they are entered at",
                    input=step.name,
                )
            before = step.enter

    def next(self, now: int, chance: float) -> int:
        """The level after a new chance: 0 is quiet, then 1 for the first step."""
        reached = sum(chance >= step.enter for step in self.steps)
        if reached >= now:
            return reached
        kept = now
        while kept > reached and chance < self.steps[kept - 1].leave:
            kept -= 1
        return kept

    def follow(self, chances: Iterable[float], start: int = 0) -> list[int]:
        """Levels of a series of chances, oldest first."""
        found, now = [], start
        for chance in chances:
            now = self.next(now, chance)
            found.append(now)
        return found


def with_false_alarms(chances: Sequence[float], came: Sequence[bool], rate: float) -> float:
    """The lowest chance to warn from, so that at most `rate` of the times without the event were
    warned about; from history. Raises InvalidInput without a quiet time."""
    quiet = sorted((c for c, event in zip(chances, came, strict=True) if not event), reverse=True)
    if not quiet:
        raise InvalidInput("there is no time without the event to learn from", input="came")
    allowed = int(rate * len(quiet))
    highest_of_the_rest = quiet[min(allowed, len(quiet) - 1)]
    return float(min(1.0, highest_of_the_rest + 1e-9))
