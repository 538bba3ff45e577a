"""A box that goes into the input and back lies where it was."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from plaza_models.vision.fit import letterbox, paste, stretch

sides = st.integers(1, 5000)
inputs = st.sampled_from([(384, 384), (416, 416), (352, 352), (640, 384), (96, 256)])


@st.composite
def picture_and_boxes(draw):
    width, height = draw(sides), draw(sides)
    corners = draw(st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=5))
    boxes = np.sort(np.array(corners).reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    return width, height, (boxes * [width, height, width, height]).astype(np.float32)


fits = st.sampled_from(["centre", "corner", "stretch", "down"])


@given(picture_and_boxes(), inputs, fits)
def test_there_and_back_within_half_a_pixel(case, size, how):
    width, height, boxes = case
    if how == "stretch":
        fit = stretch(width, height, size)
    elif how == "down":
        fit = letterbox(width, height, size, "corner", "down")
    else:
        fit = letterbox(width, height, size, how)
    there = fit.to_input(boxes)
    assert (there >= -1e-3).all()
    assert (there <= np.array([*size, *size]) + 1e-3).all()
    assert np.abs(fit.to_picture(there) - boxes).max() <= 0.5


@given(sides, sides, inputs, st.sampled_from(["nearest", "down"]))
def test_a_letterbox_fills_one_side_and_keeps_the_proportions(width, height, size, rounding):
    fit = letterbox(width, height, size, rounding=rounding)
    ratio = min(size[0] / width, size[1] / height)
    exact = np.maximum(1, [width * ratio, height * ratio])
    if rounding == "nearest":
        assert fit.inner[0] == size[0] or fit.inner[1] == size[1]
        assert (np.abs(fit.inner - exact) <= 0.5 + 1e-6).all()
    else:
        assert (fit.inner <= exact + 1e-6).all()
        assert (fit.inner > exact - 1 - 1e-6).all()


def test_boxes_outside_the_picture_are_clipped_to_it():
    fit = letterbox(200, 100, (100, 100))
    outside = np.array([[-50, 0, 300, 100]], dtype=np.float32)
    assert fit.to_picture(outside).tolist() == [[0, 0, 200, 100]]


def test_the_picture_is_pasted_where_the_fit_says():
    fit = letterbox(8, 4, (16, 16))
    canvas = paste(np.full((4, 8, 3), 200, np.uint8), fit, (16, 16), fill=7)
    assert fit.offset == (0, 4)
    assert (canvas[4:12] == 200).all()
    assert (canvas[:4] == 7).all()
    assert (canvas[12:] == 7).all()
    corner = letterbox(8, 4, (16, 16), "corner")
    assert (paste(np.full((4, 8, 3), 200, np.uint8), corner, (16, 16), 7)[:8] == 200).all()


@given(st.integers(2, 40), st.integers(2, 40), st.integers(1, 60), st.integers(1, 60))
def test_linear_lies_between_the_four_nearest_pixels(width, height, new_width, new_height):
    pixels = np.random.default_rng(width * 41 + height).integers(0, 256, (height, width, 3))
    fit = stretch(width, height, (new_width, new_height))
    found = paste(pixels.astype(np.uint8), fit, (new_width, new_height), 0, "linear")
    xs = ((np.arange(new_width) + 0.5) * width / new_width - 0.5).clip(0, width - 1)
    ys = ((np.arange(new_height) + 0.5) * height / new_height - 0.5).clip(0, height - 1)
    x, y = np.minimum(xs.astype(int), width - 2), np.minimum(ys.astype(int), height - 2)
    a, b = (xs - x)[None, :, None], (ys - y)[:, None, None]
    upper = pixels[y][:, x] * (1 - a) + pixels[y][:, x + 1] * a
    lower = pixels[y + 1][:, x] * (1 - a) + pixels[y + 1][:, x + 1] * a
    assert np.abs(found - (upper * (1 - b) + lower * b)).max() < 1.01
