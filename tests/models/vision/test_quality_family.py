"""`vision.quality`: pictures in, faults with reasons out; what is no picture is refused."""

import io
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from plaza_core.errors import InvalidBundle, InvalidInput, UnsupportedMedia
from plaza_core.manifest import MANIFEST_FILE, parse_manifest
from plaza_models.tasks import DetectTask
from plaza_models.vision.quality import LIMITS, MEASURES, SIGNS
from plaza_models.vision.quality_family import open_family
from plaza_models.vision.tasks import MOST_IMAGES, QualityTask
from plaza_training.vision.conditions import render_camera
from plaza_training.vision.damage import DAMAGES, encoded

BUNDLE = Path(__file__).parents[3] / "models" / "bundles" / "picture-quality"


@pytest.fixture(scope="module")
def manifest():
    return parse_manifest((BUNDLE / MANIFEST_FILE).read_bytes())


@pytest.fixture(scope="module")
def graph():
    """The arithmetic of the shipped graph, from its own weights."""
    weights = {
        one.name: numpy_helper.to_array(one)
        for one in onnx.load(BUNDLE / "model.onnx").graph.initializer
    }
    return lambda x: (x - weights["limits"]) * weights["signs"]


@pytest.fixture(scope="module")
def ask(manifest, graph):
    family = open_family(BUNDLE, manifest)

    def ask(*images, draw=None):
        prepared = family.prepare(QualityTask(images, draw))
        measures = prepared.tensors["measures"]
        assert prepared.rows == len(measures)
        return family.interpret({"excess": graph(measures)}, prepared.context)

    return ask


@pytest.fixture(scope="module")
def road():
    return np.asarray(render_camera(np.random.default_rng(3), "day").picture)


def test_the_shipped_limits_are_those_that_detection_goes_by(graph):
    values = np.linspace(0, 200, len(MEASURES) * 5, dtype=np.float32).reshape(5, -1)
    np.testing.assert_array_equal(graph(values), (values - LIMITS) * SIGNS)


@pytest.mark.parametrize("name", sorted(set(DAMAGES) - {"slip"}))
def test_a_fault_comes_with_its_reasons(ask, road, name):
    fault, damage = DAMAGES[name]
    (one,) = ask(encoded(damage(np.random.default_rng(0), road))).pictures
    assert one.faults == (fault,)
    reasons = {m.name for m in one.measures if m.fault == fault and m.excess > 0}
    assert reasons >= {"fog": {"veil", "detail", "median"}, "black": {"bright"}}.get(name, set())
    assert reasons
    assert {m.name for m in one.measures} == {m.name for m in MEASURES}


def test_a_sequence_is_judged_in_order(ask, road):
    fine, small = encoded(road), encoded(road[::2, ::2])
    found = ask(fine, fine, fine[: len(fine) // 2], small, b"\xff\xd8\xff\xe0")
    assert [one.faults for one in found.pictures] == [
        (),
        ("frozen",),
        ("damaged",),
        ("other-size",),
        ("damaged",),
    ]
    assert found.usable == 1
    change = [one.measures[-1].value for one in found.pictures if one.measures]
    assert change == [None, 0.0, None]
    assert found.pictures[2].measures == ()


def test_a_damaged_picture_alone_is_an_answer(ask, road):
    found = ask(encoded(road)[:3000])
    assert (found.usable, found.pictures[0].faults) == (0, ("damaged",))


@pytest.mark.parametrize(
    ("image", "kind"),
    [(b"", InvalidInput), (b"<html>", InvalidInput), (b"GIF89a" + b"0" * 40, UnsupportedMedia)],
)
def test_what_is_no_picture_is_refused_and_in_a_sequence_by_number(ask, road, image, kind):
    with pytest.raises(kind) as refused:
        ask(image)
    assert refused.value.input == "image"
    with pytest.raises(kind, match="picture 1: ") as refused:
        ask(encoded(road), image)
    assert refused.value.input == "images[1]"


def test_a_picture_of_too_many_pixels_is_refused_not_called_damaged(manifest, road):
    family = open_family(BUNDLE, manifest, max_pixels=100)
    with pytest.raises(InvalidInput, match="the largest picture has 100"):
        family.prepare(QualityTask((encoded(road),)))


def test_too_many_too_few_and_another_task(manifest, road):
    family = open_family(BUNDLE, manifest)
    for images in ((), (b"",) * (MOST_IMAGES + 1)):
        with pytest.raises(InvalidInput) as refused:
            family.prepare(QualityTask(images))
        assert refused.value.input == "images"
    with pytest.raises(InvalidInput):
        family.prepare(DetectTask(encoded(road)))


@pytest.mark.parametrize("where", ["inputs", "outputs"])
def test_a_graph_of_other_measures_is_refused(manifest, where):
    document = manifest.model_dump(mode="json", by_alias=True)
    document["signature"][where][0]["shape"] = ["batch", 3]
    with pytest.raises(InvalidBundle) as refused:
        open_family(BUNDLE, type(manifest).model_validate(document))
    assert refused.value.input == f"signature.{where}"


def test_drawn_a_fault_stands_on_the_picture_and_several_make_a_sheet(ask, road):
    torn = encoded(DAMAGES["smear"][1](np.random.default_rng(0), road))
    one = opened(ask(torn, draw="PNG").picture)
    assert one.size == road.shape[1::-1]
    red, green, _ = one.convert("RGB").getpixel((one.width - 2, 2))
    assert red > 150
    assert green < 80
    fine = opened(ask(encoded(road), draw="JPEG").picture).convert("RGB")
    assert fine.getpixel((fine.width - 2, 2))[1] > 100
    sheet = opened(ask(encoded(road), torn, torn[:2000], draw="PNG").picture)
    assert sheet.size == (640, 480)


def opened(data):
    return Image.open(io.BytesIO(data))
