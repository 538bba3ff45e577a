"""Bundles made of bundles: a judge with limits of its own, a detector in 8-bit integers."""

import hashlib
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml

from plaza_accel.providers.cpu import provider
from plaza_core.errors import Conflict, InvalidInput
from plaza_core.manifest import CARD_FILE, MANIFEST_FILE, MODEL_FILE
from plaza_models.tasks import DetectTask
from plaza_models.vision.tasks import QualityTask
from plaza_registry.bundle import read_bundle
from plaza_training.served import serve
from plaza_training.vision.damage import black, encoded
from plaza_training.vision.judge import figures, judge
from plaza_training.vision.limits import with_limits
from plaza_training.vision.render import rendered_frame
from plaza_training.vision.sets import load_road_data

MODELS = Path(__file__).parents[3] / "models"
FLOAT, INT8 = MODELS / "bundles" / "road-vehicles", MODELS / "variants" / "road-vehicles-int8"
JUDGE = MODELS / "bundles" / "picture-quality"
DATA = Path(os.environ.get("PLAZA_DATA", "data"))


@pytest.fixture
def opened():
    running = []

    def open_bundle(directory):
        running.append(serve(directory, provider))
        return running[-1]

    yield open_bundle
    for served in running:
        served.runner.close()


def front(directory):
    return yaml.safe_load((directory / CARD_FILE).read_text(encoding="utf-8").split("---\n")[1])


# ── limits ───────────────────────────────────────────────────────────────────────────────────────
def test_a_tunnel_may_be_dark(tmp_path, opened):
    night = encoded(black(np.random.default_rng(0), np.full((240, 320, 3), 200, np.uint8)))
    with_limits(JUDGE, {"bright": 5, "flat": 1}, tmp_path / "tunnel")
    before, after = (
        opened(directory).ask(QualityTask((night,))) for directory in (JUDGE, tmp_path / "tunnel")
    )
    assert before.pictures[0].faults == ("black",)
    assert after.pictures[0].faults == ()
    assert front(tmp_path / "tunnel")["limits"] == {"bright": 5, "flat": 1}
    assert read_bundle(tmp_path / "tunnel").digest != read_bundle(JUDGE).digest


def test_a_measure_that_is_none_is_named(tmp_path):
    with pytest.raises(InvalidInput, match="no measure 'dim'; there are: bright, dark"):
        with_limits(JUDGE, {"dim": 5}, tmp_path / "tunnel")
    (tmp_path / "there").mkdir()
    with pytest.raises(Conflict):
        with_limits(JUDGE, {"bright": 5}, tmp_path / "there")


# ── 8-bit integers ───────────────────────────────────────────────────────────────────────────────
def test_the_small_detector_is_a_version_of_the_large_one():
    assert (INT8 / MANIFEST_FILE).read_bytes() == (FLOAT / MANIFEST_FILE).read_bytes()
    said, content = front(INT8), (INT8 / MODEL_FILE).read_bytes()
    assert said["model"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert said["model"]["bytes"] == len(content) < 1_000_000
    assert said["quantised"]["of"] == str(read_bundle(FLOAT).digest)


def test_its_last_convolutions_are_floats_and_all_others_are_not():
    graph = onnx.load(INT8 / MODEL_FILE).graph
    makers = {output: node for node in graph.node for output in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    integer = [n for n in convolutions if makers[n.input[0]].op_type == "DequantizeLinear"]
    assert len(convolutions) == 36
    assert {node.name for node in convolutions} - {node.name for node in integer} == set()
    floats = [n for n in convolutions if n.input[1] not in makers]
    assert len(floats) == 6


def test_both_see_the_same_cars(opened):
    frames = [rendered_frame(3, number, (640, 360)) for number in range(2)]
    for frame in frames:
        large, small = (
            opened(d).ask(DetectTask(frame.image, threshold=0.5)) for d in (FLOAT, INT8)
        )
        assert abs(len(large.detections) - len(small.detections)) <= 1


@pytest.mark.data
@pytest.mark.prove
@pytest.mark.skipif(
    not (DATA / "vis-vehicle626").is_dir(), reason=f"no vis-vehicle626 in {DATA} (PLAZA_DATA)"
)
def test_its_precision_is_the_cards(opened):
    served = opened(INT8)
    known = judge(served, load_road_data(DATA).known)
    again = figures("known", known, served.manifest.options["threshold"])
    said = front(INT8)["metrics"]
    assert again["ap50_known"] == pytest.approx(said["ap50_known"], abs=5e-3)
    assert said["ap50_known"] > front(FLOAT)["metrics"]["ap50_known"] - 0.01
    assert said["ap50_unseen"] > front(FLOAT)["metrics"]["ap50_unseen"] - 0.01
