"""Who crossed a line, who was in a zone. Sides and what was counted are kept with each track."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from plaza_models.vision.tasks import Crossings, Line, Stay, Zone
from plaza_models.vision.track import Track

Point = tuple[float, float]
_NEAR = 0.08
"""An object stands on a line, on neither side, while its foot is nearer than this part of the
height of its box: trembling boxes cross nothing."""


def foot(box: tuple[float, float, float, float]) -> Point:
    return (box[0] + box[2]) / 2, box[3]


class Counts:
    """Over one sequence."""

    def __init__(self, lines: Sequence[Line], zones: Sequence[Zone]) -> None:
        self._lines, self._zones = lines, zones
        self._forward: Counter[tuple[str, str]] = Counter()
        self._backward: Counter[tuple[str, str]] = Counter()
        self._inside: dict[tuple[str, int], str] = {}
        self._most: Counter[tuple[str, str]] = Counter()
        self._seconds: defaultdict[tuple[str, str], float] = defaultdict(float)

    def frame(self, seen: Sequence[tuple[Track, bool]], elapsed: float) -> None:
        """The tracks seen in one frame, and whether each is confirmed."""
        now: Counter[tuple[str, str]] = Counter()
        for track, confirmed in seen:
            point, height = foot(track.box), track.box[3] - track.box[1]
            for line in self._lines:
                self._cross(line, track, point, max(1.0, _NEAR * height), confirmed=confirmed)
            for zone in self._zones:
                if confirmed and inside(point, zone.points):
                    key = zone.name, track.label
                    now[key] += 1
                    self._inside[zone.name, track.id] = track.label
                    self._seconds[key] += elapsed
        for key, objects in now.items():
            self._most[key] = max(self._most[key], objects)

    def _cross(
        self, line: Line, track: Track, point: Point, near: float, *, confirmed: bool
    ) -> None:
        distance = side_of(line, point)
        if abs(distance) < near:
            return
        side = 1 if distance > 0 else -1
        before = track.sides.get(line.name)
        if before is not None and before[0] != side and _between(line, before[1:], point):
            if not confirmed:
                return
            mark = f"{line.name}{'+' if side > 0 else '-'}"
            if mark not in track.crossed:
                track.crossed.add(mark)
                counts = self._forward if side > 0 else self._backward
                counts[line.name, track.label] += 1
        track.sides[line.name] = side, *point

    def crossings(self) -> tuple[Crossings, ...]:
        """Every line, also one that nobody crossed."""
        keys = sorted({*self._forward, *self._backward})
        return tuple(
            Crossings(line.name, key[1], self._forward[key], self._backward[key])
            for line in self._lines
            for key in [k for k in keys if k[0] == line.name] or [(line.name, "")]
        )

    def stays(self) -> tuple[Stay, ...]:
        """Every zone, also one that nobody was in."""
        labels = Counter((zone, label) for (zone, _), label in self._inside.items())
        return tuple(
            Stay(zone.name, key[1], labels[key], self._most[key], round(self._seconds[key], 3))
            for zone in self._zones
            for key in sorted(k for k in labels if k[0] == zone.name) or [(zone.name, "")]
        )


def side_of(line: Line, point: Point) -> float:
    """Distance in pixels, positive to the right of the way from start to end (y points down)."""
    (x1, y1), (x2, y2) = line.start, line.end
    dx, dy = x2 - x1, y2 - y1
    length = math.hypot(dx, dy)
    return (dx * (point[1] - y1) - dy * (point[0] - x1)) / length


def _between(line: Line, before: Point, now: Point) -> bool:
    """Whether the way from `before` to `now`, on both sides of the line, meets it between its
    ends."""
    a, b = abs(side_of(line, before)), abs(side_of(line, now))
    part = a / (a + b)
    x, y = before[0] + part * (now[0] - before[0]), before[1] + part * (now[1] - before[1])
    (x1, y1), (x2, y2) = line.start, line.end
    along = (x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)
    return 0 <= along <= (x2 - x1) ** 2 + (y2 - y1) ** 2


def inside(point: Point, points: Sequence[Point]) -> bool:
    """Whether a ray to the right crosses the polygon's edge an odd number of times."""
    x, y = point
    odd = False
    for (x1, y1), (x2, y2) in zip(points, (*points[1:], points[0]), strict=True):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
            odd = not odd
    return odd
