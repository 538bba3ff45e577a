"""The walk knows onnx.proto's numbers, counts right, and fails only by Refused."""

from __future__ import annotations

import contextlib

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from benchmarks import graphs
from plaza_accel.gate.domains import MICROSOFT, OPSETS
from plaza_accel.gate.rules import Refused
from plaza_accel.gate.walk import _ELEMENT_BITS, _MODEL_FIELDS, walk
from plaza_core.protobuf import Malformed, fields
from tests.accel.hostile import making


def numbers(message, *names: str) -> list[int]:
    by_name = message.DESCRIPTOR.fields_by_name
    return [by_name[name].number for name in names]


def test_field_numbers_are_those_of_the_installed_onnx():
    assert numbers(onnx.ModelProto, "graph", "opset_import", "training_info", "functions") == [
        7,
        8,
        20,
        25,
    ]
    assert numbers(onnx.GraphProto, "node", "initializer", "sparse_initializer") == [1, 5, 15]
    assert numbers(onnx.NodeProto, "op_type", "domain", "overload", "attribute") == [4, 7, 8, 5]
    assert numbers(
        onnx.AttributeProto, "t", "tensors", "g", "graphs", "sparse_tensor", "sparse_tensors"
    ) == [5, 10, 6, 11, 22, 23]
    assert numbers(
        onnx.FunctionProto, "name", "domain", "overload", "node", "opset_import", "attribute_proto"
    ) == [1, 10, 13, 7, 9, 11]
    assert numbers(onnx.ModelProto, "metadata_props") == [14]
    assert set(_MODEL_FIELDS) == {field.number for field in onnx.ModelProto.DESCRIPTOR.fields}
    assert numbers(onnx.NodeProto, "name", "doc_string", "metadata_props") == [3, 6, 9]
    assert numbers(onnx.GraphProto, "doc_string", "metadata_props") == [10, 16]
    assert numbers(onnx.FunctionProto, "doc_string", "metadata_props") == [8, 14]
    assert numbers(onnx.TensorProto, "string_data") == [6]
    assert numbers(onnx.OperatorSetIdProto, "domain", "version") == [1, 2]
    assert numbers(onnx.SparseTensorProto, "values", "indices") == [1, 2]
    assert numbers(
        onnx.TensorProto, "dims", "data_type", "raw_data", "external_data", "data_location"
    ) == [1, 2, 9, 13, 14]
    data = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
    assert sorted(numbers(onnx.TensorProto, *data)) == [4, 5, 6, 7, 10, 11]


def test_every_field_that_can_hold_a_graph_or_tensor_is_walked():
    """A new field of onnx.proto with a tensor or graph inside must not slip past."""
    inner = {"TensorProto", "GraphProto", "SparseTensorProto", "NodeProto", "FunctionProto",
             "AttributeProto", "TrainingInfoProto"}  # fmt: skip
    walked = {
        "ModelProto": {7, 20, 25},
        "GraphProto": {1, 5, 15},
        "NodeProto": {5},
        "AttributeProto": {5, 6, 10, 11, 22, 23},
        "FunctionProto": {7, 11},
        "SparseTensorProto": {1, 2},
        "TensorProto": set(),
    }
    for name, expected in walked.items():
        descriptor = getattr(onnx, name).DESCRIPTOR
        holding = {
            f.number for f in descriptor.fields if f.message_type and f.message_type.name in inner
        }
        assert holding == expected, name


def test_element_sizes_are_those_of_onnx():
    for number, bits in _ELEMENT_BITS.items():
        if number == TensorProto.STRING:
            continue
        name = TensorProto.DataType.Name(number)
        tensor = helper.make_tensor("t", number, [8], [0] * 8) if name != "STRING" else None
        raw = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor)).raw_data
        assert len(raw) == bits, name


def test_a_model_is_counted(tmp_path):
    graph = graphs.conv()
    contents = walk(memoryview(graph.model.SerializeToString()))
    assert contents.nodes == contents.expanded_nodes == len(graph.model.graph.node) == 35
    assert contents.opset == graphs.OPSET
    assert contents.functions == 0
    assert contents.depth == 1
    assert contents.weight_bytes == sum(len(t.raw_data) for t in graph.model.graph.initializer)


def test_functions_are_counted_as_expanded():
    bodies = {"f": ["g", "g"], "g": ["Relu", "Relu", "Relu"]}
    contents = walk(memoryview(making.with_functions(bodies, "f").model.SerializeToString()))
    assert (contents.functions, contents.nodes, contents.expanded_nodes) == (2, 6, 6)


def test_operators_of_the_runtime_that_exporters_use_are_allowed():
    graph = making.plain(helper.make_node("QuickGelu", ["x"], ["y"], domain=MICROSOFT))
    graph.model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    assert walk(memoryview(graph.model.SerializeToString())).nodes == 1


def test_the_range_of_operator_sets_is_within_what_onnx_knows():
    assert OPSETS[""][1] <= onnx.defs.onnx_opset_version()


SEED = graphs.tiny().model.SerializeToString()


@given(st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_counted_or_refused(data):
    with contextlib.suppress(Refused):
        walk(memoryview(data))


@given(st.integers(0, len(SEED) - 1), st.integers(0, 255), st.integers(0, len(SEED)))
@settings(max_examples=200, deadline=None)
def test_a_damaged_model_is_counted_or_refused(position, byte, end):
    data = bytearray(SEED)
    data[position] = byte
    with contextlib.suppress(Refused):
        walk(memoryview(bytes(data[:end])))


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a",  # a length is missing
        b"\x0a\x05ab",  # runs past the end
        b"\x0b",  # a group
        b"\x02\x00",  # field number 0
        b"\x08" + b"\xff" * 11,  # a varint without end
    ],
)
def test_what_is_no_protocol_buffer_is_malformed(data):
    with pytest.raises(Malformed):
        list(fields(memoryview(data)))
