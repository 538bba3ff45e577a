"""Weights beside the model: bytes of the bundle's own files are read, nothing else ever is."""

from __future__ import annotations

import os

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from benchmarks import graphs
from plaza_accel.examination.examine import SandboxExaminer
from plaza_accel.gate.external import check_reference, plain_files
from plaza_accel.gate.rules import Refused
from plaza_accel.gate.walk import walk
from plaza_accel.providers.cpu import provider
from plaza_accel.sandbox.confinement import sandbox_support
from plaza_accel.sessions.session import estimate_bytes

FILES = {"model.onnx": 500, "weights.data": 100, "parts/second.bin": 40}


def refused(entries, needed=64) -> str:
    with pytest.raises(Refused) as caught:
        check_reference(entries, FILES, needed)
    return str(caught.value)


@pytest.mark.parametrize(
    "location",
    ["../weights.data", "/etc/passwd", "./weights.data", "parts/../weights.data", "Weights.data",
     "weights.data/", "*/_ORT_MEM_ADDR_/*", "", "parts", "weights.data\x00"],
)  # fmt: skip
def test_a_location_is_a_file_of_the_bundle_letter_for_letter(location):
    assert "in no plain file" in refused([("location", location)])


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], "in no plain file"),
        ([("location", "weights.data")] * 2, "repeated"),
        ([("location", "weights.data"), ("prepacked_0", "x")], "unknown"),
        ([("location", "weights.data"), ("offset", "37")], "past the end"),
        ([("location", "weights.data"), ("length", "63")], "another length"),
        ([("location", "weights.data"), ("offset", "-1")], "no proper offset"),
        ([("location", "weights.data"), ("offset", "")], "no proper offset"),
        ([("location", "weights.data"), ("offset", "0x10")], "no proper offset"),
        ([("location", "weights.data"), ("offset", "٣")], "no proper offset"),
        ([("location", "weights.data"), ("offset", "9" * 16)], "no proper offset"),
        ([("location", "weights.data"), ("length", "9223372036854775807")], "no proper offset"),
    ],
)
def test_what_is_not_quite_a_reference(entries, words):
    assert words in refused(entries)


@given(st.integers(0, 200), st.integers(0, 200))
def test_exactly_the_bytes_inside_the_file_may_be_named(offset, needed):
    entries = [("location", "weights.data"), ("offset", str(offset)), ("length", str(needed))]
    if offset + needed <= 100:
        check_reference(entries, FILES, needed)
    else:
        with pytest.raises(Refused):
            check_reference(entries, FILES, needed)


def test_links_and_second_names_are_no_files_of_the_bundle(tmp_path):
    bundle = tmp_path / "bundle"
    (bundle / "parts").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for path in ("bundle/a.data", "bundle/parts/b.data", "outside", "elsewhere/c.data"):
        (tmp_path / path).write_bytes(b"1234")
    (bundle / "symbolic.data").symlink_to(tmp_path / "outside")
    (bundle / "hard.data").hardlink_to(tmp_path / "outside")
    (bundle / "folder").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(bundle / "pipe.data")
    assert plain_files(bundle) == {"a.data": 4, "parts/b.data": 4}


def with_external(directory, location="weights.data", **more):
    """`graphs.tiny` with its matrix in a file of its own."""
    graph = graphs.tiny()
    tensor = graph.model.graph.initializer[0]
    content = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    given = {"location": location, "offset": "4096", "length": str(len(content))} | more
    for key, value in given.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    graph.write(directory)
    target = directory / "weights.data"
    target.write_bytes(bytes(4096) + content)
    return graph, content


@pytest.mark.skipif(not sandbox_support()["usable"], reason="this kernel cannot confine a process")
def test_a_model_with_its_weights_beside_it_is_examined_and_computes_the_same(tmp_path):
    graph, _ = with_external(tmp_path / "apart")
    verdict = SandboxExaminer(timeout_s=10, memory_mb=1500).examine(
        tmp_path / "apart", graph.parsed()
    )
    assert verdict.passed, verdict.reason
    whole = graphs.tiny()
    x = {"x": np.arange(8, dtype=np.float32).reshape(2, 4)}
    answers = [
        provider.open(directory, whole.parsed()).run(x)["y"]
        for directory in (tmp_path / "apart", whole.write(tmp_path / "whole"))
    ]
    np.testing.assert_array_equal(*answers)
    assert estimate_bytes(tmp_path / "apart", whole.parsed()) > 4096


@pytest.mark.skipif(not sandbox_support()["usable"], reason="this kernel cannot confine a process")
@pytest.mark.parametrize("how", ["symbolic", "hard", "above"])
def test_no_way_out_of_the_bundle(tmp_path, how):
    """Each of these opens something outside in ONNX Runtime or would, were it not refused."""
    directory = tmp_path / "bundle"
    graph, _ = with_external(directory, "../weights.data" if how == "above" else "weights.data")
    (directory / "weights.data").rename(tmp_path / "weights.data")
    if how == "symbolic":
        (directory / "weights.data").symlink_to(tmp_path / "weights.data")
    elif how == "hard":
        (directory / "weights.data").hardlink_to(tmp_path / "weights.data")
    verdict = SandboxExaminer(timeout_s=10, memory_mb=1500).examine(directory, graph.parsed())
    assert (verdict.passed, "in no plain file of the bundle" in verdict.reason) == (False, True)


def test_weights_are_counted_wherever_they_lie(tmp_path):
    graph, content = with_external(tmp_path)
    data = memoryview(graph.model.SerializeToString())
    inside = sum(len(t.raw_data) for t in graph.model.graph.initializer)
    assert walk(data, plain_files(tmp_path)).weight_bytes == inside + len(content)
    with pytest.raises(Refused, match="in no plain file"):
        walk(data)


def text_tensor():
    tensor = TensorProto(name="w", data_type=TensorProto.STRING, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    return tensor


def both():
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "w")
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "weights.data"
    return tensor


@pytest.mark.parametrize("make", [text_tensor, both])
def test_references_that_mean_two_things_are_refused(make):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])
    node = helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [x], [y], [make()])
    data = graphs.model(graph).SerializeToString()
    with pytest.raises(Refused, match="only whole numeric weights"):
        walk(memoryview(data), FILES)
