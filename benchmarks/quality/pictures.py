"""Exams of detectors: labelled frames of road cameras or made ones, as encoded pictures."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from benchmarks.quality import direct, letters
from benchmarks.quality.exam import Seat
from benchmarks.quality.figures import Figure, Figures, figures
from plaza_training.cases import Cases
from plaza_training.data import locate
from plaza_training.data.pictures import VEHICLE626
from plaza_training.recipe import Job
from plaza_training.vision.measure import VEHICLES, ask, measure
from plaza_training.vision.metrics import Judged, matched, precision_area
from plaza_training.vision.sets import Frame, read_yolo


def _validation(job: Job) -> Sequence[Frame]:
    folder = locate(VEHICLE626, job.data_dir, progress=job.progress)
    return list(read_yolo(folder / "valid", lambda _: "", {0: 0}))


@dataclass(frozen=True, slots=True)
class Beside:
    """How a detector of others is answered without us, on which frames."""

    way: direct.Way
    frames: Callable[[Job], Sequence[Frame]] = _validation
    labels: Collection[str] = VEHICLES
    """Of ours that count, as one class."""


DIRECT: Mapping[str, Beside] = {
    "ddddocr-det": Beside(direct.ddddocr, lambda _: letters.frames(), ("character",)),
    "fastestdet": Beside(direct.fastestdet),
    "yolox-nano": Beside(direct.yolox),
}


def vehicles(seat: Seat) -> Figures:
    """The protocol of `plaza_training.vision.measure`, with its own intervals."""
    threshold, rows = measure(seat.served, seat.job.data_dir)
    found = {row.name: Figure(row.value, row.low, row.high, row.frames) for row in rows}
    return {**found, "threshold": Figure(threshold)}


def beside_direct(seat: Seat) -> Figures:
    """A detector of others, registered by options alone, beside an evaluation in ONNX Runtime that
    shares no code with ours."""
    beside = DIRECT[seat.exam.model]
    frames = beside.frames(seat.job)
    ours = [matched(one) for one in ask(seat.served, frames, beside.labels)]
    answer = direct.opened(seat.directory / "model.onnx", beside.way)
    theirs = []
    for frame in seat.job.progress.track(frames, "directly", len(frames)):
        pixels = np.asarray(Image.open(io.BytesIO(frame.image)).convert("RGB"))
        height, width = pixels.shape[:2]
        size = np.array([width, height] * 2, np.float32)
        table = np.array(answer(pixels), np.float32).reshape(-1, 6)
        judged = Judged(table[:, 2:].clip(0, size), table[:, 0], frame.boxes * size)
        theirs.append(matched(judged))
    cases = {
        "ap50": Cases(len(frames), lambda rows: precision_area([ours[row] for row in rows])),
        "ap50_direct": Cases(
            len(frames), lambda rows: precision_area([theirs[row] for row in rows])
        ),
    }
    cases["difference"] = Cases(
        len(frames),
        lambda rows: abs(cases["ap50"].value(rows) - cases["ap50_direct"].value(rows)),
    )
    return figures({name: one.whole() for name, one in cases.items()}, cases)
