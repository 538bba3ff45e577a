"""Detectors of other projects are served by a manifest alone.

The manifests lie in `third_party/`; the weights are not ours to ship and come from the data
directory. The pictures are frames of public road cameras from there as well.
"""

import numpy as np
import pytest

from plaza_models.tasks import DetectTask
from plaza_models.tensor import TensorFamily
from plaza_models.tensor import open_family as open_tensor
from plaza_models.vision.detect import open_family
from plaza_models.vision.draw import draw
from tests.models.vision.third_parties import DATA, VEHICLES, bundle

STREET = "16_mp4-1_jpg.rf.3493f4b7618e207609847857a20dbaff.jpg"
HIGHWAY = "10_mp4-16_jpg.rf.b01"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(
        not (DATA / "models").is_dir(), reason=f"no third-party models in {DATA}/models"
    ),
]


def frame(start):
    folder = DATA / "vis-vehicle626" / "valid" / "images"
    if not folder.is_dir():
        pytest.skip(f"no vis-vehicle626 in {DATA}")
    return next(folder.glob(f"{start}*")).read_bytes()


@pytest.mark.parametrize(
    ("name", "weights"), [("fastestdet", "FastestDet.onnx"), ("yolox-nano", "yolox_nano.onnx")]
)
@pytest.mark.parametrize(("start", "least"), [(STREET, 8), (HIGHWAY, 12)])
def test_it_finds_the_vehicles_on_a_real_road(tmp_path, name, weights, start, least):
    manifest, run = bundle(tmp_path, name, weights)
    family = open_family(tmp_path, manifest)
    image = frame(start)
    prepared = family.prepare(DetectTask(image))
    found = family.interpret(run(prepared.tensors), prepared.context)
    assert (found.width, found.height) == (640, 640)
    vehicles = [d for d in found.detections if d.label in VEHICLES]
    assert len(vehicles) >= least
    for vehicle in vehicles:
        x1, y1, x2, y2 = vehicle.box
        assert 0 <= x1 < x2 <= 640
        assert 0 <= y1 < y2 <= 640
        assert 5 < x2 - x1 < 320
        assert 5 < y2 - y1 < 320
    assert draw(image, found).startswith(b"\xff\xd8\xff")


def test_the_two_detectors_agree_on_where_the_clear_cars_are(tmp_path):
    """Conventions differ in every respect; a wrong decoder would not land on the same cars."""
    image, boxes = frame(STREET), []
    for name, weights in (("fastestdet", "FastestDet.onnx"), ("yolox-nano", "yolox_nano.onnx")):
        manifest, run = bundle(tmp_path / name, name, weights)
        family = open_family(tmp_path / name, manifest)
        prepared = family.prepare(DetectTask(image, threshold=0.6))
        found = family.interpret(run(prepared.tensors), prepared.context)
        boxes.append([d.box for d in found.detections if d.label == "car"])
    distances = np.abs(np.array(boxes[0])[:, None] - np.array(boxes[1])[None]).max(2)
    near = (distances.min(1) < 24).sum()
    assert near >= 3


def test_a_model_without_batch_axis_takes_tensors(tmp_path):
    manifest, run = bundle(tmp_path, "mnist", "mnist.onnx")
    assert isinstance(open_tensor(tmp_path, manifest), TensorFamily)
    signature = manifest.signature_spec()
    assert not signature.batched
    tensors = {"Input3": np.zeros((1, 1, 28, 28), dtype=np.float32)}
    assert signature.check(tensors) == 1
    outputs = run(tensors)
    for spec in signature.outputs:
        spec.check(outputs[spec.name])
