"""A picture to draw on: outlines, lines that show on any ground, and tags that keep out of one
another's way. Sizes grow with the picture."""

from __future__ import annotations

import colorsys
import io
import zlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from plaza_models.vision.image import Pixels
from plaza_models.vision.typeface import PLAIN, Font, Typeface

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels."""
Format = Literal["JPEG", "PNG"]
WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
GOOD: Colour = (30, 130, 60)
BAD: Colour = (200, 30, 25)
_LEAST_FONT = 9
_TALL = "Á|g"
"""From the upper to the lower end of all letters."""


class Paint:
    """One picture. Tags are placed in the order in which they are asked for."""

    def __init__(self, pixels: Pixels, typeface: Typeface = PLAIN) -> None:
        self._typeface = typeface
        self._tall = typeface.legible(_TALL)
        self._picture = Image.fromarray(pixels)
        self._pen = ImageDraw.Draw(self._picture)
        self._unit = max(self._picture.size) / 640
        self._tags: list[Box] = []
        self._boxes: list[Box] = []

    @property
    def _stroke(self) -> int:
        return max(1, round(2 * self._unit))

    def outline(self, box: Box, colour: Colour) -> None:
        x1, y1, x2, y2 = (round(value) for value in box)
        self._pen.rectangle((x1, y1, max(x1, x2), max(y1, y2)), outline=colour, width=self._stroke)
        self._boxes.append(box)

    def line(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        """With a dark seam, so that a bright one shows on a bright road."""
        seam = self._stroke + 2 * max(1, self._stroke // 2)
        self._pen.line([*points], fill=BLACK, width=seam, joint="curve")
        self._pen.line([*points], fill=colour, width=self._stroke, joint="curve")

    def trail(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        self._pen.line([*points], fill=colour, width=self._stroke, joint="curve")

    def tag_of(self, box: Box, text: str, colour: Colour) -> None:
        """At a corner of the box where no tag is yet, and the least of any outlined box is hidden;
        not at all where there is no such corner."""
        text = self._typeface.legible(text)
        width, height = self._size(text, self._font(12))
        x1, y1, x2, y2 = box
        places = [(x1, y1 - height), (x1, y2), (x2 - width, y1 - height), (x2 - width, y2)]
        if x2 - x1 >= 1.5 * width and y2 - y1 >= 4 * height:
            places.insert(1, (x1, y1))
        best, least = None, np.inf
        for place in places:
            x, y = self._inside(place, width, height)
            spot = (x, y, x + width, y + height)
            hidden = np.inf if _shared(spot, self._tags) else _shared(spot, self._boxes)
            if hidden < least:
                best, least = spot, hidden
        if best is not None:
            self._write(best, text, colour, self._font(12))

    def tag_at(self, corner: tuple[float, float], text: str, colour: Colour) -> None:
        """In any case; moved down, else up, as far as other tags are in the way."""
        text = self._typeface.legible(text)
        font = self._fitting(text)
        width, height = self._size(text, font)
        x, start = self._inside(corner, width, height)
        down = np.arange(start, self._picture.height - height, height / 2)
        up = np.arange(start, 0, -height / 2)
        for y in (start, *down.tolist(), *up.tolist()):
            spot = (x, y, x + width, y + height)
            if not _shared(spot, self._tags):
                break
        self._write(spot, text, colour, font)

    def banner(self, text: str, colour: Colour) -> None:
        """Across the upper edge."""
        text = self._typeface.legible(text)
        font = self._fitting(text)
        height = self._size(text, font)[1]
        self._write((0, 0, self._picture.width, height), text, colour, font)

    def pixels(self) -> Pixels:
        return np.asarray(self._picture)

    def encoded(self, format: Format) -> bytes:
        out = io.BytesIO()
        self._picture.save(out, format, quality=90)
        return out.getvalue()

    def _font(self, size: float) -> Font:
        return self._typeface.of(max(_LEAST_FONT, round(size * self._unit)))

    def _fitting(self, text: str) -> Font:
        """A larger font, or the one at which a long text is as wide as the picture."""
        size = max(13, 14 * self._unit)
        wide = self._size(text, self._typeface.of(size))[0]
        return self._typeface.of(max(_LEAST_FONT, size * min(1, self._picture.width / wide)))

    def _size(self, text: str, font: Font) -> tuple[float, float]:
        """Of the tag. All texts of one font are equally high."""
        left, _, right, _ = self._pen.textbbox((0, 0), text, font=font)
        _, top, _, bottom = self._pen.textbbox((0, 0), self._tall, font=font)
        return right - left + 2 * self._pad, bottom - top + 2 * self._pad

    @property
    def _pad(self) -> int:
        return max(1, round(2 * self._unit))

    def _inside(
        self, corner: tuple[float, float], width: float, height: float
    ) -> tuple[float, float]:
        return (
            float(np.clip(corner[0], 0, max(0, self._picture.width - width))),
            float(np.clip(corner[1], 0, max(0, self._picture.height - height))),
        )

    def _write(
        self,
        spot: Box,
        text: str,
        colour: Colour,
        font: Font,
    ) -> None:
        x, y = spot[:2]
        left, _, _, _ = self._pen.textbbox((0, 0), text, font=font)
        _, top, _, _ = self._pen.textbbox((0, 0), self._tall, font=font)
        self._pen.rectangle(spot, fill=colour)
        at = (x + self._pad - left, y + self._pad - top)
        self._pen.text(at, text, fill=_ink(colour), font=font)
        self._tags.append(spot)


def class_colour(label: str) -> Colour:
    """A strong colour that depends on the label alone."""
    hue = zlib.crc32(label.encode()) / 2**32
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def _ink(ground: Colour) -> Colour:
    """Black or white, whichever is easier to read (ITU-R BT.601 luma)."""
    luma = 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2]
    return BLACK if luma > 140 else WHITE


def _shared(spot: Box, boxes: Sequence[Box]) -> float:
    """Pixels of `spot` that lie in `boxes`, counted once for each."""
    if not boxes:
        return 0.0
    table = np.array(boxes, np.float64)
    low = np.maximum(table[:, :2], spot[:2])
    high = np.minimum(table[:, 2:], spot[2:])
    return float((high - low).clip(min=0).prod(1).sum())
