"""A detector that nobody here chose the decoders for works by options alone: the one of characters
in the package `ddddocr`. Taken from the package index, examined as a stranger's, and compared with
its own project's steps, which share nothing with ours."""

import hashlib
import io
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from benchmarks.quality import direct, letters
from benchmarks.quality.exam import read_exams
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

(EXAM,) = (exam for exam in read_exams() if exam.package)
SHA256 = "6faa8ea85a8c1a634e5050c4a138fca10f30194e0d7abbe9ade1fcd423af6ed6"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """From the wheel that pip finds; nothing of it is imported."""
    place = tmp_path_factory.mktemp("ddddocr")
    words = ("--quiet", "--no-deps", "--only-binary", ":all:", "--dest", place, EXAM.package)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    directory = place / "ddddocr-det"
    shutil.copytree(MANIFESTS / "ddddocr-det", directory)
    (wheel,) = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(EXAM.file)
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
    answers = direct.opened(bundle / "model.onnx", direct.ddddocr)
    ours, theirs, apart_by = [], [], []
    for frame in letters.frames():
        answer = served.ask(DetectTask(frame.image, direct.LOWEST))
        pixels = np.asarray(Image.open(io.BytesIO(frame.image)).convert("RGB"))
        size = answer.width, answer.height
        mine = [(d.score, 0, *d.box) for d in answer.detections]
        ours.append(judged(mine, frame, size))
        theirs.append(judged(answers(pixels), frame, size))
        sure = ours[-1].boxes[ours[-1].scores >= 0.3]
        apart_by += [np.abs(theirs[-1].boxes - box).max(1).min() for box in sure]
    served.runner.close()
    precise, expected = average_precision(ours), average_precision(theirs)
    assert expected > 0.6
    assert precise == pytest.approx(expected, abs=0.01)
    # With sizes rounded to the nearest pixel, as others do, a quarter are more than a pixel away.
    assert np.percentile(apart_by, 75) < 0.9
