"""Rendered road-camera pictures with exact labels: for tests, and as a sample input.

A road runs from the lower edge to the horizon; cars stand in its lanes, drawn from behind, smaller
with distance. Everything follows from the random generator. The pictures are simple on purpose
and are never mixed with photographs in training.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from plaza_training.vision.sets import Frame

_PAINT = [
    (196, 30, 36),
    (32, 60, 140),
    (235, 235, 230),
    (30, 30, 34),
    (120, 125, 130),
    (210, 170, 40),
]
_Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Scene:
    """`boxes` (M, 4) corners in pixels of `picture`."""

    picture: Image.Image
    boxes: NDArray[np.float32]


def render_road(rng: np.random.Generator, size: tuple[int, int] = (320, 240)) -> Scene:
    """One picture of (width, height) `size` with one to seven cars that do not overlap much."""
    width, height = size
    grey, blue = int(rng.integers(130, 220)), int(rng.integers(0, 36))
    picture = Image.new("RGB", size, (grey - blue, grey, min(255, grey + blue)))
    pen = ImageDraw.Draw(picture)
    horizon = height * rng.uniform(0.15, 0.35)
    vanish = width * rng.uniform(0.35, 0.65)
    lanes = int(rng.integers(2, 5))
    left, right = -width * rng.uniform(0.05, 0.3), width * (1 + rng.uniform(0.05, 0.3))
    grass = tuple(int(v) for v in rng.integers((60, 90, 40), (110, 150, 80)))
    pen.rectangle((0, horizon, width, height), fill=grass)
    tarmac = int(rng.integers(70, 130))
    road = [(left, height), (vanish - 3, horizon), (vanish + 3, horizon), (right, height)]
    pen.polygon(road, fill=(tarmac, tarmac, tarmac + 4))
    for lane in range(1, lanes):
        foot = left + (right - left) * lane / lanes
        pen.line((foot, height, vanish, horizon), fill=(225, 225, 215), width=1)

    boxes: list[_Box] = []
    # Far cars first, so that near ones cover them as they do on a road.
    for near in np.sort(rng.uniform(0.12, 0.95, int(rng.integers(1, 8)))):
        lane = int(rng.integers(lanes))
        foot_y = horizon + (height - horizon) * near
        foot_x = vanish + (left + (right - left) * (lane + 0.5) / lanes - vanish) * near
        side = 0.62 * (right - left) / lanes * near
        box = _car_box(foot_x, foot_y, side, rng.uniform(0.75, 1.0))
        if side >= 8 and _inside(box, size) and not any(_touch(box, other) for other in boxes):
            draw_car(pen, box, _PAINT[int(rng.integers(len(_PAINT)))])
            boxes.append(box)
    if not boxes:
        box = _car_box(width / 2, height * 0.8, width * 0.2, 0.85)
        draw_car(pen, box, _PAINT[0])
        boxes.append(box)
    picture = picture.filter(ImageFilter.GaussianBlur(0.6))
    noise = rng.normal(0, 4, (height, width, 1))
    pixels = (np.asarray(picture) + noise).clip(0, 255).astype(np.uint8)
    return Scene(Image.fromarray(pixels), np.array(boxes, np.float32))


def rendered_frame(seed: int, index: int, size: tuple[int, int] = (320, 240)) -> Frame:
    """Picture `index` of an endless set, encoded and labelled like a real one."""
    scene = render_road(np.random.default_rng((seed, index)), size)
    return Frame(
        name=f"rendered-{index}",
        camera="rendered",
        image=encode(scene.picture),
        boxes=np.asarray(scene.boxes / np.array(size * 2, np.float32), np.float32),
        labels=np.zeros(len(scene.boxes), np.int64),
    )


def encode(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()


def _car_box(foot_x: float, foot_y: float, width: float, ratio: float) -> _Box:
    return foot_x - width / 2, foot_y - width * ratio, foot_x + width / 2, foot_y


def _inside(box: _Box, size: tuple[int, int]) -> bool:
    return box[0] >= 0 and box[1] >= 0 and box[2] <= size[0] and box[3] <= size[1]


def _touch(a: _Box, b: _Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def draw_car(pen: ImageDraw.ImageDraw, box: _Box, paint: tuple[int, int, int]) -> None:
    """The back of a car that fills `box`: roof, window, body, lights, wheels, shadow."""
    x1, y1, x2, y2 = box
    w, h = x2 - x1, y2 - y1

    def part(a: float, b: float, c: float, d: float, fill: tuple[int, int, int]) -> None:
        pen.rectangle((x1 + a * w, y1 + b * h, x1 + c * w, y1 + d * h), fill=fill)

    dark = (paint[0] // 2, paint[1] // 2, paint[2] // 2)
    part(0.02, 0.92, 0.98, 1.0, (25, 25, 25))
    part(0.08, 0.8, 0.26, 1.0, (15, 15, 15))
    part(0.74, 0.8, 0.92, 1.0, (15, 15, 15))
    part(0.14, 0.0, 0.86, 0.45, paint)
    part(0.2, 0.07, 0.8, 0.4, (60, 75, 90))
    part(0.0, 0.4, 1.0, 0.86, paint)
    part(0.0, 0.72, 1.0, 0.86, dark)
    part(0.03, 0.47, 0.17, 0.6, (220, 40, 30))
    part(0.83, 0.47, 0.97, 0.6, (220, 40, 30))
    part(0.38, 0.6, 0.62, 0.7, (240, 240, 230))
