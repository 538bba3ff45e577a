"""Pictures of letters scattered over colours, and where they are: for a detector of characters."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from plaza_training.vision.sets import Frame

SEED = 7
COUNT = 40
_LETTERS = list("ABCDEFGHKMNPRSTXYZ23456789")


def frames(seed: int = SEED, count: int = COUNT) -> list[Frame]:
    random = np.random.default_rng(seed)
    return [_frame(random, f"letters-{number}") for number in range(count)]


def _frame(random: np.random.Generator, name: str) -> Frame:
    """Of sizes at which it shows how a letterbox is rounded."""
    width, height = (int(random.integers(low, high)) for low, high in ((250, 900), (150, 600)))
    small = random.integers(60, 256, (4, 6, 3)).astype(np.uint8)
    picture = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    boxes: list[tuple[float, float, float, float]] = []
    size = min(width, height) / 6
    for _ in range(8):
        font = ImageFont.load_default(float(random.uniform(0.9, 1.3)) * size)
        x, y = random.uniform(0, width - 1.5 * size), random.uniform(0, height - 1.5 * size)
        letter = str(random.choice(_LETTERS))
        box = pen.textbbox((x, y), letter, font=font)
        if all(box[2] < b[0] or b[2] < box[0] or box[3] < b[1] or b[3] < box[1] for b in boxes):
            pen.text((x, y), letter, fill=tuple(random.integers(0, 90, 3).tolist()), font=font)
            boxes.append(box)
    out = io.BytesIO()
    picture.save(out, "PNG")
    corners = np.array(boxes, np.float32) / [width, height, width, height]
    labels = np.zeros(len(boxes), np.int64)
    return Frame(name, "made", out.getvalue(), corners.astype(np.float32), labels)
