"""Each convention is decoded by its definition, checked on outputs worked out by hand."""

import numpy as np
import pytest

from plaza_core.errors import InvalidBundle
from plaza_core.tensors import DType, TensorSpec
from plaza_models.vision.decode import FastestDet, PlazaNano, YoloX


def spec(name, *shape):
    return TensorSpec(name, DType.FP32, shape)


def test_plaza_nano_is_ready_to_use():
    decoder = PlazaNano([spec("boxes", "batch", 2, 4), spec("scores", "batch", 2, 3)], (64, 64))
    boxes = np.arange(8, dtype=np.float32).reshape(1, 2, 4)
    found = decoder({"boxes": boxes, "scores": np.ones((1, 2, 3), np.float32)})
    assert decoder.classes == 3
    np.testing.assert_array_equal(found.boxes, boxes[0])
    assert found.scores.shape == (2, 3)


def test_yolox_counts_in_cells_of_three_strides():
    # 64 x 32: 8x4 cells of stride 8, then 4x2 of 16, then 2x1 of 32.
    decoder = YoloX([spec("output", 1, 42, 7)], (64, 32))
    raw = np.zeros((1, 42, 7), dtype=np.float32)
    raw[0, 8 + 3] = [0.5, 0.25, np.log(2), np.log(4), 0.5, 0.8, 0.2]  # cell x=3, y=1 of stride 8
    raw[0, 41] = [0.5, 0.5, 0, 0, 1, 0, 1]  # the last cell: x=1, y=0 of stride 32
    found = decoder({"output": raw})
    assert decoder.classes == 2
    np.testing.assert_allclose(found.boxes[11], [28 - 8, 10 - 16, 28 + 8, 10 + 16], atol=1e-5)
    np.testing.assert_allclose(found.scores[11], [0.4, 0.1], atol=1e-6)
    np.testing.assert_allclose(found.boxes[41], [32, 0, 64, 32], atol=1e-5)


def test_yolox_sizes_stay_finite():
    decoder = YoloX([spec("output", 1, 42, 6)], (64, 32))
    found = decoder({"output": np.full((1, 42, 6), 1e4, np.float32)})
    assert np.isfinite(found.boxes).all()


def test_fastestdet_squashes_offsets_and_sizes():
    decoder = FastestDet([spec("758", 1, 7, 2, 4)], (64, 32))  # 2 rows, 4 columns, cells of 16 px
    raw = np.zeros((1, 7, 2, 4), dtype=np.float32)
    raw[0, :, 1, 2] = [0.9, np.arctanh(0.5), np.arctanh(-0.25), 0.0, np.log(1 / 3), 0.2, 0.7]
    found = decoder({"758": raw})
    cell = 1 * 4 + 2
    centre_x, centre_y, width, height = 2.5 * 16, 0.75 * 16, 0.5 * 64, 0.25 * 32
    expected = [
        centre_x - width / 2,
        centre_y - height / 2,
        centre_x + width / 2,
        centre_y + height / 2,
    ]
    np.testing.assert_allclose(found.boxes[cell], expected, rtol=1e-5)
    np.testing.assert_allclose(
        found.scores[cell], 0.9**0.6 * np.array([0.2, 0.7]) ** 0.4, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("decoder", "outputs"),
    [
        (PlazaNano, [spec("output", 1, 42, 7)]),
        (PlazaNano, [spec("boxes", "batch", 5, 4), spec("scores", "batch", 6, 1)]),
        (YoloX, [spec("output", 1, 43, 7)]),
        (YoloX, [spec("output", 1, 42, 5)]),
        (YoloX, [spec("output", 1, 42, "classes")]),
        (FastestDet, [spec("758", 1, 85, 22)]),
        (FastestDet, [spec("758", 1, 85, "rows", 22)]),
    ],
)
def test_a_signature_of_another_convention_is_refused(decoder, outputs):
    with pytest.raises(InvalidBundle) as refusal:
        decoder(outputs, (64, 32))
    assert refusal.value.input == "options.decoder"
