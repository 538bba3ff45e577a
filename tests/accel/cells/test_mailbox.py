"""What arrives is what was sent, and what a liar sends harms nobody who reads it."""

from __future__ import annotations

import json
import os
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from plaza_accel.cells.documents import Reader, Vocabulary, Writer, parse
from plaza_accel.cells.mailbox import (
    _ENTRY,
    _HEADER,
    Lies,
    Mailbox,
    Message,
    TooLarge,
    make_memory,
    read,
    write,
)
from plaza_core.tensors import NUMPY, DType
from plaza_models.tasks import (
    Classified,
    ClassifyTask,
    Detection,
    Detections,
    DetectTask,
    Embedded,
    Forecast,
    ForecastTask,
    Label,
)

AREA = 1 << 14
WORDS = Vocabulary.of("plaza_models.tasks")
NUMBERS = [kind for kind in DType if kind is not DType.BYTES]
shapes = nps.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@st.composite
def arrays(draw):
    kind, shape = draw(st.sampled_from(list(DType))), draw(shapes)
    if kind is DType.BYTES:
        count = int(np.prod(shape))
        made = np.empty(count, dtype=object)
        made[:] = draw(st.lists(st.binary(max_size=9), min_size=count, max_size=count))
        return made.reshape(shape)
    return draw(nps.arrays(NUMPY[kind], shape))


@given(st.lists(arrays(), max_size=4), st.binary(max_size=50), st.integers(0, 2**64 - 1))
def test_what_arrives_is_what_was_sent(sent, document, cpu_ns):
    area = np.zeros(AREA * 4, np.uint8)
    write(memoryview(area), 7, Message(document, sent, cpu_ns))
    got = read(memoryview(area), 7)
    assert (got.document, got.time_ns, len(got.arrays)) == (document, cpu_ns, len(sent))
    for a, b in zip(got.arrays, sent, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.tolist() == b.tolist() if a.dtype == object else a.tobytes() == b.tobytes()
    with pytest.raises(Lies):
        read(memoryview(area), 8)


def guarded(area, content):
    """Read `content` as a message out of the middle of a larger memory."""
    content = content[: area.size]
    area[: len(content)] = np.frombuffer(content, np.uint8)
    with suppress(Lies):
        message = read(memoryview(area), 1)
        numbers = [array for array in message.arrays if array.dtype != object]
        texts = [item for a in message.arrays if a.dtype == object for item in a.flat]
        assert sum(array.nbytes for array in numbers) + sum(map(len, texts)) <= area.size
        assert not any(np.shares_memory(array, area) for array in numbers)
        document = parse(message)
        Reader(WORDS, message.arrays).value(document)


@given(st.binary(max_size=400))
def test_noise_is_refused(noise):
    guarded(np.zeros(AREA, np.uint8), noise)


sizes = st.one_of(st.integers(0, 200), st.integers(0, 2**64 - 1), st.just(2**63), st.just(AREA))


@given(
    st.binary(max_size=200),
    st.lists(
        st.tuples(
            st.integers(0, 255), st.integers(0, 255), sizes, sizes, st.lists(sizes, max_size=16)
        ),
        max_size=5,
    ),
    st.one_of(st.none(), st.integers(0, 2**32 - 1)),
    st.one_of(st.none(), st.integers(0, 2**32 - 1)),
)
def test_lying_headers_never_reach_outside_the_area(document, entries, length, count):
    length = len(document) if length is None else length
    count = len(entries) if count is None else count
    head = _HEADER.pack(b"plz2", length, count, 1, 1, 0)
    body = b"".join(
        _ENTRY.pack(code, ndim, offset, size, *dims, *(0,) * (16 - len(dims)))
        for code, ndim, offset, size, dims in entries
    )
    guarded(np.zeros(AREA, np.uint8), head + body + document)


@given(st.lists(arrays(), min_size=1, max_size=3), st.data())
def test_a_true_message_with_bytes_turned_over(sent, data):
    area = np.zeros(AREA * 4, np.uint8)
    end = write(memoryview(area), 1, Message(b'{"t": [1, {"a": 0}]}', sent))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, end - 1))
        area[at] = data.draw(st.integers(0, 255))
    guarded(area, b"")


