"""Warning levels with hysteresis: raised by a high chance, lowered only by a clearly lower one.

    chance ≥ enter ──▶ raised ──▶ stays while chance ≥ leave ──▶ lowered

Each level has a threshold of its own and keeps its own state; what is warned of is the most severe
one that is raised. Between `leave` and `enter` nothing changes, so chances that tremble there do
not make it flicker.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from plaza_core.errors import InvalidInput

_MOST = 10
_LONGEST = 40
"""Characters of a name."""
_LARGEST = 1e30


@dataclass(frozen=True, slots=True)
class Level:
    """`thresholds`: one for all series, or one for each."""

    name: str
    thresholds: tuple[float, ...]
    enter: float
    leave: float
    above: bool = True
    """Whether values above the threshold are warned of, or those below."""
    false_alarms: float | None = None
    """Share of quiet times that it warned about, on the history it was set on."""

    def threshold(self, series: int) -> float:
        return self.thresholds[series if len(self.thresholds) > 1 else 0]

    def next(self, raised: bool, chance: float) -> bool:
        """Whether it is raised after a new chance."""
        return chance >= (self.leave if raised else self.enter)


def require_ladder(levels: Sequence[Level], series: int) -> None:
    """Raises InvalidInput naming the level that cannot be: names are one of a kind, and each level
    is more severe than the one before it."""
    if len(levels) > _MOST:
        raise InvalidInput(f"there may be {_MOST} levels", input="levels")
    for level in levels:
        if not 1 <= len(level.name) <= _LONGEST:
            raise InvalidInput(f"a level's name has 1 to {_LONGEST} characters", input="levels")
        if not 0 <= level.leave <= level.enter <= 1 or level.enter == 0:
            raise InvalidInput(
                f"level '{level.name}' must be entered at a chance above 0 and up to 1, and left "
                "at one that is no higher",
                input="levels",
            )
        finite = all(abs(threshold) <= _LARGEST for threshold in level.thresholds)
        if len(level.thresholds) not in {1, series} or not finite:
            raise InvalidInput(
                f"level '{level.name}' needs one threshold, or one for each series", input="levels"
            )
    if len({level.name for level in levels}) < len(levels):
        raise InvalidInput("levels must have different names", input="levels")
    for mild, severe in pairwise(levels):
        if not all(_more_severe(mild, severe, at) for at in range(series)):
            raise InvalidInput(
                f"level '{severe.name}' must be more severe than '{mild.name}', on the same side",
                input="levels",
            )


def _more_severe(mild: Level, severe: Level, series: int) -> bool:
    further = severe.threshold(series) - mild.threshold(series)
    return mild.above == severe.above and (further > 0) == mild.above and further != 0


def follow(level: Level, chances: Iterable[float]) -> list[bool]:
    """Whether it is raised after each of a series of chances, oldest first, from quiet."""
    found, raised = [], False
    for chance in chances:
        raised = level.next(raised, chance)
        found.append(raised)
    return found


def entered_at(
    histories: Sequence[tuple[Sequence[float], Sequence[bool]]], rate: float, kept: float
) -> float:
    """The lowest chance to raise a level at, so that at most `rate` of the times without the event
    were warned about, when it is lowered below `kept` times that chance.

    `histories`: chances and whether the event came, each oldest first. Raises InvalidInput without
    a quiet time.
    """
    quiet = sum(not event for _, came in histories for event in came)
    if not quiet:
        raise InvalidInput("there is no time without the event to learn from", input="came")

    def warned(enter: float) -> int:
        level = Level("", (0.0,), enter, kept * enter)
        return sum(
            raised and not event
            for chances, came in histories
            for raised, event in zip(follow(level, chances), came, strict=True)
        )

    # A higher entrance, with its exit, never warns more: what is raised with it was raised without.
    candidates = sorted({min(1.0, c + _JUST) for chances, _ in histories for c in chances})
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high) // 2
        if warned(candidates[middle]) <= rate * quiet:
            high = middle
        else:
            low = middle + 1
    return candidates[low]


_JUST = 1e-9
"""So much above a chance is not reached by it."""
