"""`plaza models init`: what an exporter wrote becomes a bundle that registers as it is."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from benchmarks import graphs
from plaza_accel.examination.examine import SandboxExaminer
from plaza_accel.sandbox.confinement import sandbox_support
from plaza_core.card import Card, parse_card
from plaza_core.errors import Conflict, InvalidBundle, InvalidInput
from plaza_core.tensors import DType
from plaza_registry.beginning import begin_bundle
from plaza_registry.bundle import read_bundle
from plaza_registry.drafting import draft, slug
from plaza_registry.graph import DATATYPES, Declared, Outline, read_outline

confined = pytest.mark.skipif(
    not sandbox_support()["usable"], reason="this kernel cannot confine a process"
)
FLOAT = DType.FP32


def numbers(message, *names):
    return [message.DESCRIPTOR.fields_by_name[name].number for name in names]


def test_field_numbers_are_those_of_the_installed_onnx():
    assert numbers(onnx.ModelProto, "graph") == [7]
    assert numbers(onnx.GraphProto, "initializer", "input", "output", "sparse_initializer") == [
        5, 11, 12, 15,
    ]  # fmt: skip
    assert numbers(onnx.ValueInfoProto, "name", "type") == [1, 2]
    assert numbers(onnx.TypeProto, "tensor_type") == [1]
    assert numbers(onnx.TypeProto.Tensor, "elem_type", "shape") == [1, 2]
    assert numbers(onnx.TensorShapeProto, "dim") == [1]
    assert numbers(onnx.TensorShapeProto.Dimension, "dim_value", "dim_param") == [1, 2]
    assert numbers(onnx.TensorProto, "name", "external_data") == [8, 13]
    assert numbers(onnx.SparseTensorProto, "values") == [1]
    assert {DATATYPES[number] for number in graphs.ONNX_TYPES.values()} == set(DType)
    assert all(DATATYPES[number] is datatype for datatype, number in graphs.ONNX_TYPES.items())


def signature_of(inputs, outputs):
    made = draft(Outline(inputs, outputs, []), name="m")
    entries = made.manifest.signature
    shapes = {e.name: e.shape for e in (*entries.inputs, *entries.outputs)}
    return shapes, made.manifest.signature_spec().batched, list(made.notes)


class TestNamingAxes:
    @pytest.mark.parametrize("symbol", ["N", "batch", "batch_size", None, "unk__12", "s0", "Batch"])
    def test_a_variable_first_axis_of_all_tensors_is_a_batch(self, symbol):
        shapes, joined, notes = signature_of(
            [Declared("x", FLOAT, (symbol, 3))], [Declared("y", FLOAT, (symbol, 5))]
        )
        assert (shapes, joined, notes) == ({"x": ["batch", 3], "y": ["batch", 5]}, True, [])

    @pytest.mark.parametrize(
        ("inputs", "outputs", "words"),
        [
            ([("x", (1, 3))], [("y", (1, 5))], "'x' has no variable first axis"),
            ([("x", ("N", 3))], [("y", ())], "'y' has no variable first axis"),
            ([("x", ("N", 3))], [("y", ("found", 6))], "first axes are called N and found"),
            ([("x", ("seq_len", 3))], [("y", ("seq_len", 5))], "called 'seq_len'"),
            ([("x", ("N", "N"))], [("y", ("N", 5))], "'x' has the first axis in two places"),
            ([("x", (None, "N"))], [("y", ("N", 5))], "'x' has the first axis in two places"),
        ],
    )
    def test_where_the_graph_leaves_a_doubt_nothing_is_joined(self, inputs, outputs, words):
        shapes, joined, notes = signature_of(
            [Declared(n, FLOAT, s) for n, s in inputs], [Declared(n, FLOAT, s) for n, s in outputs]
        )
        assert not joined
        assert words in notes[0]
        assert all("batch" not in shape for shape in shapes.values())

    def test_other_axes_keep_their_symbol_as_a_proper_name(self):
        shapes, _, _ = signature_of(
            [Declared("x", FLOAT, ("N", "Past + Seq", None, "9x", "batch"))],
            [Declared("y", FLOAT, ("N", "Past + Seq", None, "past_seq"))],
        )
        assert shapes["x"] == ["batch", "past_seq", "axis", "axis_9x", "batch_2"]
        assert shapes["y"] == ["batch", "past_seq", "axis_2", "past_seq_2"]

    axes = st.one_of(
        st.integers(1, 9),
        st.none(),
        st.sampled_from(["N", "batch", "n", "T", "é", "unk__1", "N N"]),
    )
    shapes = st.lists(axes, max_size=4).map(tuple)

    @given(st.lists(shapes, min_size=1, max_size=3), st.lists(shapes, min_size=1, max_size=3))
    def test_one_symbol_is_one_name_and_two_are_two(self, inputs, outputs):
        declared_in = [Declared(f"x{n}", FLOAT, shape) for n, shape in enumerate(inputs)]
        declared_out = [Declared(f"y{n}", FLOAT, shape) for n, shape in enumerate(outputs)]
        shapes, joined, _ = signature_of(declared_in, declared_out)
        names: dict[str, set] = {}
        for tensor in (*declared_in, *declared_out):
            for symbol, name in zip(tensor.shape, shapes[tensor.name], strict=True):
                if isinstance(symbol, int):
                    assert name == symbol
                elif symbol is not None and not symbol.startswith("unk"):
                    names.setdefault(symbol, set()).add(name)
        assert all(len(given) == 1 for given in names.values())
        assert len(set.union(*names.values(), set())) == len(names)
        assert joined == any("batch" in shape for shape in shapes.values())


class TestWhatCannotBeDescribed:
    def test_a_shape_that_is_not_said_is_asked_for(self):
        outline = Outline([Declared("x", FLOAT, None)], [Declared("y", FLOAT, ("N",))], [])
        with pytest.raises(InvalidBundle, match="--shape x=batch,3") as caught:
            draft(outline, name="m")
        assert caught.value.input == "x"
        made = draft(outline, name="m", shapes={"x": ["N", 7]})
        assert made.manifest.signature.inputs[0].shape == ["batch", 7]

    def test_a_shape_for_a_tensor_that_is_not_there(self):
        outline = Outline([Declared("x", FLOAT, ("N",))], [Declared("y", FLOAT, ("N",))], [])
        with pytest.raises(InvalidBundle, match="it has x, y"):
            draft(outline, name="m", shapes={"z": ["N"]})

    def test_outputs_that_are_not_served_are_left_out_and_told(self):
        outline = Outline(
            [Declared("x", FLOAT, ("N", 4))],
            [Declared("label", DType.INT64, ("N",)), Declared("probabilities", None, None)],
            [],
        )
        made = draft(outline, name="m")
        assert [o.name for o in made.manifest.signature.outputs] == ["label"]
        assert "'probabilities' is left out" in made.notes[0]

    def test_an_input_that_is_not_served(self):
        outline = Outline([Declared("x", None, None)], [Declared("y", FLOAT, ("N",))], [])
        with pytest.raises(InvalidBundle, match="not served"):
            draft(outline, name="m")

    @pytest.mark.parametrize("content", [b"", b"\x80\x04text.", b"PK\x03\x04", os.urandom(200)])
    def test_files_that_are_no_model(self, tmp_path, content):
        (tmp_path / "model.onnx").write_bytes(content)
        with pytest.raises(InvalidBundle):
            begin_bundle(tmp_path / "model.onnx")

    def test_a_family_that_is_not_there_with_the_one_that_was_meant(self, tmp_path):
        graphs.tiny().write(tmp_path)
        with pytest.raises(InvalidInput, match=r"did you mean 'vision.detect'\?"):
            begin_bundle(tmp_path / "model.onnx", family="vision.detekt", force=True)


@pytest.mark.parametrize(
    ("text", "name"),
    [("YOLOX-Nano v2.onnx", "yolox-nano-v2-onnx"), ("__", "model"), ("a" * 90, "a" * 63)],
)
def test_model_names_are_like_file_names(text, name):
    assert slug(text) == name


def save(path, nodes, inputs, outputs, weights=()):
    body = helper.make_graph(nodes, "g", inputs, outputs, list(weights))
    path.write_bytes(graphs.model(body).SerializeToString())
    return path


def tensor(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def registers(directory):
    """Passes every check of a registration, sandbox included."""
    bundle = read_bundle(directory)
    verdict = SandboxExaminer(timeout_s=20, memory_mb=2000).examine(directory, bundle.manifest)
    return verdict.passed or verdict.reason


@confined
class TestItRegistersAsItIs:
    @pytest.mark.parametrize(
        "graph",
        [graphs.tiny(), graphs.conv(), *(graphs.identity(d) for d in DType)],
        ids=lambda g: f"{g.manifest['name']}-{g.manifest['signature']['inputs'][0]['datatype']}",
    )
    def test_the_graphs_of_the_benchmarks(self, tmp_path, graph):
        (tmp_path / "model.onnx").write_bytes(graph.model.SerializeToString())
        begun = begin_bundle(tmp_path / "model.onnx")
        assert begun.digest == read_bundle(tmp_path).digest
        made = read_bundle(tmp_path).manifest
        assert made.signature_spec() == graph.parsed().signature_spec()
        assert registers(tmp_path) is True

    def test_weights_among_the_inputs_as_old_exporters_wrote_them(self, tmp_path):
        weight = onnx.numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
        path = save(
            tmp_path / "model.onnx",
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            [tensor("x", ["N", 4]), tensor("w", [4, 4])],
            [tensor("y", ["N", 4])],
            [weight],
        )
        assert [i.name for i in read_outline(path).inputs] == ["x"]
        begin_bundle(path)
        assert registers(tmp_path) is True

    def test_an_output_as_long_as_what_is_found(self, tmp_path):
        path = save(
            tmp_path / "model.onnx",
            [helper.make_node("NonZero", ["x"], ["y"])],
            [tensor("x", ["N", 4])],
            [tensor("y", [2, "found"], TensorProto.INT64)],
        )
        begun = begin_bundle(path)
        assert "runs alone" in begun.notes[0]
        assert read_bundle(tmp_path).manifest.limits.max_batch == 1
        assert registers(tmp_path) is True

    def test_weights_in_a_file_beside_are_taken_along(self, tmp_path):
        model = graphs.conv().model
        onnx.save_model(
            model, tmp_path / "net.onnx", save_as_external_data=True, location="net.onnx.data",
            size_threshold=0,
        )  # fmt: skip
        begun = begin_bundle(tmp_path / "net.onnx")
        assert begun.directory == tmp_path / "net"
        files = [entry.path for entry in read_bundle(begun.directory).files]
        assert files == ["model.onnx", "net.onnx.data", "plaza.yaml", "samples/first.json"]
        assert registers(begun.directory) is True

    @pytest.mark.data
    @pytest.mark.parametrize("name", ["mnist", "yolox_nano", "FastestDet"])
    def test_models_that_nobody_here_made(self, tmp_path, name):
        path = Path(os.environ.get("PLAZA_DATA", "absent")) / "models" / f"{name}.onnx"
        if not path.exists():
            pytest.skip(f"{path.name} is not in PLAZA_DATA")
        begun = begin_bundle(path, tmp_path / name)
        assert begun.digest is not None
        assert registers(tmp_path / name) is True


class TestTheDirectory:
    @pytest.fixture
    def model(self, tmp_path):
        (tmp_path / "Big Net.onnx").write_bytes(graphs.tiny().model.SerializeToString())
        return tmp_path / "Big Net.onnx"

    def test_a_file_of_another_name_gets_a_directory_of_its_own(self, model):
        begun = begin_bundle(model)
        assert begun.directory == model.with_suffix("")
        assert read_bundle(begun.directory).manifest.name == "big-net"
        assert list(begun.written) == ["plaza.yaml", "samples/first.json", "CARD.md"]

    def test_the_card_is_one_and_says_what_to_fill_in(self, model):
        card = parse_card((begin_bundle(model).directory / "CARD.md").read_text())
        assert card.front == Card()
        assert card.body.startswith("# big-net")

    def test_the_sample_is_a_request(self, model):
        request = json.loads((begin_bundle(model).directory / "samples/first.json").read_text())
        assert request == {
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [0.0] * 4}]
        }

    def test_a_large_sample_is_an_array(self, tmp_path):
        (tmp_path / "model.onnx").write_bytes(graphs.conv(size=100).model.SerializeToString())
        assert "samples/0-image.npy" in begin_bundle(tmp_path / "model.onnx").written
        assert np.load(tmp_path / "samples/0-image.npy").shape == (1, 3, 100, 100)
        assert read_bundle(tmp_path).manifest.samples == ["samples/0-image.npy"]

    def test_what_somebody_wrote_is_not_overwritten(self, model):
        directory = begin_bundle(model).directory
        (directory / "CARD.md").write_text("# Mine\n")
        with pytest.raises(Conflict, match="--force"):
            begin_bundle(model)
        begin_bundle(model, name="renamed", force=True)
        assert read_bundle(directory).manifest.name == "renamed"
        assert (directory / "CARD.md").read_text() == "# Mine\n"

    def test_other_files_in_the_directory_are_told(self, tmp_path):
        (tmp_path / "model.onnx").write_bytes(graphs.tiny().model.SerializeToString())
        (tmp_path / "train.py").write_text("pass")
        begun = begin_bundle(tmp_path / "model.onnx")
        assert begun.digest is None
        assert begun.notes[0].startswith("not a bundle yet: train.py")

    @pytest.mark.parametrize("location", ["../w.data", "/etc/passwd", "absent.data"])
    def test_weights_elsewhere_are_not_copied(self, tmp_path, location):
        model = graphs.tiny().model
        weight = model.graph.initializer[0]
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        entry = weight.external_data.add()
        entry.key, entry.value = "location", location
        (tmp_path / "w.data").write_bytes(b"1")
        (tmp_path / "in").mkdir()
        (tmp_path / "in/net.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(InvalidBundle) as caught:
            begin_bundle(tmp_path / "in/net.onnx")
        assert caught.value.input == location
        assert not (tmp_path / "in/net").exists()


def test_nothing_of_a_runtime_is_imported(tmp_path):
    """Neither onnxruntime nor onnx: a file is read, not opened."""
    import subprocess

    graphs.tiny().write(tmp_path)
    code = (
        "import sys, pathlib\n"
        "from plaza_registry.beginning import begin_bundle\n"
        "begin_bundle(pathlib.Path(sys.argv[1]), force=True)\n"
        "assert not {'onnx', 'onnxruntime', 'torch', 'mlflow'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "model.onnx")], check=True)
