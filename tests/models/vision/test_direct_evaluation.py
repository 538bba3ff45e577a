"""Served by options alone, a detector is as precise as when its own project's steps are followed
(`benchmarks/quality/direct.py`, which shares nothing with our way)."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.quality import direct
from plaza_training.vision.metrics import Judged, average_precision
from plaza_training.vision.sets import read_yolo
from tests.models.vision.third_parties import VEHICLES, opened

DATA = Path(os.environ.get("PLAZA_DATA", "data"))

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(
        not ((DATA / "models").is_dir() and (DATA / "vis-vehicle626").is_dir()),
        reason=f"no third-party models or no vis-vehicle626 in {DATA} (PLAZA_DATA)",
    ),
]


def judged(rows, frame, size):
    rows = sorted(rows, key=lambda row: -row[0])
    table = np.array(rows, np.float32).reshape(-1, 6)
    boxes = table[:, 2:].clip(0, np.array(size * 2, np.float32))
    return Judged(boxes, table[:, 0], frame.boxes * np.array(size * 2, np.float32))


@pytest.mark.parametrize(
    ("name", "weights", "way"),
    [
        ("fastestdet", "FastestDet.onnx", direct.fastestdet),
        ("yolox-nano", "yolox_nano.onnx", direct.yolox),
    ],
)
def test_the_precision_is_that_of_a_direct_evaluation(tmp_path, name, weights, way):
    frames = list(read_yolo(DATA / "vis-vehicle626" / "valid", lambda _: "", {0: 0}))
    assert len(frames) >= 30
    ask = opened(tmp_path, name, weights)
    answers = direct.opened(DATA / "models" / weights, way)
    ours, theirs = [], []
    for frame in frames:
        answer = ask(frame.image, 0.02)
        rows = [(d.score, 0, *d.box) for d in answer.detections if d.label in VEHICLES]
        ours.append(judged(rows, frame, (answer.width, answer.height)))
        pixels = np.asarray(Image.open(io.BytesIO(frame.image)).convert("RGB"))
        theirs.append(judged(answers(pixels), frame, (pixels.shape[1], pixels.shape[0])))
    precise, expected = average_precision(ours), average_precision(theirs)
    assert expected > 0.4
    assert precise == pytest.approx(expected, abs=0.01)
