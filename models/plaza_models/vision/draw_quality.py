"""Pictures with their faults named on them: one as it is, several as a sheet of small ones."""

from __future__ import annotations

import math

import numpy as np

from plaza_models.vision.draw import warning
from plaza_models.vision.fit import letterbox, paste
from plaza_models.vision.image import MAX_PIXELS, Pixels, decode
from plaza_models.vision.paint import BAD, GOOD, WHITE, Format, Paint
from plaza_models.vision.tasks import PictureQuality, Quality

_TILE = (320, 240)
_GROUND = 40
_FINE = "no fault found"


def draw_quality(
    images: tuple[bytes, ...],
    found: Quality,
    *,
    format: Format = "JPEG",
    max_pixels: int = MAX_PIXELS,
) -> bytes:
    """`images` as sent, with `found` of them; a damaged one is an empty field."""
    if len(images) == 1:
        return _single(images[0], found.pictures[0], max_pixels).encoded(format)
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    width, height = _TILE
    sheet = np.full((rows * height, columns * width, 3), _GROUND, np.uint8)
    for number, (image, one) in enumerate(zip(images, found.pictures, strict=True)):
        tile = _tile(image, one, number, max_pixels)
        y, x = number // columns * height, number % columns * width
        sheet[y : y + height, x : x + width] = tile
    return Paint(sheet).encoded(format)


def _single(image: bytes, one: PictureQuality, max_pixels: int) -> Paint:
    """With what was measured beyond its limit."""
    paint = Paint(_pixels(image, one, max_pixels))
    paint.banner(warning(one.faults) if one.faults else _FINE, _colour(one))
    for told in one.measures:
        if told.fault in one.faults and told.value is not None and (told.excess or 0) > 0:
            paint.tag_at((0, 0), f"{told.name} {told.value:.3g}, {told.excess:.3g} beyond", WHITE)
    return paint


def _tile(image: bytes, one: PictureQuality, number: int, max_pixels: int) -> Pixels:
    pixels = _pixels(image, one, max_pixels)
    fit = letterbox(pixels.shape[1], pixels.shape[0], _TILE)
    paint = Paint(paste(pixels, fit, _TILE, _GROUND))
    text = f"{number}: {', '.join(one.faults) or _FINE}"
    paint.banner(text, _colour(one))
    return paint.pixels()


def _pixels(image: bytes, one: PictureQuality, max_pixels: int) -> Pixels:
    if "damaged" in one.faults:
        return np.full((_TILE[1], _TILE[0], 3), _GROUND, np.uint8)
    return decode(image, max_pixels=max_pixels).pixels


def _colour(one: PictureQuality) -> tuple[int, int, int]:
    return BAD if one.faults else GOOD
