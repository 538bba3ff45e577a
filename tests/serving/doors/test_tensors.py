"""The two codecs: what goes through them comes back, and what does not fit is named."""

import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from plaza_core.errors import BadRequest, InvalidInput, InvalidTensor, MalformedRequest
from plaza_core.tensors import NUMPY, DType, Signature, TensorSpec
from plaza_serving.doors import tensors_binary, tensors_json

shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
numeric = [datatype for datatype in DType if datatype is not DType.BYTES]


def arrays(datatype, *, finite):
    if datatype is DType.BYTES:
        element = st.text(max_size=8).map(str.encode) if finite else st.binary(max_size=8)
        return shapes.flatmap(
            lambda shape: st.lists(
                element, min_size=math.prod(shape), max_size=math.prod(shape)
            ).map(lambda flat: _objects(flat).reshape(shape))
        )
    options = {"allow_nan": False, "allow_infinity": False} if finite else {}
    dtype = NUMPY[datatype]
    elements = hnp.from_dtype(dtype, **options) if dtype.kind == "f" else None
    return hnp.arrays(dtype, shapes, elements=elements)


def _objects(flat):
    array = np.empty(len(flat), object)
    array[:] = flat
    return array


def outcome(read):
    """What `read` gives, or None after an error that names the tensor."""
    try:
        return read()
    except BadRequest as error:
        return None if error.input == "x" else pytest.fail("the error names another input")


def same(one, two):
    if one.dtype == object:
        return one.shape == two.shape and one.ravel().tolist() == two.ravel().tolist()
    return (one.dtype, one.shape, one.tobytes()) == (two.dtype, two.shape, two.tobytes())


@pytest.mark.parametrize("datatype", list(DType))
@given(data=st.data())
def test_json_round_trip(datatype, data):
    array = data.draw(arrays(datatype, finite=True))
    text = tensors_json.dumps(tensors_json.write("x", array))
    again = tensors_json.read("x", datatype.value, list(array.shape), json.loads(text))
    if array.dtype.kind == "f":
        np.testing.assert_array_equal(again, array)  # -0.0 and 0.0 are the same number
        assert again.dtype == array.dtype
    else:
        assert same(again, array)


@pytest.mark.parametrize("datatype", list(DType))
@given(data=st.data())
def test_binary_round_trip_to_the_bit_at_any_offset(datatype, data):
    array = data.draw(arrays(datatype, finite=False))
    tail = bytes(tensors_binary.write(array))
    start = data.draw(st.integers(0, 9))
    body = b"#" * start + tail + b"#"
    again = tensors_binary.read(
        "x", datatype.value, list(array.shape), body, start=start, size=len(tail)
    )
    assert same(again, array)
    assert again.flags.aligned


@given(hnp.arrays(np.float32, shapes, elements=st.floats(-10, 10, width=32)))
def test_nested_data_means_the_same_as_flat(array):
    if array.ndim == 0 or 0 in array.shape[:-1]:
        return  # JSON has no nesting to tell these shapes by
    nested = tensors_json.read("x", "FP32", list(array.shape), array.tolist())
    assert same(nested, array)


@given(
    st.sampled_from([d.value for d in DType]),
    st.lists(st.integers(0, 4), max_size=3),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        st.lists,
        max_leaves=8,
    ),
)
def test_whatever_json_holds_is_an_array_or_a_named_error(datatype, shape, data):
    array = outcome(lambda: tensors_json.read("x", datatype, shape, data))
    if array is not None:
        assert array.dtype == NUMPY[DType(datatype)]
        assert list(array.shape) == shape


@given(
    st.sampled_from([d.value for d in DType]),
    st.lists(st.integers(0, 4), max_size=3),
    st.binary(max_size=40),
)
def test_whatever_bytes_hold_is_an_array_or_a_named_error(datatype, shape, body):
    array = outcome(
        lambda: tensors_binary.read("x", datatype, shape, body, start=0, size=len(body))
    )
    assert array is None or list(array.shape) == shape


@pytest.mark.parametrize(
    ("datatype", "data"),
    [("INT8", [128]), ("INT8", [-129]), ("UINT8", [-1]), ("UINT64", [-1]), ("INT64", [2**63]),
     ("FP16", [65520]), ("FP16", [1e5]), ("FP32", [2.0**128 - 2.0**103]), ("FP32", [-3.5e38])],
)  # fmt: skip
def test_a_number_out_of_range_is_refused_not_wrapped_or_made_infinite(datatype, data):
    for length in (1, 100):
        with pytest.raises(InvalidTensor, match="out of the range"):
            tensors_json.read("x", datatype, [length], data + [0] * (length - 1))


@pytest.mark.parametrize(
    ("datatype", "number"), [("FP16", 65519.99), ("FP32", 3.4028235e38), ("FP32", -3.4028235e38)]
)
def test_a_number_that_rounds_to_the_largest_is_the_largest(datatype, number):
    for length in (1, 100):
        array = tensors_json.read("x", datatype, [length], [number] * length)
        assert set(np.abs(array)) == {np.finfo(array.dtype).max}


