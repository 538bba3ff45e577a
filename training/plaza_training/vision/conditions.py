"""Night and rain over a rendered road, as a cheap camera would show them.

The boxes stay: what a person would still find is still labelled. Everything follows from the
random generator.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from plaza_training.vision.render import Scene, render_road

Condition = Literal["day", "night", "rain", "rainy night"]
CONDITIONS: tuple[Condition, ...] = ("day", "night", "rain", "rainy night")


def render_camera(
    rng: np.random.Generator, condition: Condition, size: tuple[int, int] = (320, 240)
) -> Scene:
    """A road with cars by day or night, dry or in rain."""
    scene = render_road(rng, size)
    picture = scene.picture
    if "night" in condition:
        picture = _night(rng, picture, scene.boxes)
    if "rain" in condition:
        picture = _rain(rng, picture)
    return Scene(picture, scene.boxes)


def _night(
    rng: np.random.Generator, picture: Image.Image, boxes: NDArray[np.float32]
) -> Image.Image:
    """A tenth of the light, bluish and grainy; tail lights and their glow are added on top."""
    pixels = np.asarray(picture, np.float32) * np.array((0.16, 0.17, 0.22), np.float32)
    pixels += rng.normal(0, 5, pixels.shape[:2])[..., None]
    dark = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    lights = Image.new("RGB", picture.size)
    pen = ImageDraw.Draw(lights)
    for x1, y1, x2, y2 in boxes.tolist():
        width, height = x2 - x1, y2 - y1
        radius = max(1.0, 0.07 * width)
        for side in (x1 + 0.1 * width, x2 - 0.1 * width):
            middle = y1 + 0.54 * height
            ring = (side - radius, middle - radius, side + radius, middle + radius)
            pen.ellipse(ring, fill=(255, 70, 50))
        # What the car's own lamps show of the road behind and of its plate.
        pen.rectangle((x1, y1 + 0.6 * height, x2, y2), fill=(34, 28, 26))
    glow = lights.filter(ImageFilter.GaussianBlur(max(2.0, picture.width / 80)))
    return ImageChops.add(ImageChops.add(dark, glow), lights)


def _rain(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    """Grey veil, slanting streaks, and drops on the pane that blur what lies behind them."""
    veiled = Image.blend(picture, Image.new("RGB", picture.size, (120, 124, 130)), 0.28)
    width, height = picture.size
    streaks = Image.new("L", picture.size)
    pen = ImageDraw.Draw(streaks)
    slant = rng.uniform(-0.35, 0.35)
    for _ in range(width * height // 250):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        length = rng.uniform(0.03, 0.08) * height
        pen.line((x, y, x + slant * length, y + length), fill=int(rng.integers(25, 75)))
    wet = Image.composite(Image.new("RGB", picture.size, (210, 215, 225)), veiled, streaks)
    pane = Image.new("L", picture.size)
    pen = ImageDraw.Draw(pane)
    for _ in range(int(rng.integers(4, 12))):
        x, y, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.01, 0.03) * width
        pen.ellipse((x - r, y - r, x + r, y + r), fill=200)
    return Image.composite(wet.filter(ImageFilter.GaussianBlur(3)), wet, pane)
