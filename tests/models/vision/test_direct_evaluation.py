"""Served by options alone, a detector is as precise as when its own project's steps are followed.

The direct way below shares nothing with ours: resizing between the four nearest pixels, the
outputs taken apart in loops as the projects' demonstrations do, boxes mapped back by division.
"""

import io
import os
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from plaza_training.vision.metrics import Judged, average_precision
from plaza_training.vision.sets import read_yolo
from tests.models.vision.third_parties import VEHICLES, opened

DATA = Path(os.environ.get("PLAZA_DATA", "data"))
WANTED = {"car": 2, "bus": 5, "truck": 7}  # rows of coco.names
NOTHING = np.zeros(80)

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(
        not ((DATA / "models").is_dir() and (DATA / "vis-vehicle626").is_dir()),
        reason=f"no third-party models or no vis-vehicle626 in {DATA} (PLAZA_DATA)",
    ),
]


def nearest_four(pixels, width, height):
    """Bilinear between pixel centres, without smoothing."""
    xs = ((np.arange(width) + 0.5) * pixels.shape[1] / width - 0.5).clip(0, pixels.shape[1] - 1)
    ys = ((np.arange(height) + 0.5) * pixels.shape[0] / height - 0.5).clip(0, pixels.shape[0] - 1)
    x, y = xs.astype(int), ys.astype(int)
    right, low = (x + 1).clip(max=pixels.shape[1] - 1), (y + 1).clip(max=pixels.shape[0] - 1)
    a, b = (xs - x)[None, :, None], (ys - y)[:, None, None]
    table = pixels.astype(np.float32)
    upper = table[y][:, x] * (1 - a) + table[y][:, right] * a
    lower = table[low][:, x] * (1 - a) + table[low][:, right] * a
    return upper * (1 - b) + lower * b


def direct_yolox(session, pixels):
    ratio = min(416 / pixels.shape[0], 416 / pixels.shape[1])
    height, width = int(pixels.shape[0] * ratio), int(pixels.shape[1] * ratio)
    canvas = np.full((416, 416, 3), 114, np.float32)
    canvas[:height, :width] = nearest_four(pixels, width, height)
    (table,) = session.run(None, {"images": canvas[..., ::-1].transpose(2, 0, 1)[None].copy()})
    found, row = [], 0
    for stride in (8, 16, 32):
        for y in range(416 // stride):
            for x in range(416 // stride):
                cx, cy, w, h, objectness = table[0, row, :5].tolist()
                scores = objectness * table[0, row, 5:] if objectness >= 0.02 else NOTHING
                kind = int(scores.argmax())
                if kind in WANTED.values() and scores[kind] >= 0.02:
                    cx, cy = (cx + x) * stride / ratio, (cy + y) * stride / ratio
                    w, h = np.exp(w) * stride / ratio, np.exp(h) * stride / ratio
                    found.append(
                        (scores[kind], kind, cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
                    )
                row += 1
    return found


def direct_fastestdet(session, pixels):
    image = nearest_four(pixels, 352, 352)[..., ::-1].transpose(2, 0, 1)[None] / 255
    (grid,) = session.run(None, {"input.1": image.astype(np.float32)})
    height, width = pixels.shape[:2]
    found = []
    for y in range(22):
        for x in range(22):
            cell = grid[0, :, y, x]
            if cell[0] ** 0.6 < 0.02:
                continue
            kind = int(cell[5:].argmax())
            score = cell[0] ** 0.6 * cell[5 + kind] ** 0.4
            if kind in WANTED.values() and score >= 0.02:
                cx, cy = (np.tanh(cell[1]) + x) / 22 * width, (np.tanh(cell[2]) + y) / 22 * height
                w, h = (1 / (1 + np.exp(-cell[3:5]))) * (width, height)
                found.append((score, kind, cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
    return found


def apart(found, overlap=0.45):
    """Greedy suppression within each class, one pair at a time."""
    kept = []
    for row in sorted(found, key=lambda row: -row[0]):
        if all(row[1] != other[1] or shared(row[2:], other[2:]) <= overlap for other in kept):
            kept.append(row)
    return kept


def shared(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0
    area = width * height
    return area / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - area)


def judged(rows, frame, size):
    rows = sorted(rows, key=lambda row: -row[0])
    table = np.array(rows, np.float32).reshape(-1, 6)
    boxes = table[:, 2:].clip(0, np.array(size * 2, np.float32))
    return Judged(boxes, table[:, 0], frame.boxes * np.array(size * 2, np.float32))


@pytest.mark.parametrize(
    ("name", "weights", "direct"),
    [
        ("fastestdet", "FastestDet.onnx", direct_fastestdet),
        ("yolox-nano", "yolox_nano.onnx", direct_yolox),
    ],
)
def test_the_precision_is_that_of_a_direct_evaluation(tmp_path, name, weights, direct):
    frames = list(read_yolo(DATA / "vis-vehicle626" / "valid", lambda _: "", {0: 0}))
    assert len(frames) >= 30
    ask = opened(tmp_path, name, weights)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(DATA / "models" / weights, options)
    ours, theirs = [], []
    for frame in frames:
        answer = ask(frame.image, 0.02)
        rows = [(d.score, 0, *d.box) for d in answer.detections if d.label in VEHICLES]
        ours.append(judged(rows, frame, (answer.width, answer.height)))
        pixels = np.asarray(Image.open(io.BytesIO(frame.image)).convert("RGB"))
        found = apart(direct(session, pixels))
        theirs.append(judged(found, frame, (pixels.shape[1], pixels.shape[0])))
    precise, expected = average_precision(ours), average_precision(theirs)
    assert expected > 0.4
    assert precise == pytest.approx(expected, abs=0.01)
