"""The answer as people look at it: boxes and labels on the picture."""

from __future__ import annotations

import colorsys
import io
import zlib
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from plaza_models.tasks import Detection, Detections
from plaza_models.vision.image import MAX_PIXELS, decode

_Colour = tuple[int, int, int]
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw(
    image: bytes,
    found: Detections,
    *,
    format: Literal["JPEG", "PNG"] = "JPEG",
    max_pixels: int = MAX_PIXELS,
) -> bytes:
    """`image` as sent with `found` drawn on it, encoded anew. Raises what `image.decode` raises.

    Line and text grow with the picture; the best detections are drawn last, on top.
    """
    picture = Image.fromarray(decode(image, max_pixels=max_pixels).pixels)
    unit = max(picture.size) / 640
    line = max(1, round(2 * unit))
    font = ImageFont.load_default(max(10, round(12 * unit)))
    pen = ImageDraw.Draw(picture)
    for detection in reversed(found.detections):
        colour = class_colour(detection.label)
        x1, y1, x2, y2 = (round(value) for value in detection.box)
        pen.rectangle((x1, y1, max(x1, x2), max(y1, y2)), outline=colour, width=line)
        _tag(pen, picture.size, detection, colour, font)
    out = io.BytesIO()
    picture.save(out, format, quality=90)
    return out.getvalue()


def _tag(
    pen: ImageDraw.ImageDraw,
    size: tuple[int, int],
    detection: Detection,
    colour: _Colour,
    font: _Font,
) -> None:
    """Label and score on a ground of the class's colour, above the box or, at the edge, inside."""
    text = f"{detection.label} {detection.score:.2f}"
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    pad = max(1, round((bottom - top) / 6))
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    x = min(max(0, round(detection.box[0])), max(0, size[0] - round(width)))
    above = round(detection.box[1] - height)
    y = above if above >= 0 else round(detection.box[1])
    pen.rectangle((x, y, x + width, y + height), fill=colour)
    pen.text((x + pad - left, y + pad - top), text, fill=_ink(colour), font=font)


def class_colour(label: str) -> _Colour:
    """A strong colour that depends on the label alone."""
    hue = zlib.crc32(label.encode()) / 2**32
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def _ink(ground: _Colour) -> _Colour:
    """Black or white, whichever is easier to read (ITU-R BT.601 luma)."""
    luma = 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2]
    return (0, 0, 0) if luma > 140 else (255, 255, 255)
