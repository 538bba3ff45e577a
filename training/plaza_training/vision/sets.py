"""The labelled pictures, split so that whole cameras can be held out.

Two public sets in the YOLO layout (`SPLIT/images/*.jpg`, `SPLIT/labels/*.txt` with rows of class,
centre x, centre y, width, height as fractions):

- vis-vehicle626: frames of highway videos, one class. Every video is in both of its published
  splits, so cameras are held out here by video (the file name up to `_mp4`).
- vis-roadcam4: fixed road cameras by day and night. bus, car and truck become `vehicle`; bike is
  left out, because vehicle626 does not label motorcycles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plaza_training.data import DataSet, locate
from plaza_training.data.errors import DataChanged
from plaza_training.data.pictures import ROADCAM4, VEHICLE626
from plaza_training.progress import Progress

LABELS = ("vehicle",)
HELD_OUT_VIDEOS = ("13", "2", "7", "test2")
"""vehicle626 videos that training never sees: a brown highway from a bridge, a London street, a
wet underpass, dense traffic in a cutting."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One labelled picture as it lies in its set."""

    name: str
    camera: str
    image: bytes
    """Encoded."""
    boxes: NDArray[np.float32]
    """(M, 4) corners as fractions of width and height."""
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RoadData:
    train: tuple[Frame, ...]
    known: tuple[Frame, ...]
    """Published validation frames of vehicle626 whose cameras are in `train`."""
    unseen: tuple[Frame, ...]
    """Every frame of the held-out videos."""
    other: tuple[Frame, ...]
    """Validation and test frames of roadcam4; most of their cameras are in `train`."""


def load_road_data(
    root: Path,
    *,
    progress: Progress | None = None,
    vehicles: DataSet = VEHICLE626,
    roads: DataSet = ROADCAM4,
) -> RoadData:
    """Read both sets below `root` and verify them; what can be downloaded is. Raises DataMissing or
    DataChanged naming the set, the latter also for pictures that are not of the set."""
    vehicle, roadcam = (_exactly(dataset, root, progress) for dataset in (vehicles, roads))
    only, pooled = {0: 0}, {1: 0, 2: 0, 3: 0}
    highway = list(read_yolo(vehicle / "train", _video, only))
    valid = list(read_yolo(vehicle / "valid", _video, only))
    held_out = {f"vehicle626/{name}" for name in HELD_OUT_VIDEOS}
    seen = [frame for frame in highway if frame.camera not in held_out]
    return RoadData(
        train=(*seen, *read_yolo(roadcam / "train", _roadcam, pooled)),
        known=tuple(f for f in valid if f.camera not in held_out),
        unseen=tuple(f for f in (*highway, *valid) if f.camera in held_out),
        other=tuple(
            f for split in ("valid", "test") for f in read_yolo(roadcam / split, _roadcam, pooled)
        ),
    )


def _video(stem: str) -> str:
    return f"vehicle626/{stem.partition('_mp4')[0]}"


def _roadcam(stem: str) -> str:
    """File names carry no camera; frames of one camera share a letter or a run of numbers."""
    if stem[0].isalpha():
        return f"roadcam4/{stem[0]}"
    run = next((run for run in ("1026007", "10260", "102") if stem.startswith(run)), "n")
    return f"roadcam4/{run}"


def read_yolo(
    split: Path, camera: Callable[[str], str], classes: Mapping[int, int]
) -> Iterator[Frame]:
    """The frames of one split in order of file name; boxes of classes not named are dropped."""
    for path in sorted((split / "images").glob("*.jpg")):
        text = (split / "labels" / f"{path.stem}.txt").read_text(encoding="utf-8")
        rows = [line.split() for line in text.splitlines()]
        kept = [
            (classes[int(r[0])], *map(float, r[1:5])) for r in rows if r and int(r[0]) in classes
        ]
        table = np.array(kept, dtype=np.float32).reshape(-1, 5)
        centre, half = table[:, 1:3], table[:, 3:5] / 2
        yield Frame(
            name=path.stem,
            camera=camera(path.stem),
            image=path.read_bytes(),
            boxes=np.concatenate((centre - half, centre + half), 1).clip(0, 1),
            labels=table[:, 0].astype(np.int64),
        )


def _exactly(dataset: DataSet, root: Path, progress: Progress | None) -> Path:
    """The folder of the set, which holds no picture that is not of the set."""
    folder = locate(dataset, root, progress=progress)
    listed = {file.path for file in dataset.files}
    pictures = (path.relative_to(folder).as_posix() for path in folder.glob("*/images/*.jpg"))
    if strange := sorted(set(pictures) - listed):
        raise DataChanged(f"'{dataset.name}' does not hold {strange[0]} as published", input="data")
    return folder
