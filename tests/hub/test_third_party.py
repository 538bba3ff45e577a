"""Files that nobody here trained serve through `plaza models register`."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.hub.waiting import until

DATA = Path(os.environ.get("PLAZA_DATA", ""))
pytestmark = [
    pytest.mark.hub,
    pytest.mark.data,
    pytest.mark.skipif(
        not (DATA / "models" / "mnist.onnx").is_file(), reason="PLAZA_DATA has no models"
    ),
]
MANIFESTS = Path(__file__).parents[1] / "models" / "vision" / "third_party"


@pytest.fixture
def cli(hub):
    def run(*words):
        done = subprocess.run(
            [sys.executable, "-m", "plaza_serving.cli", "--json", *words],
            env=hub.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    return run


def bundle(tmp_path, name, file):
    directory = tmp_path / name
    shutil.copytree(MANIFESTS / name, directory)
    shutil.copy(DATA / "models" / file, directory / "model.onnx")
    if "labels_file" in (directory / "plaza.yaml").read_text():
        shutil.copy(DATA / "models" / "coco.names", directory / "labels.txt")
    return directory


def test_fastestdet_finds_cars_on_a_real_road(hub, cli, tmp_path):
    directory = bundle(tmp_path, "fastestdet", "FastestDet.onnx")
    cli("models", "register", str(directory), "--visibility", "public")
    until(lambda: hub.admin.metadata("fastestdet"))
    still = max((DATA / "vis-uk-traffic-stills").rglob("*.jpg"), key=lambda p: p.stat().st_size)
    drawn = Path(os.environ.get("PLAZA_DRAWN", tmp_path)) / "fastestdet.png"
    found = cli("infer", "detect", str(still), "--model", "fastestdet", "--draw", str(drawn))
    assert drawn.stat().st_size > 10_000
    assert any(d["label"] in {"car", "truck", "bus"} for d in found["detections"])


def test_mnist_answers_as_raw_tensors(hub, cli, tmp_path):
    cli(
        "models", "register", str(bundle(tmp_path, "mnist", "mnist.onnx")), "--visibility", "public"
    )
    image = np.zeros((1, 1, 28, 28), np.float32)
    image[0, 0, 4:24, 13:16] = 255
    inputs = tuple(until(lambda: hub.admin.metadata("mnist")).inputs)
    answer = hub.admin.infer("mnist", {inputs[0].name: image})
    (scores,) = answer.outputs.values()
    assert scores.shape == (1, 10)
    assert scores.argmax() == 1
