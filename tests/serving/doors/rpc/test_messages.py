"""Messages of the gRPC door: the wire is Triton's, round trips are exact, and nothing breaks it."""

import numpy as np
import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tritonclient.grpc import model_config_pb2, service_pb2

from plaza_core.errors import BadRequest, InvalidTensor, MalformedRequest, PlazaError
from plaza_core.ids import Digest
from plaza_core.inference import Outcome, Timing
from plaza_core.tensors import NUMPY, DType
from plaza_serving.doors.inferring import InferRequest
from plaza_serving.doors.rpc.asked import is_loopback
from plaza_serving.doors.rpc.requests import answer, read_request
from plaza_serving.doors.rpc.schema import INFERENCE, SERVICE, Schema


# ── the contract ─────────────────────────────────────────────────────────────────────────────────
def tritons(name):
    for module in (service_pb2, model_config_pb2):
        if name in module.DESCRIPTOR.message_types_by_name:
            return module.DESCRIPTOR.message_types_by_name[name]
    raise AssertionError(f"the protocol has no message {name}")


def assert_same(ours, theirs):
    for field in ours.fields:
        other = theirs.fields_by_name[field.name]
        assert (field.number, field.type, field.is_repeated) == (
            other.number,
            other.type,
            other.is_repeated,
        ), field.full_name
        if field.containing_oneof is not None:
            assert other.containing_oneof.name == field.containing_oneof.name
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            assert field.message_type.full_name == other.message_type.full_name
            assert field.message_type.GetOptions().map_entry == (
                other.message_type.GetOptions().map_entry
            )
        if field.type == FieldDescriptor.TYPE_ENUM:
            assert field.enum_type.full_name == other.enum_type.full_name
    for nested in ours.nested_types:
        assert_same(nested, theirs.nested_types_by_name[nested.name])


@pytest.mark.parametrize("name", INFERENCE.messages)
def test_every_field_has_tritons_number_and_type(name):
    assert_same(INFERENCE.messages[name].DESCRIPTOR, tritons(name))


def test_datatypes_and_methods_are_tritons():
    ours = INFERENCE.messages["ModelInput"].DESCRIPTOR.fields_by_name["data_type"].enum_type
    theirs = model_config_pb2.DESCRIPTOR.enum_types_by_name["DataType"]
    assert {v.name: v.number for v in ours.values} == {v.name: v.number for v in theirs.values}
    methods = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    for method in INFERENCE.services[SERVICE]:
        other = methods[method.name]
        assert (method.streams_in, method.streams_out) == (
            other.client_streaming,
            other.server_streaming,
        )
        assert (
            other.input_type.name == f"{'ModelInfer' if method.streams_in else method.name}Request"
        )


@pytest.mark.parametrize(
    "text",
    [
        'syntax = "proto2"; package a;',
        'syntax = "proto3"; package a; import "b";',
        'syntax = "proto3"; package a; message M { required int32 x = 1; }',
        'syntax = "proto3"; package a; message M { reserved 2; }',
        'syntax = "proto3"; package a; message M { string x = 1 [deprecated = true]; }',
    ],
)
def test_a_contract_that_the_reader_does_not_know_is_refused(text):
    with pytest.raises((ValueError, TypeError)):
        Schema(text)


# ── round trips ──────────────────────────────────────────────────────────────────────────────────
def outcome(tensors):
    return Outcome("m", 3, Digest("0" * 64), Timing(), 0, 1, tensors=tensors)


def arrays(datatype):
    shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
    if datatype is DType.BYTES:
        texts = st.lists(st.binary(max_size=9), max_size=6)
        return texts.map(lambda found: np.array([*found, None], dtype=object)[:-1])
    return hnp.arrays(NUMPY[datatype], shapes)


@st.composite
def tensors(draw):
    datatype = draw(st.sampled_from(list(DType)))
    return datatype, draw(arrays(datatype))


def same(one, other):
    if one.dtype == object:
        return one.tolist() == other.tolist()
    return one.tobytes() == other.tobytes() and one.shape == other.shape


@given(st.lists(tensors(), min_size=1, max_size=4))
def test_raw_tensors_come_back_bit_by_bit(given_tensors):
    named = {f"t{n}": array for n, (_, array) in enumerate(given_tensors)}
    data = b"".join(answer(InferRequest({}, "id", binary=True), outcome(named)))
    response = service_pb2.ModelInferResponse.FromString(data)
    # An answer becomes the next question.
    request = service_pb2.ModelInferRequest(model_name="m", model_version="champion")
    for output in response.outputs:
        request.inputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
    request.raw_input_contents.extend(response.raw_output_contents)
    model, version, found = read_request(request.SerializeToString())
    assert (model, version) == ("m", "champion")
    assert all(same(array, named[name]) for name, array in found.tensors.items())
    assert list(found.tensors) == list(named)


@given(tensors().filter(lambda one: one[0] is not DType.FP16))
def test_typed_tensors_come_back_bit_by_bit(one):
    datatype, array = one
    if array.dtype.kind == "f":
        array = np.nan_to_num(array, nan=0.5)  # a NaN's payload does not travel as a number
    data = b"".join(answer(InferRequest({}, None, binary=False), outcome({"x": array})))
    output = service_pb2.ModelInferResponse.FromString(data).outputs[0]
    request = service_pb2.ModelInferRequest(model_name="m")
    tensor = request.inputs.add(name="x", datatype=output.datatype, shape=output.shape)
    tensor.contents.CopyFrom(output.contents)
    assert same(read_request(request.SerializeToString()).request.tensors["x"], array)
    assert datatype.value == output.datatype


