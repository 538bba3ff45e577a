"""The family: options are checked when a bundle opens, and answers are in the picture's pixels."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from plaza_core.errors import InvalidBundle, InvalidInput, UnsupportedMedia
from plaza_core.manifest import manifest_from
from plaza_models.tasks import ClassifyTask, DetectTask
from plaza_models.vision.detect import open_family

POINTS = 6


def manifest(options=None, *, shape=("batch", 3, 64, 64), classes=2, **more):
    return manifest_from(
        {
            "name": "cars",
            "family": "vision.detect",
            "options": {"decoder": "plaza-nano", "labels": ["car", "bus"], **(options or {})},
            "signature": {
                "inputs": [{"name": "image", "datatype": "FP32", "shape": list(shape), **more}],
                "outputs": [
                    {"name": "boxes", "datatype": "FP32", "shape": [shape[0], POINTS, 4]},
                    {"name": "scores", "datatype": "FP32", "shape": [shape[0], POINTS, classes]},
                ],
            },
        }
    )


def png(width=128, height=64, colour=(255, 0, 0)):
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "PNG")
    return out.getvalue()


def outputs(*rows):
    """Rows of (x1, y1, x2, y2, car, bus) in pixels of the input; other points are empty."""
    table = np.zeros((1, POINTS, 6), dtype=np.float32)
    for index, row in enumerate(rows):
        table[0, index] = row
    return {"boxes": table[..., :4], "scores": table[..., 4:]}


def test_a_picture_becomes_one_letterboxed_row(tmp_path):
    prepared = open_family(tmp_path, manifest()).prepare(DetectTask(png()))
    image = prepared.tensors["image"]
    assert prepared.rows == 1
    assert image.shape == (1, 3, 64, 64)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[0, :, 32, 32], [1, 0, 0])
    np.testing.assert_allclose(image[0, :, 0, 0], 114 / 255, rtol=1e-6)


def test_preprocessing_is_as_the_manifest_says(tmp_path):
    how = {
        "fit": "stretch",
        "colours": "bgr",
        "layout": "nhwc",
        "scale": 1.0,
        "mean": [10, 20, 30],
        "std": [2, 4, 5],
    }
    family = open_family(tmp_path, manifest({"preprocess": how}, shape=(1, 64, 64, 3)))
    image = family.prepare(DetectTask(png())).tensors["image"]
    assert image.shape == (1, 64, 64, 3)
    np.testing.assert_allclose(image[0, 0, 0], [(0 - 10) / 2, (0 - 20) / 4, (255 - 30) / 5])


@pytest.mark.parametrize(("datatype", "dtype"), [("UINT8", np.uint8), ("FP16", np.float16)])
def test_the_tensor_has_the_datatype_of_the_signature(tmp_path, datatype, dtype):
    family = open_family(tmp_path, manifest(datatype=datatype))
    image = family.prepare(DetectTask(png())).tensors["image"]
    assert image.dtype == dtype
    assert image[0, 0, 32, 32] == (255 if datatype == "UINT8" else 1)


def test_boxes_come_back_in_pixels_of_the_picture_best_first(tmp_path):
    family = open_family(tmp_path, manifest())
    prepared = family.prepare(DetectTask(png(128, 64)))  # scaled by 1/2, 16 px of grey on top
    found = family.interpret(
        outputs((0, 16, 8, 26, 0.5, 0), (30, 20, 40, 30, 0.1, 0.9), (30, 20, 40, 30, 0.3, 0.2)),
        prepared.context,
    )
    assert (found.width, found.height) == (128, 64)
    assert [(d.label, round(d.score, 3)) for d in found.detections] == [("bus", 0.9), ("car", 0.5)]
    assert found.detections[1].box == pytest.approx((0, 0, 16, 20), abs=1e-4)


def test_what_lies_in_the_grey_border_is_not_reported(tmp_path):
    family = open_family(tmp_path, manifest())
    context = family.prepare(DetectTask(png(128, 64))).context
    assert family.interpret(outputs((10, 2, 30, 14, 0.9, 0)), context).detections == ()


def test_the_request_may_set_threshold_and_number(tmp_path):
    family = open_family(tmp_path, manifest({"threshold": 0.5}))
    rows = outputs((0, 20, 9, 30, 0.6, 0), (20, 20, 29, 30, 0.4, 0), (40, 20, 49, 30, 0.2, 0))

    def scores(**task):
        context = family.prepare(DetectTask(png(), **task)).context
        return [round(d.score, 3) for d in family.interpret(rows, context).detections]

    assert scores() == [0.6]
    assert scores(threshold=0.3) == [0.6, 0.4]
    assert scores(threshold=0.0, max_detections=3) == [0.6, 0.4, 0.2]
    assert scores(threshold=0.1, max_detections=1) == [0.6]
    assert scores(threshold=1.0) == []


@pytest.mark.parametrize(
    ("task", "input"),
    [
        ({"threshold": -0.1}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"threshold": 1.5}, "threshold"),
        ({"max_detections": 0}, "max_detections"),
    ],
)
def test_a_wrong_field_is_named(tmp_path, task, input):
    with pytest.raises(InvalidInput) as refusal:
        open_family(tmp_path, manifest()).prepare(DetectTask(png(), **task))
    assert refusal.value.input == input


def test_other_tasks_and_other_files_are_refused(tmp_path):
    family = open_family(tmp_path, manifest(), max_pixels=100)
    with pytest.raises(InvalidInput):
        family.prepare(ClassifyTask(("hello",)))
    with pytest.raises(UnsupportedMedia):
        family.prepare(DetectTask(b"GIF89a"))
    with pytest.raises(InvalidInput, match="largest picture has 100"):
        family.prepare(DetectTask(png(11, 10)))


def test_only_kept_labels_are_reported_and_others_do_not_turn_into_them(tmp_path):
    family = open_family(tmp_path, manifest({"keep": ["car"]}))
    context = family.prepare(DetectTask(png())).context
    rows = outputs((0, 20, 9, 30, 0.6, 0.9), (20, 20, 29, 30, 0.7, 0))
    assert [d.label for d in family.interpret(rows, context).detections] == ["car"]


def test_labels_may_live_in_a_file_of_the_bundle(tmp_path):
    (tmp_path / "coco.names").write_text("car\nbus\n\n")
    options = {"labels": None, "labels_file": "coco.names"}
    family = open_family(tmp_path, manifest(options))
    context = family.prepare(DetectTask(png())).context
    rows = outputs((20, 20, 29, 30, 0, 0.7))
    assert [d.label for d in family.interpret(rows, context).detections] == ["bus"]


def test_numbers_that_are_none_are_dropped(tmp_path):
    family = open_family(tmp_path, manifest())
    context = family.prepare(DetectTask(png())).context
    nan = float("nan")
    rows = outputs((nan, 20, 9, 30, 0.9, 0), (20, 20, 29, 30, nan, nan), (40, 20, 49, 30, 0.8, 0))
    assert [round(d.score, 3) for d in family.interpret(rows, context).detections] == [0.8]


@pytest.mark.parametrize(
    ("options", "input"),
    [
        ({"decoder": "yolo"}, "options.decoder"),
        ({"decoder": "nanodet"}, "options.decoder"),
        ({"decoding": {"strides": [8]}}, "options.decoding.strides"),
        ({"decoder": "yolox"}, "options.decoder"),
        ({"labels": ["car"]}, "options.labels"),
        ({"labels": None}, "options"),
        ({"labels": None, "labels_file": "missing.names"}, "options.labels_file"),
        ({"labels": None, "labels_file": "../secret"}, "options.labels_file"),
        ({"labels": None, "labels_file": "/etc/passwd"}, "options.labels_file"),
        ({"keep": ["tram"]}, "options.keep"),
        ({"threshold": 2}, "options.threshold"),
        ({"iou": -1}, "options.iou"),
        ({"max_detections": 0}, "options.max_detections"),
        ({"preprocess": {"colours": "cmyk"}}, "options.preprocess.colours"),
        ({"preprocess": {"std": [1, 0, 1]}}, "options.preprocess.std.1"),
        ({"preprocess": {"layout": "nhwc"}}, "signature.inputs"),
        ({"treshold": 0.5}, "options.treshold"),
    ],
)
def test_a_wrong_option_is_named(tmp_path, options, input):
    with pytest.raises(InvalidBundle) as refusal:
        open_family(tmp_path, manifest(options))
    assert refusal.value.input == input


@pytest.mark.parametrize(
    "shape",
    [("batch", 3, "height", "width"), ("batch", 1, 64, 64), (2, 3, 64, 64), ("batch", 3, 64)],
)
def test_an_input_that_is_no_picture_is_refused(tmp_path, shape):
    with pytest.raises(InvalidBundle) as refusal:
        open_family(tmp_path, manifest(shape=shape))
    assert refusal.value.input == "signature.inputs"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.floats(-100, 200, width=32)] * 4, *[st.floats(0, 1, width=32)] * 2),
        max_size=POINTS,
    ),
    st.integers(1, 200),
    st.integers(1, 200),
)
def test_whatever_the_model_says_the_answer_is_sorted_and_inside(tmp_path_factory, rows, w, h):
    family = open_family(tmp_path_factory.getbasetemp(), manifest({"threshold": 0.1}))
    context = family.prepare(DetectTask(png(w, h))).context
    found = family.interpret(outputs(*rows), context)
    scores = [d.score for d in found.detections]
    assert scores == sorted(scores, reverse=True)
    for detection in found.detections:
        x1, y1, x2, y2 = detection.box
        assert 0 <= x1 < x2 <= w
        assert 0 <= y1 < y2 <= h
        assert detection.score >= np.float32(0.1)
