"""A runner computes what its manifest promises, in every datatype, from any thread."""

from __future__ import annotations

import dataclasses
import logging
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, numpy_helper

from benchmarks import graphs
from plaza_accel.providers.cpu import provider
from plaza_core.errors import InvalidBundle, InvalidTensor, ModelFailed, Unavailable
from plaza_core.tensors import NUMPY, DType, TensorSpec


@pytest.mark.parametrize("datatype", list(DType))
@pytest.mark.parametrize("rank", [0, 1, 3])
def test_every_datatype_and_rank_comes_back_equal(open_cpu, datatype, rank):
    runner = open_cpu(graphs.identity(datatype, rank))
    if datatype is DType.BYTES:
        x = np.full((2,) * rank, "Grüße, 世界".encode(), dtype=object)
    else:
        x = np.ones((2,) * rank, NUMPY[datatype])
    y = runner.run({"x": x})["y"]
    assert y.dtype == NUMPY[datatype]
    assert y.shape == x.shape
    assert y.tolist() == x.tolist()


IDENTITIES: dict[tuple[DType, int], object] = {}


@st.composite
def arrays(draw):
    datatype = draw(st.sampled_from([d for d in DType if d is not DType.BYTES]))
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))
    return datatype, draw(hnp.arrays(NUMPY[datatype], shape))


@given(arrays())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_identity_is_bitwise_identity(tmp_path_factory, drawn):
    datatype, x = drawn
    runner = IDENTITIES.get((datatype, x.ndim))
    if runner is None:
        graph = graphs.identity(datatype, x.ndim)
        directory = graph.write(tmp_path_factory.mktemp("identity"))
        runner = IDENTITIES[datatype, x.ndim] = provider.open(directory, graph.parsed())
    y = runner.run({"x": x})["y"]
    assert y.dtype == x.dtype
    assert y.shape == x.shape
    assert y.tobytes() == x.tobytes()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
@settings(max_examples=40, deadline=None)
def test_text_survives_whatever_its_language(tmp_path_factory, texts):
    graph = graphs.identity(DType.BYTES, 1)
    runner = IDENTITIES.get((DType.BYTES, 1))
    if runner is None:
        directory = graph.write(tmp_path_factory.mktemp("text"))
        runner = IDENTITIES[DType.BYTES, 1] = provider.open(directory, graph.parsed())
    data = np.array([*(t.encode() for t in texts), None], dtype=object)[:-1]
    assert runner.run({"x": data})["y"].tolist() == data.tolist()


@pytest.mark.parametrize("item", [b"\xff\xfe", "text, not bytes", 3])
def test_what_is_not_utf8_bytes_is_refused_by_name(open_cpu, item):
    runner = open_cpu(graphs.identity(DType.BYTES, 1))
    with pytest.raises(InvalidTensor) as caught:
        runner.run({"x": np.array([item, None], dtype=object)[:-1]})
    assert caught.value.input == "x"


def test_arrays_that_are_not_contiguous_are_read_right(open_cpu):
    runner = open_cpu(graphs.identity(DType.FP32, 2))
    x = np.arange(48, dtype=np.float32).reshape(6, 8)
    for view in (x[::2, ::2], x.T, x[::-1], np.asfortranarray(x)):
        assert runner.run({"x": view})["y"].tolist() == view.tolist()


