"""The family over a sequence: rendered traffic in as pictures, exact counts out; what cannot be
counted on is named, and nothing that happens between two requests is lost."""

import io

import numpy as np
import pytest
from PIL import Image

from plaza_core.errors import InvalidInput
from plaza_core.manifest import manifest_from
from plaza_models.tasks import DetectTask
from plaza_models.vision.detect import open_family
from plaza_models.vision.tasks import CountTask, Line, Zone
from plaza_training.vision.traffic import make_traffic

POINTS = 16
SIZE = (320, 240)


def manifest(batch="batch"):
    return manifest_from(
        {
            "name": "cars",
            "family": "vision.detect",
            "options": {"decoder": "plaza-nano", "labels": ["car"], "threshold": 0.5},
            "signature": {
                "inputs": [{"name": "image", "datatype": "FP32", "shape": [batch, 3, 240, 320]}],
                "outputs": [
                    {"name": "boxes", "datatype": "FP32", "shape": [batch, POINTS, 4]},
                    {"name": "scores", "datatype": "FP32", "shape": [batch, POINTS, 1]},
                ],
            },
        }
    )


def encoded(picture):
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()


@pytest.fixture(scope="module")
def traffic():
    return make_traffic(np.random.default_rng(4), size=SIZE, fps=12.5, seconds=4)


@pytest.fixture(scope="module")
def film(traffic):
    rng = np.random.default_rng(0)
    return [(encoded(traffic.picture(f.seconds, rng)), f.boxes) for f in traffic.frames()]


def perfect(boxes_of_rows):
    """What a detector would put out that sees everything."""
    boxes = np.zeros((max(1, len(boxes_of_rows)), POINTS, 4), np.float32)
    scores = np.zeros((max(1, len(boxes_of_rows)), POINTS, 1), np.float32)
    for row, found in enumerate(boxes_of_rows):
        boxes[row, : len(found)] = np.reshape(found, (-1, 4))
        scores[row, : len(found)] = 0.9
    return {"boxes": boxes, "scores": scores}


def ask(family, film, bad=(), **more):
    """`bad`: numbers of frames that must not reach the model."""
    prepared = family.prepare(CountTask(tuple(image for image, _ in film), 12.5, **more))
    shown = [boxes for number, (_, boxes) in enumerate(film) if number not in bad]
    assert prepared.rows == len(prepared.tensors["image"]) == max(1, len(shown))
    return family.interpret(perfect(shown), prepared.context)


def clear_line(traffic, frames):
    feet = [car.y + car.speed * t for car in traffic.cars for t in (0, (frames - 1) / 12.5)]
    y = next(y for y in range(100, 150) if all(abs(foot - y) > 6 for foot in feet))
    return y, Line("across", (0, y), (320, y))


def test_a_film_is_counted_exactly(tmp_path, traffic, film):
    y, line = clear_line(traffic, len(film))
    road = Zone("road", ((0, 0), (320, 0), (320, 241), (0, 241)))
    found = ask(
        open_family(tmp_path, manifest()), film, lines=(line,), zones=(road,), metres_per_pixel=0.1
    )
    (crossed,) = found.lines
    assert (crossed.forward, crossed.backward) == traffic.crossings(y)
    assert (found.width, found.height, found.usable) == (*SIZE, len(film))
    speeds = {round(abs(car.speed) * 0.36, 1) for car in traffic.cars}
    measured = [t.speed_kmh for t in found.tracks if t.last - t.first > 15]
    assert len(measured) > 4
    assert all(min(abs(m - s) for s in speeds) < 0.06 * m for m in measured)
    assert found.zones[0].objects == len(found.tracks)


def test_cut_in_two_it_counts_the_same(tmp_path, traffic, film):
    y, line = clear_line(traffic, len(film))
    family = open_family(tmp_path, manifest())
    first = ask(family, film[:23], lines=(line,))
    second = ask(family, film[23:], lines=(line,), state=first.state)
    forward = sum(found.lines[0].forward for found in (first, second))
    backward = sum(found.lines[0].backward for found in (first, second))
    assert (forward, backward) == traffic.crossings(y)
    carried = {t.id for t in first.tracks} & {t.id for t in second.tracks}
    assert len(carried) >= 3


