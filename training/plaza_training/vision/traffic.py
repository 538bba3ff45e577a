"""Rendered traffic on a straight road, frame by frame, with exact boxes, numbers and speeds.

Cars drive down the left half of the picture and up the right half, each lane at its own speed, so
that nobody overtakes. Everything follows from the random generator.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from plaza_training.vision.render import draw_car

_PAINT = [(196, 30, 36), (32, 60, 140), (235, 235, 230), (120, 125, 130), (210, 170, 40)]


@dataclass(frozen=True, slots=True)
class Car:
    """In pixels and pixels per second; `speed` is positive downwards."""

    id: int
    x: float
    y: float
    """Of its lower edge at time 0."""
    width: float
    height: float
    speed: float
    paint: tuple[int, int, int]

    def box(self, seconds: float) -> tuple[float, float, float, float]:
        low = self.y + self.speed * seconds
        return self.x - self.width / 2, low - self.height, self.x + self.width / 2, low


@dataclass(frozen=True, slots=True)
class TrafficFrame:
    seconds: float
    boxes: NDArray[np.float32]
    """(M, 4) of the cars that are wholly in the picture."""
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Traffic:
    size: tuple[int, int]
    fps: float
    seconds: float
    cars: tuple[Car, ...]

    def frames(self) -> Iterator[TrafficFrame]:
        for number in range(round(self.seconds * self.fps)):
            seconds = number / self.fps
            seen = [(car.id, car.box(seconds)) for car in self.cars]
            inside = [(name, box) for name, box in seen if box[1] >= 0 and box[3] <= self.size[1]]
            boxes = np.array([box for _, box in inside], np.float32).reshape(-1, 4)
            yield TrafficFrame(seconds, boxes, tuple(name for name, _ in inside))

    def crossings(self, y: float) -> tuple[int, int]:
        """How many lower edges pass the height `y` downwards and upwards, first to last frame."""
        last = (round(self.seconds * self.fps) - 1) / self.fps
        moved = [(car.y < y, car.y + car.speed * last < y) for car in self.cars]
        return moved.count((True, False)), moved.count((False, True))

    def picture(self, seconds: float, rng: np.random.Generator) -> Image.Image:
        """As a camera would show it, with the noise of its sensor."""
        width, height = self.size
        picture = Image.new("RGB", self.size, (86, 86, 90))
        pen = ImageDraw.Draw(picture)
        for lane in range(1, 4):
            x = width * lane / 4
            for y in range(0, height, 24):
                pen.line((x, y, x, y + 12), fill=(225, 225, 215), width=2)
        for car in self.cars:
            draw_car(pen, car.box(seconds), car.paint)
        noise = rng.normal(0, 4, (height, width, 1))
        return Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))


def make_traffic(
    rng: np.random.Generator,
    *,
    size: tuple[int, int] = (320, 240),
    fps: float = 10.0,
    seconds: float = 8.0,
) -> Traffic:
    """Four lanes, a car every two to five lengths."""
    width, height = size
    cars: list[Car] = []
    for lane in range(4):
        side = width / 4 * 0.6
        speed = float(rng.uniform(0.2, 0.6) * height) * (1 if lane < 2 else -1)
        road = abs(speed) * seconds + height
        at = float(rng.uniform(0, height))
        while at < road:
            y = height - at if speed > 0 else at
            paint = _PAINT[int(rng.integers(len(_PAINT)))]
            cars.append(
                Car(len(cars) + 1, width / 4 * (lane + 0.5), y, side, side * 0.8, speed, paint)
            )
            at += float(rng.uniform(2, 5)) * side * 0.8
    return Traffic(size, fps, seconds, tuple(cars))
