"""The labelled pictures: read once, kept as uint8, split so that whole cameras can be held out.

Two public sets in the YOLO layout (`SPLIT/images/*.jpg`, `SPLIT/labels/*.txt` with rows of class,
centre x, centre y, width, height as fractions):

- vis-vehicle626: frames of highway videos, one class. Every video is in both of its published
  splits, so cameras are held out here by video (the file name up to `_mp4`).
- vis-roadcam4: fixed road cameras by day and night. bus, car and truck become `vehicle`; bike is
  left out, because vehicle626 does not label motorcycles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plaza_core.errors import NotFound

HELD_OUT_VIDEOS = ("13", "2", "7", "test2")
"""vehicle626 videos that training never sees: a brown highway from a bridge, a London street, a
wet underpass, dense traffic in a cutting."""

_CACHE_SIDE = 512


@dataclass(frozen=True, slots=True)
class Sample:
    """`pixels` (H, W, 3) uint8 RGB; `boxes` (M, 4) float32 corners in pixels; `labels` (M,)."""

    name: str
    camera: str
    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RoadData:
    """`train`; `known`: published validation frames of cameras in `train`; `unseen`: every frame of
    the held-out videos; `other`: validation and test frames of vis-roadcam4 (cameras in `train`)."""

    train: tuple[Sample, ...]
    known: tuple[Sample, ...]
    unseen: tuple[Sample, ...]
    other: tuple[Sample, ...]


def load_road_data(root: Path) -> RoadData:
    """Read both sets below `root`. Raises NotFound naming the set that is not there."""
    vehicle, roadcam = root / "vis-vehicle626", root / "vis-roadcam4"
    for folder in (vehicle, roadcam):
        if not folder.is_dir():
            raise NotFound(f"no data set '{folder.name}' in the data directory", input="data")

    def video(stem: str) -> str:
        return f"vehicle626/{stem.split('_mp4')[0]}"

    def camera(stem: str) -> str:
        return f"roadcam4/{_roadcam_camera(stem)}"

    only = {0: 0}
    pooled = {1: 0, 2: 0, 3: 0}
    highway = list(read_yolo(vehicle / "train", video, only))
    valid = list(read_yolo(vehicle / "valid", video, only))
    held_out = {f"vehicle626/{name}" for name in HELD_OUT_VIDEOS}
    seen = [sample for sample in highway if sample.camera not in held_out]
    return RoadData(
        train=(*seen, *read_yolo(roadcam / "train", camera, pooled)),
        known=tuple(s for s in valid if s.camera not in held_out),
        unseen=tuple(s for s in (*highway, *valid) if s.camera in held_out),
        other=tuple(
            s for split in ("valid", "test") for s in read_yolo(roadcam / split, camera, pooled)
        ),
    )


def _roadcam_camera(stem: str) -> str:
    """File names carry no camera; frames of one camera share a letter or a run of numbers."""
    if stem[0].isalpha():
        return stem[0]
    return next((run for run in ("1026007", "10260", "102") if stem.startswith(run)), "n")


def read_yolo(
    split: Path, camera: Callable[[str], str], classes: Mapping[int, int]
) -> Iterable[Sample]:
    """The samples of one split in order of file name; boxes of classes not named are dropped."""
    for path in sorted((split / "images").glob("*.jpg")):
        with Image.open(path) as file:
            picture = file.convert("RGB")
        longest = max(picture.size)
        if longest > _CACHE_SIDE:
            ratio = _CACHE_SIDE / longest
            size = (round(picture.width * ratio), round(picture.height * ratio))
            picture = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        rows = [line.split() for line in (split / "labels" / f"{path.stem}.txt").open()]
        kept = [
            (classes[int(r[0])], *map(float, r[1:5])) for r in rows if r and int(r[0]) in classes
        ]
        table = np.array(kept, dtype=np.float32).reshape(-1, 5)
        scale = np.array([picture.width, picture.height] * 2, dtype=np.float32)
        centre, half = table[:, 1:3], table[:, 3:5] / 2
        corners = np.concatenate((centre - half, centre + half), 1).clip(0, 1) * scale
        yield Sample(
            name=path.stem,
            camera=camera(path.stem),
            pixels=np.asarray(picture),
            boxes=corners.astype(np.float32),
            labels=table[:, 0].astype(np.int64),
        )