def test_the_last_usable_picture_comes_back_with_tracks_on_it(tmp_path, traffic, film):
    _, line = clear_line(traffic, len(film))
    black = (encoded(Image.new("RGB", SIZE)), None)
    family = open_family(tmp_path, manifest())
    found = ask(family, [*film[:20], black], bad={20}, lines=(line,), draw="PNG")
    drawn = np.asarray(Image.open(io.BytesIO(found.picture)).convert("RGB")).astype(int)
    plain = np.asarray(Image.open(io.BytesIO(film[19][0])).convert("RGB")).astype(int)
    assert drawn.shape == plain.shape
    changed = (np.abs(drawn - plain).max(2) > 40).mean()
    assert 0.02 < changed < 0.5
    assert ask(family, [black], bad={0}, draw="PNG").picture is None


def test_what_cannot_be_counted_on_is_named_and_never_reaches_the_model(tmp_path, traffic, film):
    y, line = clear_line(traffic, len(film))
    black = encoded(Image.new("RGB", SIZE))
    other = encoded(Image.effect_noise((200, 200), 80).convert("RGB"))
    film = list(film)
    film[12] = (film[11][0], None)
    film[20] = (black, None)
    film[30] = (film[30][0][:3000], None)
    film[31] = (other, None)
    found = ask(open_family(tmp_path, manifest()), film, bad={12, 20, 30, 31}, lines=(line,))
    faults = {n: frame.faults for n, frame in enumerate(found.frames) if frame.faults}
    assert faults == {12: ("frozen",), 20: ("black",), 30: ("damaged",), 31: ("other-size",)}
    assert found.usable == len(film) - 4
    assert (found.lines[0].forward, found.lines[0].backward) == traffic.crossings(y)


def test_nothing_usable_is_no_empty_road(tmp_path):
    black = (encoded(Image.new("RGB", SIZE)), None)
    found = ask(open_family(tmp_path, manifest()), [black] * 3, bad={0, 1, 2})
    assert found.usable == 0
    assert all("black" in frame.faults for frame in found.frames)
    picture = open_family(tmp_path, manifest()).prepare(DetectTask(black[0]))
    answer = open_family(tmp_path, manifest()).interpret(perfect([[]]), picture.context)
    assert (answer.detections, answer.faults) == ((), ("black",))


def test_a_model_of_one_picture_counts_one_by_one(tmp_path, traffic, film):
    y, line = clear_line(traffic, len(film))
    family = open_family(tmp_path, manifest(batch=1))
    with pytest.raises(InvalidInput) as refusal:
        ask(family, film)
    assert refusal.value.input == "images"
    state, total = None, [0, 0]
    for frame in film:
        found = ask(family, [frame], lines=(line,), state=state)
        state = found.state
        total = [total[0] + found.lines[0].forward, total[1] + found.lines[0].backward]
    assert tuple(total) == traffic.crossings(y)


@pytest.mark.parametrize(
    ("change", "input"),
    [
        ({"images": ()}, "images"),
        ({"images": (b"",) * 65}, "images"),
        ({"fps": 0.0}, "fps"),
        ({"fps": float("nan")}, "fps"),
        ({"threshold": 1.5}, "threshold"),
        ({"lines": (Line("a", (0, 0), (0, 0.5)),)}, "lines"),
        ({"lines": (Line("", (0, 0), (9, 9)),)}, "lines"),
        ({"lines": (Line("a", (0, 0), (9, 9)), Line("a", (0, 0), (9, 8)))}, "lines"),
        ({"lines": (Line("a", (0, 0), (9, float("inf"))),)}, "lines"),
        ({"zones": (Zone("z", ((0, 0), (1, 1))),)}, "zones"),
        ({"metres_per_pixel": -1.0}, "metres_per_pixel"),
        ({"metres_per_pixel": 0.1, "ground": ((0, 0, 0, 0),) * 4}, "ground"),
        ({"ground": ((0, 0, 0, 0), (1, 1, 1, 1), (2, 2, 2, 2), (5, 0, 5, 0))}, "ground"),
        ({"ground": ((0, 0, 0, 0),)}, "ground"),
        ({"state": "{}"}, "state"),
        ({"state": "[1e999]"}, "state"),
        ({"state": '{"version":1,"next_id":1,"tracks":[{"id":1}]}'}, "state"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path, film, change, input):
    fields = {"images": (film[0][0],), "fps": 12.5, **change}
    with pytest.raises(InvalidInput) as refusal:
        open_family(tmp_path, manifest()).prepare(CountTask(**fields))
    assert refusal.value.input == input
