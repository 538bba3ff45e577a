"""A counted sequence as people look at it: one of its pictures with boxes, numbers, the ways that
objects came, and the lines and zones with what was counted there."""

from __future__ import annotations

from plaza_models.vision.count import foot
from plaza_models.vision.image import MAX_PIXELS, decode
from plaza_models.vision.paint import WHITE, Paint, class_colour
from plaza_models.vision.tasks import Counted, CountTask
from plaza_models.vision.typeface import PLAIN, Typeface

_TRAIL = 30
"""Frames that a way goes back: more would bury the picture."""


def draw_tracks(
    image: bytes,
    found: Counted,
    number: int,
    task: CountTask,
    *,
    max_pixels: int = MAX_PIXELS,
    typeface: Typeface = PLAIN,
) -> bytes:
    """`image` is frame `number` of the sequence, a usable one. Encoded as `task` says, which also
    has the lines and zones. Raises what `decode` raises. Shown are the ways of what is in it."""
    paint = Paint(decode(image, max_pixels=max_pixels).pixels, typeface)
    here = found.frames[number].objects
    for zone in task.zones:
        paint.line((*zone.points, zone.points[0]), WHITE)
    for line in task.lines:
        paint.line((line.start, line.end), WHITE)
    for name, way in _ways(found, number).items():
        paint.trail(way, class_colour(str(name)))
    for each in here:
        paint.outline(each.box, class_colour(str(each.id)))
    _tell(paint, found, task)
    speeds = {track.id: track.speed_kmh for track in found.tracks}
    several = len({each.label for each in here}) > 1
    for each in sorted(here, key=lambda one: -one.score):
        speed = speeds.get(each.id)
        text = f"#{each.id} {each.label}" if several else f"#{each.id}"
        if speed is not None:
            text = f"{text} {speed:.0f} km/h"
        paint.tag_of(each.box, text, class_colour(str(each.id)))
    return paint.encoded(task.draw or "JPEG")


def _ways(found: Counted, number: int) -> dict[int, list[tuple[float, float]]]:
    """Of each object in frame `number` whose track is sure, where its foot was."""
    sure = {track.id for track in found.tracks}
    ways: dict[int, list[tuple[float, float]]] = {
        each.id: [] for each in found.frames[number].objects if each.id in sure
    }
    for frame in found.frames[max(0, number - _TRAIL) : number + 1]:
        for each in frame.objects:
            if each.id in ways:
                ways[each.id].append(foot(each.box))
    return {name: way for name, way in ways.items() if len(way) > 1}


def _tell(paint: Paint, found: Counted, task: CountTask) -> None:
    """What was counted, at each line's and zone's place."""
    for line in task.lines:
        crossed = [
            f"{each.label} {each.forward} forward, {each.backward} back"
            for each in found.lines
            if each.line == line.name
        ]
        paint.tag_at(line.start, f"{line.name}: {'; '.join(crossed) or 'nothing'}", WHITE)
    for zone in task.zones:
        inside = [
            f"{each.label} {each.objects}, at most {each.most} at once"
            for each in found.zones
            if each.zone == zone.name
        ]
        paint.tag_at(zone.points[0], f"{zone.name}: {'; '.join(inside) or 'nothing'}", WHITE)
