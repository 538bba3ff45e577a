"""Pictures damaged on purpose, as cameras and networks damage them. Random things follow from the
generator that is given."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
Damage = Callable[[np.random.Generator, Pixels], Pixels]


def black(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Hardly any light, and the noise that is then left."""
    dark = pixels * 0.05 + rng.normal(0, 2, pixels.shape)
    return dark.clip(0, 255).astype(np.uint8)


def fog(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Light scattered into the way of sight: at the horizon (above) more than near by. A quarter of
    the contrast is left in the middle."""
    height = len(pixels)
    clear = np.linspace(0.15, 0.4, height)[:, None, None]
    grey = rng.uniform(200, 235)
    return (pixels * clear + grey * (1 - clear)).clip(0, 255).astype(np.uint8)


def smear(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """The last row that arrived, again and again."""
    row = int(rng.uniform(0.3, 0.8) * len(pixels))
    torn = pixels.copy()
    torn[row:] = pixels[row]
    return torn


def slip(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """The lower part moved sideways, as when rows were lost."""
    row, by = int(rng.uniform(0.25, 0.8) * len(pixels)), rng.uniform(0.1, 0.4)
    torn = pixels.copy()
    torn[row:] = np.roll(pixels[row:], int(by * pixels.shape[1]), axis=1)
    return torn


def cut(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """The grey that fills what was not received."""
    torn = pixels.copy()
    torn[int(rng.uniform(0.3, 0.85) * len(pixels)) :] = 128
    return torn


def card(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """What an operator shows while a camera is away."""
    height, width = pixels.shape[:2]
    ground = tuple(int(v) for v in rng.integers(0, 256, 3))
    picture = Image.new("RGB", (width, height), ground)
    pen = ImageDraw.Draw(picture)
    ink = (255, 255, 255) if sum(ground) < 380 else (0, 0, 0)
    font = ImageFont.load_default(max(10, height // 12))
    pen.rectangle((0, 0, width, height // 8), fill=(20, 40, 110))
    pen.text((width // 8, height // 2), "camera not available", fill=ink, font=font)
    return np.asarray(picture)


DAMAGES: Mapping[str, tuple[str, Damage]] = {
    "black": ("black", black),
    "fog": ("foggy", fog),
    "smear": ("torn", smear),
    "slip": ("torn", slip),
    "cut": ("torn", cut),
    "card": ("offline", card),
}
"""Name of the damage -> the fault it must be named as, and how it is done."""


def encoded(pixels: Pixels) -> bytes:
    """As a camera would send it."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=75)
    return out.getvalue()
