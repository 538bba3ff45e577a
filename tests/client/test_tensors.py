"""The binary codec against an independent one: Triton's own client."""

import json

import numpy as np
import pytest
import tritonclient.http as triton
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from plaza._http import Answer
from plaza._tensors import HEADER_LENGTH, decode, encode, numpy_type
from plaza.errors import PlazaError

DATATYPES = [
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
]


def split(headers, body):
    at = int(headers[HEADER_LENGTH])
    return json.loads(body[:at]), body[at:]


def answered(headers, body):
    """The request's tensors as if they were an answer's outputs."""
    document, tail = split(headers, body)
    answer = {"model_name": "m", "model_version": "1", "outputs": document["inputs"]}
    head = json.dumps(answer).encode()
    return Answer(200, {HEADER_LENGTH: str(len(head))}, head + tail)


numbers = st.sampled_from(DATATYPES).flatmap(
    lambda name: hnp.arrays(numpy_type(name), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))
)


@given(numbers)
def test_every_number_comes_back_bit_for_bit(array):
    _, tensors = decode(answered(*encode({"x": array}, None)))
    assert tensors["x"].dtype == array.dtype
    assert tensors["x"].shape == array.shape
    assert tensors["x"].tobytes() == array.tobytes()


@given(hnp.arrays(object, hnp.array_shapes(max_dims=2, min_side=0), elements=st.binary(max_size=9)))
def test_every_bytes_comes_back(array):
    _, tensors = decode(answered(*encode({"x": array}, None)))
    assert tensors["x"].shape == array.shape
    assert tensors["x"].tolist() == array.tolist()


@pytest.mark.parametrize("datatype", [*DATATYPES, "BYTES"])
def test_requests_are_those_of_the_triton_client(datatype):
    if datatype == "BYTES":
        array = np.array([[b"", b"abc"], ["ü".encode(), b"\x00"]], object)
    else:
        array = np.arange(6).reshape(2, 3).astype(numpy_type(datatype))
    theirs = triton.InferInput("x", list(array.shape), datatype)
    theirs.set_data_from_numpy(array, binary_data=True)
    wanted = triton.InferRequestedOutput("y", binary_data=True)
    body, length = triton.InferenceServerClient.generate_request_body([theirs], outputs=[wanted])
    expected, expected_tail = json.loads(body[:length]), body[length:]
    document, tail = split(*encode({"x": array}, ["y"]))
    assert document["inputs"] == expected["inputs"]
    assert document["outputs"] == expected["outputs"]
    assert tail == expected_tail


@pytest.mark.parametrize("datatype", [*DATATYPES, "BYTES"])
def test_answers_are_read_as_the_triton_client_reads_them(datatype):
    array = (
        np.array([b"a", b""], object) if datatype == "BYTES" else np.ones(3, numpy_type(datatype))
    )
    answer = answered(*encode({"x": array}, None))
    length = int(answer.headers[HEADER_LENGTH])
    theirs = triton.InferenceServerClient.parse_response_body(answer.content, header_length=length)
    _, tensors = decode(answer)
    np.testing.assert_array_equal(tensors["x"], theirs.as_numpy("x"))


def test_json_outputs_too():
    outputs = [
        {"name": "y", "datatype": "FP32", "shape": [2, 1], "data": [1.5, 2.5]},
        {"name": "t", "datatype": "BYTES", "shape": [1], "data": ["ü"]},
    ]
    content = json.dumps({"outputs": outputs}).encode()
    _, tensors = decode(Answer(200, {}, content))
    assert tensors["y"].tolist() == [[1.5], [2.5]]
    assert tensors["y"].dtype == np.float32
    assert tensors["t"].tolist() == ["ü".encode()]


def test_big_endian_and_strided_arrays_are_sent_in_the_protocols_layout():
    array = np.arange(12, dtype=">f4").reshape(3, 4)[:, ::2]
    _, tensors = decode(answered(*encode({"x": array}, None)))
    assert tensors["x"].tolist() == array.tolist()


def test_strings_are_bytes():
    document, tail = split(*encode({"x": ["ü", "b"]}, None))
    assert document["inputs"][0]["datatype"] == "BYTES"
    assert tail == b"\x02\x00\x00\x00\xc3\xbc\x01\x00\x00\x00b"


@pytest.mark.parametrize(
    "value", [np.zeros(2, complex), np.zeros(2, "M8[s]"), np.array([1, None], object)]
)
def test_what_is_no_tensor_is_refused_by_name(value):
    with pytest.raises((TypeError, ValueError), match="'weight'"):
        encode({"weight": value}, None)


@pytest.mark.parametrize("datatype", ["FP32", "BYTES"])
def test_an_answer_cut_short_is_no_answer(datatype):
    array = np.ones(4, np.float32) if datatype == "FP32" else np.array([b"long enough"], object)
    answer = answered(*encode({"x": array}, None))
    with pytest.raises(PlazaError) as caught:
        decode(Answer(200, answer.headers, answer.content[:-3]))
    assert caught.value.input == "x"
