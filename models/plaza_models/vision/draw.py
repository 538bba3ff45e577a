"""The answer as people look at it: boxes and labels on the picture."""

from __future__ import annotations

import colorsys
import io
import zlib
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from plaza_models.tasks import Detections
from plaza_models.vision.image import MAX_PIXELS, decode

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_WARNING: Colour = (220, 40, 30)


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
        text = f"{detection.label} {detection.score:.2f}"
        tag(pen, picture.size, detection.box[:2], text, colour, font)
    if found.faults:
        tag(pen, picture.size, (0, 0), f"not counted on: {', '.join(found.faults)}", _WARNING, font)
    out = io.BytesIO()
    picture.save(out, format, quality=90)
    return out.getvalue()


def tag(  # noqa: PLR0917 what is written, and with what
    pen: ImageDraw.ImageDraw,
    size: tuple[int, int],
    corner: tuple[float, float],
    text: str,
    colour: Colour,
    font: Font,
) -> None:
    """Text on a ground of `colour`, above the corner or, at the edge, inside."""
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    pad = max(1, round((bottom - top) / 6))
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    x = min(max(0, round(corner[0])), max(0, size[0] - round(width)))
    above = round(corner[1] - height)
    y = above if above >= 0 else round(corner[1])
    pen.rectangle((x, y, x + width, y + height), fill=colour)
    pen.text((x + pad - left, y + pad - top), text, fill=_ink(colour), font=font)


def class_colour(label: str) -> Colour:
    """A strong colour that depends on the label alone."""
    hue = zlib.crc32(label.encode()) / 2**32
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def _ink(ground: Colour) -> Colour:
    """Black or white, whichever is easier to read (ITU-R BT.601 luma)."""
    luma = 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2]
    return (0, 0, 0) if luma > 140 else (255, 255, 255)