@pytest.mark.parametrize(
    ("inputs", "name"),
    [
        ({}, "x"),
        ({"x": np.ones((1, 4), np.float64)}, "x"),
        ({"x": np.ones((1, 4), ">f4")}, "x"),  # ONNX Runtime would read the bytes backwards
        ({"x": [[1.0, 2.0, 3.0, 4.0]]}, "x"),
        ({"x": np.ones((1, 5), np.float32)}, "x"),
        ({"x": np.ones(4, np.float32)}, "x"),
        ({"x": np.ones((1, 4), np.float32), "z": np.ones(1, np.float32)}, "z"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_by_name(open_cpu, inputs, name):
    with pytest.raises(InvalidTensor) as caught:
        open_cpu(graphs.tiny()).run(inputs)
    assert caught.value.input == name


def test_an_unknown_output_is_refused_and_a_known_one_comes_alone(open_cpu):
    x = TensorSpec("x", DType.FP32, ("batch",))
    graph = graphs.graph(
        "pair",
        [helper.make_node("Neg", ["x"], ["a"]), helper.make_node("Abs", ["x"], ["b"])],
        [x],
        [TensorSpec(name, DType.FP32, ("batch",)) for name in ("a", "b")],
    )
    runner = open_cpu(graph)
    inputs = {"x": np.array([-1.0], np.float32)}
    assert list(runner.run(inputs)) == ["a", "b"]
    assert runner.run(inputs, ["b"]) == {"b": 1.0}
    with pytest.raises(InvalidTensor) as caught:
        runner.run(inputs, ["nonesuch"])
    assert caught.value.input == "nonesuch"


def gather() -> graphs.Graph:
    """Picks one of four constants by index: an index of 4 or more fails inside the runtime."""
    table = helper.make_tensor("table", TensorProto.FLOAT, [4], [0.0, 1.0, 2.0, 3.0])
    return graphs.graph(
        "gather",
        [helper.make_node("Gather", ["table", "x"], ["y"])],
        [TensorSpec("x", DType.INT64, ("batch",))],
        [TensorSpec("y", DType.FP32, ("batch",))],
        [table],
    )


def test_a_failing_run_keeps_native_text_in_the_log(open_cpu, caplog, capfd):
    runner = open_cpu(gather())
    with caplog.at_level(logging.WARNING), pytest.raises(ModelFailed) as caught:
        runner.run({"x": np.array([99])})
    assert caught.value.message == "the model's runtime failed on this input"
    assert "Gather" in caplog.text
    assert capfd.readouterr().err == ""
    assert runner.run({"x": np.array([3])})["y"].tolist() == [3.0]


def test_a_closed_runner_is_unavailable(open_cpu):
    runner = open_cpu(graphs.tiny())
    runner.close()
    with pytest.raises(Unavailable):
        runner.run({"x": np.ones((1, 4), np.float32)})


def test_two_threads_share_a_runner_and_get_their_own_answers(open_cpu):
    runner = open_cpu(graphs.tiny())
    alone = {row: runner.run({"x": np.full((1, 4), row, np.float32)})["y"] for row in range(8)}
    wrong: list[int] = []
    start = threading.Barrier(2)

    def work(rows: range) -> None:
        start.wait()
        for _ in range(200):
            for row in rows:
                y = runner.run({"x": np.full((1, 4), row, np.float32)})["y"]
                if not np.array_equal(y, alone[row]):
                    wrong.append(row)

    threads = [threading.Thread(target=work, args=(rows,)) for rows in (range(4), range(4, 8))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def threads_of_process() -> set[str]:
    return {task.name for task in Path("/proc/self/task").iterdir()}


def test_the_number_of_threads_is_the_one_asked_for(open_cpu):
    before = threads_of_process()
    open_cpu(graphs.conv(size=16, width=8, layers=2))
    assert threads_of_process() - before == set()
    open_cpu(graphs.conv(size=16, width=8, layers=2), intra_op=3)
    assert len(threads_of_process() - before) == 2


def test_placement_and_memory_are_known_after_opening(open_cpu):
    small = open_cpu(graphs.tiny())
    large = open_cpu(graphs.conv())
    assert small.provider == "cpu"
    assert small.placement == {"CPUExecutionProvider": 1}
    weights = len(graphs.conv().model.SerializeToString())
    assert large.resident_bytes - small.resident_bytes >= weights / 2


def edited(graph: graphs.Graph, where: str, **changes) -> graphs.Graph:
    """The same graph with one tensor of its manifest changed."""
    signature = {
        key: [dict(t) for t in value] for key, value in graph.manifest["signature"].items()
    }
    signature[where][0].update(changes)
    return dataclasses.replace(graph, manifest={**graph.manifest, "signature": signature})


@pytest.mark.parametrize(
    ("where", "changes", "name"),
    [
        ("inputs", {"name": "other"}, "x"),
        ("outputs", {"name": "other"}, "other"),
        ("inputs", {"datatype": "FP64"}, "x"),
        ("outputs", {"datatype": "INT8"}, "y"),
        ("inputs", {"shape": ["batch", 4, 1]}, "x"),
        ("inputs", {"shape": ["batch", 5]}, "x"),
        ("inputs", {"shape": ["batch", "width"]}, "x"),
        ("outputs", {"shape": ["batch", "width"]}, "y"),
    ],
)
def test_a_manifest_that_disagrees_with_its_graph_is_refused(open_cpu, where, changes, name):
    with pytest.raises(InvalidBundle) as caught:
        open_cpu(edited(graphs.tiny(), where, **changes))
    assert caught.value.input == name


def test_a_manifest_may_be_narrower_than_its_graph(open_cpu):
    runner = open_cpu(edited(graphs.identity(DType.FP32, 2), "inputs", shape=["batch", 1]))
    assert runner.signature.inputs[0].shape == ("batch", 1)


def test_one_axis_of_the_graph_cannot_be_two_in_the_manifest(open_cpu):
    specs = [TensorSpec(name, DType.FP32, ("n",)) for name in ("a", "b")]
    graph = graphs.graph(
        "sum",
        [helper.make_node("Add", ["a", "b"], ["y"])],
        specs,
        [TensorSpec("y", DType.FP32, ("n",))],
    )
    with pytest.raises(InvalidBundle) as caught:
        open_cpu(edited(graph, "inputs", shape=["m"]))
    assert caught.value.input == "b"
    assert "'m'" in caught.value.message


def test_an_output_whose_rows_do_not_follow_the_batch_is_refused(open_cpu):
    graph = graphs.graph(
        "repeat",
        [helper.make_node("Concat", ["x", "x"], ["y"], axis=0)],
        [TensorSpec("x", DType.FP32, ("batch", 2))],
        [TensorSpec("y", DType.FP32, ("batch", 2))],
    )
    with pytest.raises(InvalidBundle) as caught:
        open_cpu(graph)
    assert caught.value.input == "y"


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x80\x04N."])
def test_a_file_that_is_no_model_is_refused_without_native_text(bundle, content):
    directory, manifest = bundle(graphs.tiny())
    (directory / "model.onnx").write_bytes(content)
    with pytest.raises(InvalidBundle) as caught:
        provider.open(directory, manifest)
    assert str(directory) not in caught.value.message
    assert "ONNXRuntimeError" not in caught.value.message


GROWTH = """
import sys
from pathlib import Path
from plaza_accel.providers.cpu import provider
from plaza_core.manifest import parse_manifest

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

directory = Path(sys.argv[1])
manifest = parse_manifest((directory / "plaza.yaml").read_bytes())
first = provider.open(directory, manifest)
before = resident()
second = provider.open(directory, manifest)
print(resident() - before, second.resident_bytes)
"""


def test_an_open_model_holds_its_weights_once(bundle):
    """Without returning freed memory it is three times the file."""
    size = 1536
    weights = np.random.default_rng(0).standard_normal((size, size), np.float32)
    graph = graphs.graph(
        "dense",
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [TensorSpec("x", DType.FP32, ("batch", size))],
        [TensorSpec("y", DType.FP32, ("batch", size))],
        [numpy_helper.from_array(weights, "w")],
        max_batch=1,
    )
    directory, _ = bundle(graph)
    command = [sys.executable, "-c", GROWTH, str(directory)]
    grown, estimate = map(
        int, subprocess.run(command, capture_output=True, check=True).stdout.split()
    )
    assert grown < 1.5 * weights.nbytes
    assert abs(estimate - grown) < 0.5 * weights.nbytes
