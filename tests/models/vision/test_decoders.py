"""The usual exports, each decoded by its definition: outputs worked out by hand, box by box."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.errors import InvalidBundle
from plaza_core.tensors import DType, TensorSpec
from plaza_models.vision.decode_ssd import PriorLevel, priors
from plaza_models.vision.decoders import make_decoder
from plaza_models.vision.form import as_corners

SIZE = (64, 32)


def spec(name, *shape):
    return TensorSpec(name, DType.FP32, shape)


def decoded(name, arrays, labels=2, **decoding):
    """What the decoder makes of outputs whose signature is their own shape."""
    outputs = [spec(key, *value.shape) for key, value in arrays.items()]
    decoder = make_decoder(name, outputs, SIZE, decoding, labels)
    assert decoder.classes == labels
    return decoder({key: value.astype(np.float32) for key, value in arrays.items()})


def logit(probability):
    return np.log(probability / (1 - probability))


def distribution(mean, bins):
    """Logits whose softmax is split between the two whole numbers around `mean`."""
    low = int(mean)
    shares = np.full(bins, 1e-12)
    shares[low] += 1 - (mean - low)
    shares[min(low + 1, bins - 1)] += mean - low
    return np.log(shares)


# ── rows and columns ─────────────────────────────────────────────────────────────────────────────
def test_yolov5_multiplies_objectness_and_class():
    table = np.array([[[20, 10, 8, 4, 0.5, 0.8, 0.2], [0, 0, 2, 2, 0, 1, 1]]])
    found = decoded("yolov5", {"output0": table})
    np.testing.assert_allclose(found.boxes, [[16, 8, 24, 12], [-1, -1, 1, 1]])
    np.testing.assert_allclose(found.scores, [[0.4, 0.1], [0, 0]], atol=1e-6)


def test_yolov8_has_candidates_in_columns_and_no_objectness():
    table = np.array([[20, 10, 8, 4, 0.3, 0.6], [40, 16, 10, 10, 0.9, 0.1]]).T[None]
    found = decoded("yolov8", {"output0": table})
    np.testing.assert_allclose(found.boxes, [[16, 8, 24, 12], [35, 11, 45, 21]])
    np.testing.assert_allclose(found.scores, [[0.3, 0.6], [0.9, 0.1]], atol=1e-6)


def test_what_differs_between_exports_is_declared():
    table = np.array([[[0.25, 0.5, 0.5, 1.0, logit(0.3), logit(0.6)]]])
    found = decoded(
        "yolov8",
        {"out": table},
        candidates="rows",
        boxes="corners",
        units="fractions",
        activation="sigmoid",
    )
    np.testing.assert_allclose(found.boxes, [[16, 16, 32, 32]])
    np.testing.assert_allclose(found.scores, [[0.3, 0.6]], atol=1e-6)


# ── distributions ────────────────────────────────────────────────────────────────────────────────
def test_nanodet_plus_takes_means_of_distributions_in_strides():
    # 64 x 32: 8x4 cells of stride 8, 4x2 of 16, 2x1 of 32, 1x1 of 64: 43 points.
    table = np.zeros((1, 43, 2 + 4 * 8))
    point = 32 + 4 + 2  # of stride 16: x=2, y=1
    table[0, point, :2] = [0.2, 0.7]
    table[0, point, 2:] = np.concatenate([distribution(d, 8) for d in (1, 0.5, 0.25, 1)])
    found = decoded("nanodet", {"output": table})
    np.testing.assert_allclose(found.boxes[point], [32 - 16, 16 - 8, 32 + 4, 16 + 16], atol=1e-3)
    np.testing.assert_allclose(found.scores[point], [0.2, 0.7], atol=1e-6)


def test_older_nanodets_have_a_pair_of_outputs_per_stride_and_points_in_the_middle():
    arrays = {}
    for stride, points in ((32, 2), (8, 32), (16, 8)):
        arrays[f"dis_{stride}"] = np.zeros((1, points, 32))
        arrays[f"cls_{stride}"] = np.zeros((1, points, 2))
    arrays["cls_32"][0, 1] = [logit(0.9), logit(0.1)]
    arrays["dis_32"][0, 1] = np.concatenate([distribution(d, 8) for d in (0.5, 0.5, 0.25, 0.5)])
    found = decoded("nanodet", arrays, strides=[8, 16, 32], centre=0.5, activation="sigmoid")
    np.testing.assert_allclose(found.boxes[41], [48 - 16, 0, 48 + 8, 32], atol=1e-3)
    np.testing.assert_allclose(found.scores[41], [0.9, 0.1], atol=1e-6)
    np.testing.assert_allclose(found.scores[0], [0.5, 0.5], atol=1e-6)


# ── priors ───────────────────────────────────────────────────────────────────────────────────────
def test_ssd_with_its_priors_worked_in_drops_the_background():
    arrays = {
        "scores": np.array([[[0.9, 0.1, 0], [0.2, 0.3, 0.5]]]),
        "boxes": np.array([[[0, 0, 0.5, 0.5], [0.25, 0.5, 0.5, 1]]]),
    }
    found = decoded("ssd", arrays)
    np.testing.assert_allclose(found.boxes, [[0, 0, 32, 16], [16, 16, 32, 32]])
    np.testing.assert_allclose(found.scores, [[0.1, 0], [0.3, 0.5]], atol=1e-6)


def test_ssd_moves_and_scales_its_priors():
    levels = [{"step": 32, "smallest": 16, "largest": 64, "ratios": [4]}]
    # 2 x 1 cells, 4 priors each: 16 x 16, 32 x 32, 32 x 8, 8 x 32.
    boxes = np.zeros((1, 8, 4))
    boxes[0, 6] = [1, -2, np.log(2) / 0.2, 0]  # second cell, 32 x 8
    scores = np.zeros((1, 8, 3))
    scores[0, 6] = np.log([0.1, 0.2, 0.7])
    found = decoded(
        "ssd", {"loc": boxes, "conf": scores}, boxes="offsets", priors=levels, activation="softmax"
    )
    centre_x, centre_y = 48 + 0.1 * 32, 16 - 0.2 * 8
    expected = [centre_x - 32, centre_y - 4, centre_x + 32, centre_y + 4]
    np.testing.assert_allclose(found.boxes[6], expected, rtol=1e-5)
    np.testing.assert_allclose(found.scores[6], [0.2, 0.7], rtol=1e-5)


def test_priors_have_the_area_that_was_asked_for():
    level = PriorLevel(step=16, smallest=20, ratios=(2, 3))
    sides = priors(SIZE, [level])[:, 2:]
    assert len(sides) == 4 * 2 * 5
    np.testing.assert_allclose(sides.prod(1), 400, rtol=1e-5)


# ── finished ─────────────────────────────────────────────────────────────────────────────────────
def test_a_table_of_finished_detections():
    found = decoded("end-to-end", {"out": np.array([[[1, 2, 3, 4, 0.9, 1], [0, 0, 5, 5, 0.4, 0]]])})
    np.testing.assert_allclose(found.boxes, [[1, 2, 3, 4], [0, 0, 5, 5]])
    assert found.scores[0, 1] == np.float32(0.9)
    assert found.scores[1, 0] == np.float32(0.4)


def test_rows_of_other_pictures_and_unknown_classes_are_left_out():
    rows = np.array([[0, 1, 2, 3, 4, 1, 0.9], [-1, 0, 0, 9, 9, 1, 0.8], [0, 0, 0, 9, 9, 7, 0.7]])
    found = decoded("end-to-end", {"out": rows}, columns=["picture", "box", "class", "score"])
    assert found.boxes.tolist() == [[1, 2, 3, 4], [0, 0, 9, 9]]
    assert np.isfinite(found.scores).all(1).tolist() == [True, False]


def test_a_tensor_each_with_a_count():
    arrays = {
        "detection_boxes": np.array([[[0.5, 0.25, 1, 0.5], [0, 0, 1, 1]]]),
        "detection_scores": np.array([[0.9, 0.8]]),
        "detection_classes": np.array([[2.0, 1.0]]),
        "num_detections": np.array([1.0]),
    }
    names = {
        "boxes": "detection_boxes",
        "scores": "detection_scores",
        "classes": "detection_classes",
        "count": "num_detections",
    }
    found = decoded(
        "end-to-end", arrays, tensors=names, boxes="yx-corners", units="fractions", first_class=1
    )
    np.testing.assert_allclose(found.boxes, [[16, 16, 32, 32]])
    np.testing.assert_allclose(found.scores, [[0, 0.9]], atol=1e-6)


def test_finished_detections_may_come_without_the_picture_axis():
    arrays = {"boxes": np.array([[1, 2, 3, 4]]), "scores": np.array([0.5])}
    found = decoded("end-to-end", arrays, labels=1, tensors={"boxes": "boxes", "scores": "scores"})
    assert found.boxes.tolist() == [[1, 2, 3, 4]]
    assert found.scores.tolist() == [[0.5]]


def test_nothing_found_is_nothing():
    for shape in ((1, 0, 6), (0, 6)):
        found = decoded("end-to-end", {"out": np.zeros(shape)})
        assert found.boxes.shape == (0, 4)
        assert found.scores.shape == (0, 2)


# ── what does not fit is refused by name ─────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("name", "shapes", "decoding", "input"),
    [
        ("yolov5", {"o": (1, 9, 5)}, {}, "options.decoder"),
        ("yolov5", {"o": (9, 7)}, {}, "options.decoder"),
        ("yolov8", {"o": (1, "n", 6)}, {}, "options.decoder"),
        ("yolov8", {"o": (1, 6, 9), "p": (1, 6, 9)}, {}, "options.decoder"),
        ("yolov8", {"o": (1, 6, 9)}, {"candidates": "diagonals"}, "options.decoding.candidates"),
        ("yolox", {"o": (1, 42, 7)}, {"strides": [8, 0]}, "options.decoding.strides.1"),
        ("nanodet", {"o": (1, 42, 34)}, {}, "options.decoder"),
        ("nanodet", {"o": (1, 43, 32)}, {}, "options.decoder"),
        ("nanodet", {"o": (1, 43, 2), "p": (1, 43, 32)}, {}, "options.decoder"),
        ("ssd", {"o": (1, 9, 5)}, {}, "options.decoder"),
        ("ssd", {"o": (1, 9, 5), "p": (1, 9, 6)}, {}, "options.decoder"),
        ("ssd", {"o": (1, 9, 4), "p": (1, 9, 3)}, {"boxes": "offsets"}, "options.decoding"),
        ("ssd", {"o": (1, 9, 4), "p": (1, 9, 3)},
         {"boxes": "offsets", "priors": [{"step": 32, "smallest": 9}]}, "options.decoder"),
        ("end-to-end", {"o": (1, 9, 7)}, {}, "options.decoder"),
        ("end-to-end", {"o": (1, 9, 6)}, {"columns": ["box", "box"]}, "options.decoding"),
        ("end-to-end", {"o": (1, 9, 4)}, {"tensors": {"boxes": "o", "scores": "s"}},
         "options.decoder"),
        ("plaza-nano", {"boxes": (1, 9, 4), "scores": (1, 9, 2)}, {"n": 1}, "options.decoding.n"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(name, shapes, decoding, input):
    outputs = [spec(key, *shape) for key, shape in shapes.items()]
    with pytest.raises(InvalidBundle) as refusal:
        make_decoder(name, outputs, SIZE, decoding, 2)
    assert refusal.value.input == input


@given(st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4))
def test_every_way_to_write_a_box_says_the_same(values):
    x1, x2 = sorted((values[0] * 64, values[1] * 64))
    y1, y2 = sorted((values[2] * 32, values[3] * 32))
    forms = {
        "corners": (x1, y1, x2, y2),
        "yx-corners": (y1, x1, y2, x2),
        "centres": ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1),
        "corner-size": (x1, y1, x2 - x1, y2 - y1),
    }
    for form, row in forms.items():
        table = np.array([row], np.float32)
        found = as_corners(table, form, "pixels", SIZE)
        np.testing.assert_allclose(found, [[x1, y1, x2, y2]], atol=1e-4)
