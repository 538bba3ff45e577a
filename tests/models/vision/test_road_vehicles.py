"""The shipped detector: its files agree with one another, and it does what its card says."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml

from plaza_accel.providers.cpu import provider
from plaza_core.manifest import CARD_FILE, MANIFEST_FILE, MODEL_FILE, parse_manifest
from plaza_models.tasks import DetectTask
from plaza_models.vision.detect import open_family
from plaza_models.vision.draw import draw
from plaza_training.served import Opened
from plaza_training.vision.judge import figures, judge
from plaza_training.vision.sets import HELD_OUT_VIDEOS, load_road_data

ROOT = Path(__file__).parents[3]
BUNDLE = ROOT / "models" / "bundles" / "road-vehicles"
DATA = Path(os.environ.get("PLAZA_DATA", "data"))


@pytest.fixture(scope="module")
def manifest():
    return parse_manifest((BUNDLE / MANIFEST_FILE).read_bytes())


@pytest.fixture(scope="module")
def served(manifest):
    opened = Opened(manifest, open_family(BUNDLE, manifest), provider.open(BUNDLE, manifest))
    yield opened
    opened.runner.close()


@pytest.fixture(scope="module")
def card():
    text = (BUNDLE / CARD_FILE).read_text(encoding="utf-8")
    return yaml.safe_load(text.split("---\n")[1])


def test_it_is_nano(card):
    assert (BUNDLE / MODEL_FILE).stat().st_size <= 4_000_000
    graph = onnx.load(BUNDLE / MODEL_FILE)
    assert max(o.version for o in graph.opset_import if o.domain in {"", "ai.onnx"}) <= 20
    assert card["model"]["weights"] <= 1_000_000
    assert card["model"]["bytes"] == (BUNDLE / MODEL_FILE).stat().st_size


def test_the_signature_is_that_of_the_graph(manifest, served):
    assert served.runner.signature == manifest.signature_spec()
    assert manifest.signature_spec().batched


def test_the_card_says_where_it_comes_from(card):
    assert card["licence"] == "Apache-2.0"
    assert {d["licence"] for d in card["data"]} == {"CC-BY-4.0"}
    assert card["parameters"]["held_out_videos"] == list(HELD_OUT_VIDEOS)
    assert card["parity"]["max_abs_error"] < 1e-3  # pixels of the input
    assert card["metrics"]["ap50_unseen"] > 0.75


@pytest.mark.parametrize(("picture", "least"), [("highway.jpg", 12), ("street.jpg", 8)])
def test_it_finds_the_vehicles_of_the_demonstration(served, picture, least):
    image = (ROOT / "demo" / "inputs" / picture).read_bytes()
    found = served.ask(DetectTask(image))
    assert (found.width, found.height) == (480, 480)
    assert least <= len(found.detections) <= 40
    assert {d.label for d in found.detections} == {"vehicle"}
    for detection in found.detections:
        x1, y1, x2, y2 = detection.box
        assert 4 < x2 - x1 < 240
        assert 4 < y2 - y1 < 240
    assert draw(image, found).startswith(b"\xff\xd8\xff")


def test_pictures_may_share_a_batch(served):
    images = [(ROOT / "demo" / "inputs" / n).read_bytes() for n in ("highway.jpg", "street.jpg")]
    prepared = [served.family.prepare(DetectTask(image)) for image in images]
    batch = {"image": np.concatenate([p.tensors["image"] for p in prepared])}
    outputs = served.runner.run(batch)
    for row, (image, own) in enumerate(zip(images, prepared, strict=True)):
        mine = {name: rows[row : row + 1] for name, rows in outputs.items()}
        together = served.family.interpret(mine, own.context)
        alone = served.ask(DetectTask(image))
        assert [d.box for d in together.detections] == [
            pytest.approx(d.box, abs=0.05) for d in alone.detections
        ]


def test_the_rendered_sample_is_answered(served, manifest):
    (sample,) = manifest.samples
    found = served.ask(DetectTask((BUNDLE / sample).read_bytes()))
    assert (found.width, found.height) == (640, 360)


@pytest.mark.data
@pytest.mark.skipif(
    not (DATA / "vis-vehicle626").is_dir(), reason=f"no vis-vehicle626 in {DATA} (PLAZA_DATA)"
)
def test_its_precision_on_known_cameras_is_the_cards(served, manifest, card):
    known = judge(served, load_road_data(DATA).known)
    again = figures("known", known, manifest.options["threshold"])
    for metric in ("ap50_known", "ap50_95_known", "precision_known", "recall_known"):
        assert again[metric] == pytest.approx(card["metrics"][metric], abs=2e-3)