@pytest.mark.parametrize(
    "document",
    [
        b" ",
        b"[1]",
        b"{" * 100_000,
        b'{"x": ' + b"[" * 100_000,
        b'{"x": 1' + b"0" * 5000 + b"}",
        b"\xff\xfe",
    ],
)
def test_documents_that_are_none(document):
    with pytest.raises(Lies):
        parse(Message(document))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["t", "d", "c", "a", "b", "x"]), inner, max_size=2)
        | st.builds(
            lambda name, rest: {"c": [name, *rest]},
            st.sampled_from([*WORDS.classes, "Path"]),
            st.lists(inner, max_size=4),
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_document_is_a_value_or_a_lie(document):
    arrays = [np.zeros(3, np.float32)]
    with suppress(Lies):
        value = Reader(WORDS, arrays).value(json.loads(json.dumps(document)))
        if type(value).__module__ == "plaza_models.tasks":
            for name in type(value).__slots__:
                getattr(value, name)


VALUES = [
    DetectTask(b"\xff\xd8picture", None, 7),
    Detections(640, 480, (Detection("car", 0.5, (0.0, 1.0, 2.5, 3.0)),)),
    ForecastTask(tuple(map(float, range(50))), 3, (0.1, 0.9)),
    Forecast((0.5,), ((1.0, 2.0),)),
    ClassifyTask(("ü", ""), 2),
    Classified(((Label("a", 0.25),), ())),
    {"plain": [1, None, {"deep": (True, "x")}]},
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_of_tasks_pass(value):
    out = Writer(WORDS)
    message = out.message({"answer": out.value(value)})
    got = Reader(WORDS, message.arrays).value(parse(message)["answer"])
    assert got == value
    assert type(got) is type(value)


def test_an_array_inside_an_answer_passes():
    out = Writer(WORDS)
    said = out.value(Embedded(np.ones((2, 3), np.float32), 5))
    got = Reader(WORDS, out.arrays).value(said)
    assert (got.vectors.tolist(), got.tokens) == ([[1.0] * 3] * 2, 5)


@pytest.mark.parametrize(
    "document",
    [
        {"c": ["Label", "a", "0.5"]},
        {"c": ["Label", "a"]},
        {"c": ["Label", 1, 0.5]},
        {"c": ["Classified", {"t": [{"t": ["a"]}]}]},
        {"c": ["Detection", "a", 0.5, {"t": [1, 2, 3]}]},
        {"c": ["Detections", True, 1, {"t": []}]},
        {"c": ["Array", 1]},
        {"a": 1},
        {"a": -1},
        {"a": True},
    ],
)
def test_values_of_another_type_than_their_field_are_lies(document):
    with pytest.raises(Lies):
        Reader(WORDS, [np.zeros(1)]).value(document)


def test_what_does_not_fit_is_said_before_anything_is_written():
    area = np.zeros(AREA, np.uint8)
    with pytest.raises(TooLarge):
        write(memoryview(area), 1, Message(b"{}", [np.zeros(AREA, np.uint8)]))
    assert not area.any()


def test_bytes_that_are_no_truth_values_become_some():
    area = np.zeros(AREA, np.uint8)
    write(memoryview(area), 1, Message(b"", [np.array([2, 0, 255], np.uint8).view(np.bool_)]))
    (array,) = read(memoryview(area), 1).arrays
    assert array.view(np.uint8).tolist() == [1, 0, 1]


def test_nobody_can_change_the_size_of_the_memory():
    descriptor = make_memory(1 << 16)
    try:
        for size in (0, 1 << 10, 1 << 20):
            with pytest.raises(PermissionError):
                os.ftruncate(descriptor, size)
        parent, child = (Mailbox(descriptor, 1 << 16, parent=side) for side in (True, False))
    finally:
        os.close(descriptor)
    parent.post(1, Message(b"there"))
    child.post(1, Message(b"back"))
    assert (child.take(1).document, parent.take(1).document) == (b"there", b"back")
