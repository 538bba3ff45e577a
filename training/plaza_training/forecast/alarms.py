"""How good warnings were on history: reliability, precision and recall at each lead, and how long
before an event the first one came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Lead:
    """Of warnings so many steps ahead. NaN where there was nothing to warn of, or no warning."""

    steps: int
    precision: float
    recall: float
    false_alarms: float
    """Share of the times without the event that were warned about."""
    events: int


@dataclass(frozen=True, slots=True)
class Bin:
    """Of the forecasts with a chance in one range."""

    said: float
    """Mean chance."""
    came: float
    """How often the event came."""
    count: int


def by_lead(chances: Values, came: Flags, threshold: float) -> list[Lead]:
    """`chances` and `came` (n, leads): for each origin, what was said and what happened."""
    found = []
    for at in range(chances.shape[1]):
        warned, event = chances[:, at] >= threshold, came[:, at]
        hits = int((warned & event).sum())
        found.append(
            Lead(
                steps=at + 1,
                precision=_share(hits, warned.sum()),
                recall=_share(hits, event.sum()),
                false_alarms=_share(int((warned & ~event).sum()), (~event).sum()),
                events=int(event.sum()),
            )
        )
    return found


def reliability(chances: Values, came: Flags, bins: int = 10) -> list[Bin]:
    """A reliability diagram as a table; empty ranges are left out."""
    flat, event = chances.ravel(), came.ravel()
    place = np.minimum((flat * bins).astype(int), bins - 1)
    return [
        Bin(float(flat[place == at].mean()), float(event[place == at].mean()), int(n))
        for at in range(bins)
        if (n := (place == at).sum())
    ]


def brier(chances: Values, came: Flags) -> float:
    """Mean squared error of the chances: 0 is perfect, always saying 1/2 gives 1/4."""
    return float(((chances - came) ** 2).mean())


def notice(levels: Sequence[int], came: Sequence[bool]) -> list[int | None]:
    """For every event (a run of steps with it), how many steps before its start the level was
    raised and stayed so; None where it was still quiet when it began."""
    found: list[int | None] = []
    for at, event in enumerate(came):
        if not event or (at and came[at - 1]):
            continue
        since = at
        while since > 0 and levels[since - 1] > 0 and not came[since - 1]:
            since -= 1
        found.append(at - since if since < at or levels[at] > 0 else None)
    return found


def warnings(raised: Flags, ahead: Flags) -> tuple[int, int]:
    """How many warnings there were, and how many of them in vain: no event came within the steps
    ahead at any time of them. `raised` and `ahead` (origins, series); a warning is an unbroken run
    of one series."""
    given = vain = 0
    for up, came in zip(raised.T, ahead.T, strict=True):
        edges = np.flatnonzero(np.diff(np.r_[False, up, False]))
        runs = list(zip(edges[::2], edges[1::2], strict=True))
        given += len(runs)
        vain += sum(not came[first:last].any() for first, last in runs)
    return given, vain


def _share(part: int, of: int) -> float:
    return part / of if of else float("nan")
