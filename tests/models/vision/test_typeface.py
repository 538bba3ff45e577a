"""Labels of any script are drawn: in letters that a bundle brings, else as codes, not as boxes."""

import io
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from plaza_core.errors import InvalidBundle
from plaza_models.tasks import DetectTask
from plaza_models.vision.detect import open_family
from plaza_models.vision.tasks import CountTask
from plaza_models.vision.typeface import PLAIN, Typeface
from plaza_training.vision.render import rendered_frame
from tests.models.vision.test_detect import manifest, outputs

DEJAVU = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
"""Has Cyrillic, which Pillow's own letters lack, and no Chinese."""
RUSSIAN = {"labels": ["трамвай", "автобус"], "font_file": "letters.ttf"}


@pytest.fixture
def with_letters(tmp_path):
    (tmp_path / "letters.ttf").write_bytes(DEJAVU.read_bytes())
    return tmp_path


def drawn(directory, options, *tasks):
    """The pictures that two objects, one of each class, are drawn on."""
    family = open_family(directory, manifest(options))
    rows = outputs((0, 20, 30, 40, 0.9, 0), (30, 20, 60, 40, 0, 0.8))
    answers = [family.interpret(rows, family.prepare(task).context) for task in tasks]
    return [np.asarray(Image.open(io.BytesIO(answer.picture))) for answer in answers]


ROAD = rendered_frame(3, 0, (640, 320)).image
TASKS = (DetectTask(ROAD, draw="PNG"), CountTask((ROAD,), fps=5, draw="PNG"))


def test_what_a_font_lacks_is_told_by_its_code():
    dejavu = Typeface(DEJAVU.read_bytes())
    assert PLAIN.legible("a car, 0.93") == "a car, 0.93"
    assert PLAIN.legible("трам") == r"\u0442\u0440\u0430\u043c"
    assert dejavu.legible("трам") == "трам"
    assert PLAIN.legible("Fußgänger") == r"Fu\u00dfganger"
    assert dejavu.legible("汽车\n🙂") == r"\u6c7d\u8f66\n\ud83d\ude42"


@given(st.text(max_size=20))
def test_no_text_becomes_boxes(text):
    shown = PLAIN.legible(text)
    assert all(map(PLAIN.has, shown))
    assert PLAIN.legible(shown) == shown


@pytest.mark.parametrize("task", TASKS, ids=("one", "counted"))
def test_labels_are_drawn_in_the_letters_of_the_bundle(with_letters, task):
    (shown,) = drawn(with_letters, RUSSIAN, task)
    (codes,) = drawn(with_letters, {"labels": RUSSIAN["labels"]}, task)
    assert shown.shape == codes.shape == (320, 640, 3)
    assert (shown != codes).any()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "no such file"),
        (b"text", "neither TrueType nor OpenType"),
        (bytes((8 << 20) + 1), "over 8 MiB"),
        (DEJAVU.read_bytes(), "lacks letters that are drawn: 汽车"),
    ],
    ids=("missing", "text", "large", "other script"),
)
def test_a_font_that_does_not_serve_is_no_bundle(tmp_path, content, why):
    if content is not None:
        (tmp_path / "letters.ttf").write_bytes(content)
    options = {"labels": ["汽车", "bus"], "font_file": "letters.ttf"}
    with pytest.raises(InvalidBundle, match=why) as caught:
        open_family(tmp_path, manifest(options))
    assert caught.value.input == "options.font_file"


def test_it_lies_in_the_bundle(tmp_path):
    with pytest.raises(InvalidBundle) as caught:
        open_family(tmp_path, manifest({"font_file": "../letters.ttf"}))
    assert caught.value.input == "options.font_file"
