"""A detector that nobody here chose the decoders for works by options alone: the one of characters
in the package `ddddocr`. Taken from the package index, examined as a stranger's, and compared with
its own project's steps, which share nothing with ours."""

import hashlib
import io
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass

import numpy as np
import onnxruntime
import pytest
from PIL import Image, ImageDraw, ImageFont

from benchmarks.quality.direct import apart, nearest_four
from plaza_accel.examination.examine import SandboxExaminer
from plaza_accel.providers.cpu import provider
from plaza_accel.sandbox.confinement import sandbox_support
from plaza_core.manifest import parse_manifest
from plaza_models.tasks import DetectTask
from plaza_models.vision.detect import open_family
from plaza_training.served import Opened
from plaza_training.vision.metrics import average_precision
from tests.models.vision.test_direct_evaluation import judged
from tests.models.vision.third_parties import MANIFESTS

WHEEL = "ddddocr==1.6.1"
MODEL = "ddddocr/common_det.onnx"
SHA256 = "6faa8ea85a8c1a634e5050c4a138fca10f30194e0d7abbe9ade1fcd423af6ed6"
LOWEST = 0.02


@dataclass(frozen=True)
class Frame:
    """As `judged` wants it."""

    image: bytes
    boxes: np.ndarray
    """Corners as fractions."""


def characters(rng):
    """Letters scattered over colours, and where they are; of sizes at which rounding shows."""
    width, height = (int(rng.integers(low, high)) for low, high in ((250, 900), (150, 600)))
    small = rng.integers(60, 256, (4, 6, 3)).astype(np.uint8)
    picture = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    boxes = []
    size = min(width, height) / 6
    for _ in range(8):
        font = ImageFont.load_default(float(rng.uniform(0.9, 1.3)) * size)
        x, y = rng.uniform(0, width - 1.5 * size), rng.uniform(0, height - 1.5 * size)
        letter = str(rng.choice(list("ABCDEFGHKMNPRSTXYZ23456789")))
        box = pen.textbbox((x, y), letter, font=font)
        if all(box[2] < b[0] or b[2] < box[0] or box[3] < b[1] or b[3] < box[1] for b in boxes):
            pen.text((x, y), letter, fill=tuple(rng.integers(0, 90, 3).tolist()), font=font)
            boxes.append(box)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return Frame(out.getvalue(), np.array(boxes, np.float32) / [width, height, width, height])


def direct(session, pixels):
    """What the package's own detection does, one candidate at a time."""
    ratio = min(416 / pixels.shape[0], 416 / pixels.shape[1])
    height, width = int(pixels.shape[0] * ratio), int(pixels.shape[1] * ratio)
    canvas = np.full((416, 416, 3), 114, np.float32)
    canvas[:height, :width] = np.rint(nearest_four(pixels, width, height))
    (table,) = session.run(None, {"images": canvas[..., ::-1].transpose(2, 0, 1)[None].copy()})
    points = [(x, y, s) for s in (8, 16, 32) for y in range(416 // s) for x in range(416 // s)]
    found = []
    for (x, y, stride), (cx, cy, w, h, objectness, kind) in zip(points, table[0], strict=True):
        if objectness * kind >= LOWEST:
            centre = (cx + x) * stride / ratio, (cy + y) * stride / ratio
            half = np.exp(w) * stride / ratio / 2, np.exp(h) * stride / ratio / 2
            corners = [centre[0] - half[0], centre[1] - half[1]]
            found.append((objectness * kind, 0, *corners, centre[0] + half[0], centre[1] + half[1]))
    return apart(found)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """From the wheel that pip finds; nothing of it is imported."""
    place = tmp_path_factory.mktemp("ddddocr")
    words = ("download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", place, WHEEL)
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"{WHEEL} cannot be had here: {done.stderr[-200:]}")
    directory = place / "ddddocr-det"
    shutil.copytree(MANIFESTS / "ddddocr-det", directory)
    (wheel,) = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(MODEL)
    wheel.unlink()
    assert hashlib.sha256(content).hexdigest() == SHA256
    (directory / "model.onnx").write_bytes(content)
    return directory


@pytest.fixture(scope="module")
def manifest(bundle):
    return parse_manifest((bundle / "plaza.yaml").read_bytes())


@pytest.mark.prove
@pytest.mark.skipif(not sandbox_support()["usable"], reason="this kernel cannot confine a process")
def test_the_gate_takes_it(bundle, manifest):
    examined = SandboxExaminer().examine(bundle, manifest)
    assert examined.passed, examined.why


@pytest.mark.prove
def test_it_finds_what_its_own_project_finds(bundle, manifest):
    served = Opened(manifest, open_family(bundle, manifest), provider.open(bundle, manifest))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(bundle / "model.onnx", options)
    ours, theirs, apart_by = [], [], []
    rng = np.random.default_rng(7)
    for _ in range(40):
        frame = characters(rng)
        answer = served.ask(DetectTask(frame.image, LOWEST))
        pixels = np.asarray(Image.open(io.BytesIO(frame.image)).convert("RGB"))
        size = answer.width, answer.height
        mine = [(d.score, 0, *d.box) for d in answer.detections]
        ours.append(judged(mine, frame, size))
        theirs.append(judged(direct(session, pixels), frame, size))
        sure = ours[-1].boxes[ours[-1].scores >= 0.3]
        apart_by += [np.abs(theirs[-1].boxes - box).max(1).min() for box in sure]
    served.runner.close()
    precise, expected = average_precision(ours), average_precision(theirs)
    assert expected > 0.6
    assert precise == pytest.approx(expected, abs=0.01)
    # With sizes rounded to the nearest pixel, as others do, a quarter are more than a pixel away.
    assert np.percentile(apart_by, 75) < 0.9
