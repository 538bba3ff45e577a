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
    false_alarms_range: tuple[float, float] | None = None
    """Where that share lies in nine of ten stretches of time to come, as history tells."""

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
