"""Drawn boxes lie on the objects and leave the rest of the picture as it was."""

import io

import numpy as np
import pytest
from PIL import Image

from plaza_core.errors import InvalidInput
from plaza_models.tasks import Detection, Detections
from plaza_models.vision.draw import draw
from plaza_models.vision.paint import Paint, class_colour


def grey(width=200, height=150):
    out = io.BytesIO()
    Image.new("RGB", (width, height), (90, 90, 90)).save(out, "PNG")
    return out.getvalue()


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_the_outline_has_the_colour_of_the_class():
    found = Detections(200, 150, (Detection("car", 0.91, (50.2, 60.4, 120.7, 100.1)),))
    shown = pixels(draw(grey(), found, format="PNG"))
    colour = class_colour("car")
    assert shown.shape == (150, 200, 3)
    assert tuple(shown[80, 50]) == colour  # left edge
    assert tuple(shown[80, 121]) == colour  # right edge
    assert tuple(shown[100, 90]) == colour  # lower edge
    assert tuple(shown[80, 80]) == (90, 90, 90)  # inside
    assert tuple(shown[20, 20]) == (90, 90, 90)  # outside
    assert (shown[-4:, :30] == colour).all(2).any()  # how many
    tag = shown[46:60, 50:110].reshape(-1, 3)
    assert (tag == colour).all(1).any()
    assert len(np.unique(tag, axis=0)) > 2  # there is text on it


def test_a_label_at_the_upper_edge_stays_in_the_picture():
    found = Detections(200, 150, (Detection("bus", 0.5, (150, 0, 200, 150)),))
    shown = pixels(draw(grey(), found, format="PNG"))
    assert (shown[2:12, 120:195] == class_colour("bus")).all(2).any()


@pytest.mark.parametrize("labels", [("car",), ("car", "bus", "lorry with a trailer")])
def test_in_dense_traffic_no_tag_lies_on_another(monkeypatch, labels):
    written = []
    monkeypatch.setattr(
        Paint, "_write", lambda self, spot, *_: (written.append(spot), self._tags.append(spot))
    )
    rng = np.random.default_rng(0)
    corners, sizes = rng.uniform(0, 560, (80, 2)), rng.uniform(8, 90, (80, 2))
    boxes = [(*corner, *corner + size) for corner, size in zip(corners, sizes, strict=True)]
    found = tuple(
        Detection(labels[i % len(labels)], 1 - i / 100, tuple(map(float, box)))
        for i, box in enumerate(boxes)
    )
    draw(grey(640, 640), Detections(640, 640, found, ("torn",)))
    assert len(written) > 30
    for number, (x1, y1, x2, y2) in enumerate(written):
        assert x1 >= 0 <= y1
        assert x2 <= 640 >= y2
        for a1, b1, a2, b2 in written[:number]:
            assert x2 <= a1 or a2 <= x1 or y2 <= b1 or b2 <= y1


@pytest.mark.parametrize("size", [(1, 1), (40, 8), (60, 900), (900, 30)])
def test_the_warning_and_the_count_fit_odd_pictures(size):
    found = Detections(*size, (Detection("car", 0.5, (0, 0, *size)),), ("torn", "foggy"))
    shown = pixels(draw(grey(*size), found, format="PNG"))
    assert shown.shape[1::-1] == size


def test_classes_differ_and_do_not_change():
    assert class_colour("car") == class_colour("car")
    assert len({class_colour(name) for name in ("car", "bus", "truck", "person", "bicycle")}) == 5


def test_jpeg_is_the_default_and_an_empty_answer_is_the_picture():
    shown = draw(grey(), Detections(200, 150, ()))
    assert shown.startswith(b"\xff\xd8\xff")
    assert np.abs(pixels(shown).astype(int) - 90).max() <= 2


def test_a_box_outside_or_inside_out_does_not_fail():
    odd = (Detection("car", 0.5, (190, 140, 260, 200)), Detection("car", 0.4, (9, 9, 9, 9)))
    assert draw(grey(), Detections(200, 150, odd))


def test_what_is_no_picture_is_refused():
    with pytest.raises(InvalidInput):
        draw(b"text", Detections(1, 1, ()))
