"""What a level may promise: the share of quiet times it warns about in a stretch of time to come.

    history in pieces ─▶ each one's share at every entrance ─▶ range of a piece to come ─▶ entrance

Hours that follow one another are no witnesses of their own: one wrong night makes thirty false
hours, and a hot summer is unlike a cool one throughout. So the witnesses are whole pieces (a
season, a day), few as they are, and the range is that of one piece more, not of their mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plaza_core.errors import InvalidInput
from plaza_models.forecast.levels import Level

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]

STEP = 0.005
"""Between two chances that are tried."""
# fmt: off
_STUDENT = (
    6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812,
    1.796, 1.782, 1.771, 1.761, 1.753, 1.746, 1.740, 1.734, 1.729, 1.725,
    1.721, 1.717, 1.714, 1.711, 1.708, 1.706, 1.703, 1.701, 1.699, 1.697,
)
# fmt: on
"""Student's t that 95 % lie below, for 1, 2, … 30 degrees of freedom (Abramowitz and Stegun, table
26.10). No library is loaded for thirty numbers; of more pieces it asks a little too much."""


@dataclass(frozen=True, slots=True)
class Rate:
    share: float
    """Of all quiet times of the history."""
    low: float
    high: float
    """Nine of ten pieces to come are in between."""


@dataclass(frozen=True, slots=True)
class Told:
    """A history of chances, as a level sees it: (origins, series), and a piece for each origin."""

    chances: Values
    """The largest of all steps ahead."""
    ahead: Flags
    """Whether the event came within them."""
    pieces: Numbers


def followed(level: Level, chances: Values) -> Flags:
    """`levels.follow` for (origins, series) at once."""
    up, down = chances >= level.enter, chances < level.leave
    last = np.where(up | down, np.arange(len(chances))[:, None], -1)
    np.maximum.accumulate(last, axis=0, out=last)
    raised: Flags = (last >= 0) & np.take_along_axis(up, np.maximum(last, 0), axis=0)
    return raised


def foretold(shares: Sequence[float]) -> tuple[float, float]:
    """Where nine of ten further shares lie, by those of some pieces: Student's prediction interval
    on the arcsine of the root, where shares vary alike. Raises InvalidInput for less than two."""
    if len(shares) < 2:
        raise InvalidInput(
            "false alarms of a time to come are told by two pieces of history at least, each with "
            "times without the event ahead",
            input="pieces",
        )
    turned = np.arcsin(np.sqrt(shares))
    often = _STUDENT[min(len(shares) - 1, len(_STUDENT)) - 1]
    reach = often * turned.std(ddof=1) * math.sqrt(1 + 1 / len(shares))
    ends = np.clip([turned.mean() - reach, turned.mean() + reach], 0, math.pi / 2)
    low, high = np.sin(ends) ** 2
    return float(low), float(high)


def rate(told: Told, level: Level) -> Rate:
    """What a level did on history, and will do. A piece without a quiet time says nothing."""
    raised, quiet = followed(level, told.chances), ~told.ahead
    false = [
        (int((raised & quiet)[rows].sum()), int(quiet[rows].sum()))
        for rows in (told.pieces == piece for piece in np.unique(told.pieces))
    ]
    known = [(wrong, times) for wrong, times in false if times]
    low, high = foretold([wrong / times for wrong, times in known])
    share = sum(wrong for wrong, _ in known) / sum(times for _, times in known)
    return Rate(share, min(low, share), max(high, share))


def entrance(told: Told, most: float, kept: float) -> tuple[Level, Rate]:
    """The lowest chance to raise a level at, so that the range of a piece to come ends at `most`;
    it is lowered below `kept` times that chance. Every higher chance keeps it too: a lower one may
    seem to by luck. Raises InvalidInput where none does."""
    best = None
    for step in range(round(1 / STEP), 0, -1):
        level = Level("", (0.0,), round(step * STEP, 4), round(kept * step * STEP, 4))
        found = rate(told, level)
        if found.high > most:
            break
        best = level, found
    if best is None:
        raise InvalidInput(
            f"even what is certain is warned of in vain more often than {most:.1%}",
            input="false_alarms",
        )
    return best