def test_large_tensors_are_views_into_the_message():
    array = np.arange(100_000, dtype=np.uint8)
    request = service_pb2.ModelInferRequest(model_name="m")
    request.inputs.add(name="x", datatype="UINT8", shape=array.shape)
    request.raw_input_contents.append(array.tobytes())
    data = request.SerializeToString()
    found = read_request(data).request.tensors["x"]
    message = np.frombuffer(data, np.uint8)
    assert np.shares_memory(found, message)


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────
def request(*tensors_given, raw=(), **more):
    made = service_pb2.ModelInferRequest(model_name="m", **more)
    for name, datatype, shape in tensors_given:
        made.inputs.add(name=name, datatype=datatype, shape=shape)
    made.raw_input_contents.extend(raw)
    return made


def refusal(made, kind):
    with pytest.raises(kind) as caught:
        read_request(made if isinstance(made, bytes) else made.SerializeToString())
    return caught.value.input


def test_raw_contents_are_for_all_inputs_or_none():
    two = request(("x", "INT8", [1]), ("y", "INT8", [1]), raw=[b"1"])
    assert refusal(two, MalformedRequest) == "raw_input_contents"
    both = request(("x", "INT8", [1]), raw=[b"1"])
    both.inputs[0].contents.int_contents.append(1)
    assert refusal(both, MalformedRequest) == "x"


@pytest.mark.parametrize(
    ("datatype", "value"), [("INT8", 128), ("UINT8", 256), ("INT16", -40_000), ("UINT16", 1 << 16)]
)
def test_a_number_out_of_range_is_not_wrapped(datatype, value):
    made = request(("x", datatype, [1]))
    field = "int_contents" if datatype[0] == "I" else "uint_contents"
    getattr(made.inputs[0].contents, field).append(value)
    assert refusal(made, InvalidTensor) == "x"


def test_what_does_not_fit_its_claims_names_the_tensor():
    assert refusal(request(("x", "FP32", [2]), raw=[b"1234567"]), InvalidTensor) == "x"
    assert refusal(request(("x", "FP32", [2])), InvalidTensor) == "x"
    assert refusal(request(("x", "FP16", [1])), InvalidTensor) == "x"
    assert refusal(request(("x", "BF16", [1]), raw=[b"12"]), InvalidTensor) == "x"
    assert refusal(request(("x", "INT8", [-1]), raw=[b""]), MalformedRequest) == "x"
    assert refusal(request(("x", "INT8", [0]), ("x", "INT8", [0])), InvalidTensor) == "x"
    assert refusal(request(), MalformedRequest) == "inputs"


def test_memory_is_not_shared_and_requests_belong_to_no_sequence():
    made = request(("x", "INT8", [0]))
    made.outputs.add(name="y").parameters["shared_memory_region"].string_param = "mine"
    assert refusal(made, BadRequest) == "y"
    made = request(("x", "INT8", [0]))
    made.parameters["sequence_id"].int64_param = 7
    assert refusal(made, BadRequest) == "sequence_id"


def test_priority_and_classification_are_read():
    made = request(("x", "INT8", [0]), raw=[b""])
    made.parameters["priority"].uint64_param = 3
    made.outputs.add(name="y").parameters["classification"].int64_param = 2
    found = read_request(made.SerializeToString()).request
    assert (found.priority, dict(found.classes), list(found.outputs)) == (3, {"y": 2}, ["y"])


def test_a_key_in_the_id_and_a_timeout_that_is_no_integer_are_refused():
    assert refusal(request(("x", "INT8", [0]), id="plz_abc"), MalformedRequest) == "id"
    made = request(("x", "INT8", [0]))
    made.parameters["timeout"].string_param = "soon"
    assert refusal(made, MalformedRequest) == "timeout"


def test_a_message_of_very_many_fields_is_refused_before_it_is_parsed():
    assert refusal(b"\x2a\x00" * 100_000, MalformedRequest) is None


def test_typed_half_precision_is_refused():
    half = np.zeros(1, np.float16)
    with pytest.raises(BadRequest) as caught:
        answer(InferRequest({}, None, binary=False), outcome({"h": half}))
    assert caught.value.input == "h"


@given(st.binary(max_size=80))
def test_any_bytes_are_a_request_or_an_error(data):
    try:
        read_request(data)
    except PlazaError:
        return


@given(st.data())
def test_a_damaged_message_is_a_request_or_an_error(data):
    whole = request(("x", "FP32", [2]), ("y", "BYTES", [1]), raw=[b"12345678", b"\1\0\0\0a"])
    whole.parameters["timeout"].int64_param = 5
    damaged = bytearray(whole.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    try:
        read_request(bytes(damaged[:cut]))
    except PlazaError:
        return


@pytest.mark.parametrize(
    ("peer", "local"),
    [
        ("ipv4:127.0.0.1:4711", True),
        ("ipv6:[::1]:4711", True),
        ("ipv6:%5B::1%5D:4711", True),
        ("ipv6:[::ffff:127.0.0.1]:1", True),
        ("ipv4:10.0.0.7:4711", False),
        ("ipv6:[2001:db8::1]:1", False),
        ("unix:/tmp/s", False),
        ("ipv4:localhost:1", False),
    ],
)
def test_who_is_on_loopback(peer, local):
    assert is_loopback(peer) is local
