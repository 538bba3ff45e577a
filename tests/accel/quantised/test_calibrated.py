"""Convolutions in 8-bit integers, by ranges seen: all but the last, and the answers stay near."""

import numpy as np
import onnx
import onnxruntime
import pytest

from benchmarks import graphs
from plaza_accel.quantised.calibrated import quantise_calibrated

LAYERS = 4


@pytest.fixture(scope="module")
def model():
    return graphs.conv(size=16, width=16, layers=LAYERS).model


@pytest.fixture(scope="module")
def feeds():
    random = np.random.default_rng(1)
    return [{"image": random.random((2, 3, 16, 16), np.float32)} for _ in range(8)]


@pytest.fixture(scope="module")
def made(model, feeds):
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    return quantise_calibrated(copy, feeds)


def scores(content, feed):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    (found,) = onnxruntime.InferenceSession(content, options).run(None, feed)
    return found


def test_the_weights_of_all_convolutions_but_the_last_are_bytes(made):
    graph = onnx.load_from_string(made).graph
    kept = {one.name for one in graph.initializer if one.data_type == onnx.TensorProto.FLOAT}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert [node.input[1] in kept for node in convolutions] == [False] * (LAYERS - 1) + [True]


def test_its_answers_are_near_those_in_floats_on_what_it_never_saw(model, made):
    feed = {"image": np.random.default_rng(2).random((4, 3, 16, 16), np.float32)}
    want, got = scores(model.SerializeToString(), feed), scores(made, feed)
    assert np.abs(got - want).max() < 0.1 * np.abs(want).max()


def test_the_same_inputs_make_the_same_file(model, feeds, made):
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    assert quantise_calibrated(copy, feeds) == made
