"""What is asked of a sequence and what is answered survive the way into a cell and back."""

import numpy as np

from plaza_accel.cells.documents import Reader, Vocabulary, Writer
from plaza_models import tasks

VOCABULARY = Vocabulary.of(tasks.__name__)


def travelled(value):
    writer = Writer(VOCABULARY)
    document = writer.value(value)
    return Reader(VOCABULARY, [np.asarray(array) for array in writer.arrays]).value(document)


def test_a_sequence_to_count():
    task = tasks.CountTask(
        (b"one", b"two"),
        12.5,
        (tasks.Line("a", (0.0, 1.0), (2.0, 3.0)),),
        (tasks.Zone("z", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))),),
        None,
        ((0.0, 0.0, 1.0, 1.0),) * 4,
        0.5,
        "{}",
    )
    assert travelled(task) == task


def test_what_was_counted():
    seen = tasks.TrackedObject(1, "car", 0.5, (1.0, 2.0, 3.0, 4.0))
    found = tasks.Counted(
        8,
        6,
        (tasks.CountedFrame((), (seen,)), tasks.CountedFrame(("black",), ())),
        (tasks.Crossings("a", "car", 1, 2),),
        (tasks.Stay("z", "car", 1, 1, 0.5),),
        (tasks.Tracked(1, "car", 0, 1, None), tasks.Tracked(2, "car", 0, 1, 36.5)),
        1,
        "{}",
    )
    assert travelled(found) == found


def test_pictures_to_judge_and_what_was_found():
    task = tasks.QualityTask((b"one", b"two"), "PNG")
    measured = tasks.MeasuredValue("change", None, None, "frozen")
    found = tasks.Quality((tasks.PictureQuality(8, 6, ("torn",), (measured,)),), 0, b"drawn")
    assert travelled(task) == task
    assert travelled(found) == found


def test_a_drawn_picture():
    found = tasks.Detections(8, 6, (), ("torn",), b"\x89PNG")
    assert travelled(found) == found