@pytest.mark.parametrize(
    ("datatype", "data"),
    [("INT32", [1.0]), ("INT32", [1.5]), ("INT32", [True]), ("INT32", ["1"]), ("INT32", [None]),
     ("BOOL", [1]), ("FP32", [True]), ("FP32", ["1"]), ("FP32", [None]), ("BYTES", [1]),
     ("BYTES", [None]), ("UINT64", [2.0**64]), ("FP32", [{}])],
)  # fmt: skip
def test_elements_must_be_of_the_type_that_belongs_to_the_datatype(datatype, data):
    with pytest.raises(InvalidTensor, match="must be"):
        tensors_json.read("x", datatype, [1], data)
    with pytest.raises(InvalidTensor):
        tensors_json.read("x", datatype, [1, 1], [data])


@pytest.mark.parametrize(
    ("shape", "data"),
    [([2], [1]), ([1], [1, 2]), ([2, 2], [[1, 2], [3]]), ([4], [[1, 2], [3, 4]]),
     ([2, 2], [[1, 2, 3, 4]]), ([1, 2], [[[1, 2]]]), ([], [[1]]), ([2, 1], [[1], 2]),
     ([1, 2, 1], [[1, 2]]), ([0, 2], [[], []]), ([2**62, 2**62, 0], [])],
)  # fmt: skip
def test_shape_and_data_must_agree(shape, data):
    with pytest.raises(InvalidTensor):
        tensors_json.read("x", "INT32", shape, data)


@pytest.mark.parametrize("data", [[["ab"]], [[["ab"]]], [["a", "b"]], [[["a"], ["b"]]]])
def test_a_string_is_no_list_of_letters(data):
    with pytest.raises(InvalidTensor):
        tensors_json.read("x", "BYTES", [1, 1, 2], data)
    assert tensors_json.read("x", "BYTES", [1, 1, 2], [[["a", "b"]]]).shape == (1, 1, 2)


@pytest.mark.parametrize("shape", [None, 3, "3", [1.0], [-1], [True], ["1"], [1] * 33, {}])
def test_a_shape_is_a_list_of_sizes(shape):
    with pytest.raises(MalformedRequest):
        tensors_json.read("x", "INT32", shape, [1])


@pytest.mark.parametrize("datatype", ["BF16", "FLOAT", "fp32", "", "STRING"])
def test_unknown_datatypes(datatype):
    with pytest.raises(InvalidTensor):
        tensors_json.read("x", datatype, [1], [1])
    with pytest.raises(InvalidTensor):
        tensors_binary.read("x", datatype, [1], b"1234", start=0, size=4)


def test_binary_byte_counts():
    read = tensors_binary.read
    with pytest.raises(InvalidTensor, match="has 8 bytes, the binary data has 7"):
        read("x", "FP32", [2], bytes(9), start=0, size=7)
    with pytest.raises(InvalidTensor, match="0 or 1"):
        read("x", "BOOL", [2], b"\x01\x02", start=0, size=2)
    with pytest.raises(MalformedRequest):
        read("x", "BYTES", [1], struct.pack("<I", 5) + b"abcd", start=0, size=8)
    with pytest.raises(MalformedRequest):
        read("x", "BYTES", [1], b"\x01\x00", start=0, size=2)
    with pytest.raises(MalformedRequest):  # the bytes exist, but belong to the next tensor
        read("x", "BYTES", [1], struct.pack("<I", 5) + b"abcde", start=0, size=8)
    with pytest.raises(InvalidTensor, match="has 1"):
        read("x", "BYTES", [2], struct.pack("<I", 1) + b"a", start=0, size=5)


def test_json_writes_null_for_what_json_cannot_carry():
    for dtype in (np.float16, np.float32, np.float64):
        array = np.array([[np.nan, np.inf], [-np.inf, 1]], dtype)
        assert tensors_json.dumps(tensors_json.write("y", array)) == b"[null,null,null,1.0]"


def test_strided_arrays_are_written_row_major():
    array = np.arange(6, dtype=np.int16).reshape(2, 3).T
    assert tensors_json.dumps(tensors_json.write("y", array)) == b"[0,3,1,4,2,5]"
    assert bytes(tensors_binary.write(array)) == array.tobytes()


def test_bytes_that_are_no_text_need_binary():
    with pytest.raises(InvalidInput, match="binary_data"):
        tensors_json.write("y", _objects([b"\xff"]))


def raw(*shape, datatype=DType.FP32, body=b""):
    return tensors_binary.raw_input(Signature((TensorSpec("x", datatype, shape),), ()), body)["x"]


def test_a_raw_body_takes_its_shape_from_the_signature():
    body = np.arange(6, dtype=np.float32).tobytes()
    assert raw("batch", 6, body=body).shape == (1, 6)
    assert raw("batch", "width", body=body).shape == (1, 6)
    assert raw("batch", "n", 3, body=body).shape == (1, 2, 3)
    assert raw("n", body=body).shape == (6,)
    assert raw("batch", "n", datatype=DType.BYTES, body=b"\xff\x00").ravel()[0] == b"\xff\x00"
    for bad in (("batch", "h", "w"), ("batch", 5), ("batch", "n", 4)):
        with pytest.raises(InvalidTensor):
            raw(*bad, body=body)
    with pytest.raises(InvalidTensor):
        raw(2, datatype=DType.BYTES, body=body)
    two = TensorSpec("x", DType.FP32, (1,))
    with pytest.raises(InvalidTensor, match="exactly one"):
        tensors_binary.raw_input(Signature((two, two), ()), body)
