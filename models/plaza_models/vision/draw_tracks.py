"""A counted sequence as people look at it: one of its pictures with boxes, numbers, the ways that
objects came, and the lines with what crossed them."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, ImageFont

from plaza_models.vision.count import foot
from plaza_models.vision.draw import class_colour, tag
from plaza_models.vision.image import MAX_PIXELS, decode
from plaza_models.vision.tasks import Counted, CountTask

_LINE = (255, 255, 255)


def draw_tracks(
    image: bytes,
    found: Counted,
    number: int,
    task: CountTask,
    *,
    max_pixels: int = MAX_PIXELS,
) -> bytes:
    """`image` is frame `number` of the sequence; ways end there. Encoded as `task` says, which also
    has the lines and zones. Raises what `decode` raises."""
    picture = Image.fromarray(decode(image, max_pixels=max_pixels).pixels)
    unit = max(picture.size) / 640
    width = max(1, round(1.5 * unit))
    font = ImageFont.load_default(max(10, round(11 * unit)))
    pen = ImageDraw.Draw(picture)
    confirmed = {track.id for track in found.tracks}
    ways: dict[int, list[tuple[float, float]]] = {}
    for frame in found.frames[: number + 1]:
        for each in frame.objects:
            ways.setdefault(each.id, []).append(foot(each.box))
    for zone in task.zones:
        pen.polygon(zone.points, outline=_LINE, width=width)
    for name, way in ways.items():
        if name in confirmed and len(way) > 1:
            pen.line(way, fill=class_colour(str(name)), width=width)
    for each in found.frames[number].objects:
        colour = class_colour(str(each.id))
        pen.rectangle(each.box, outline=colour, width=width)
        tag(pen, picture.size, each.box[:2], f"{each.id} {each.label}", colour, font)
    for line in task.lines:
        pen.line((*line.start, *line.end), fill=_LINE, width=2 * width)
        text = f"{line.name}: " + ", ".join(
            f"{c.label} {c.forward} / {c.backward}" for c in found.lines if c.line == line.name
        )
        tag(pen, picture.size, line.start, text, _LINE, font)
    if faults := found.frames[number].faults:
        tag(pen, picture.size, (0, 0), f"not counted on: {', '.join(faults)}", (220, 40, 30), font)
    out = io.BytesIO()
    picture.save(out, task.draw or "JPEG", quality=90)
    return out.getvalue()
