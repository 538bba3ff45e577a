"""A provider that compiles per shape meets the declared shapes only, and nobody can tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from benchmarks import graphs
from plaza_accel.providers import cpu
from plaza_accel.providers.testing import TwinProvider
from plaza_accel.sessions.buckets import compiled
from plaza_core.errors import InvalidBundle, InvalidInput, InvalidTensor, ProviderUnavailable
from plaza_core.padding import MOST_SHAPES
from plaza_core.tensors import DType, TensorSpec

TOKENS = {"tokens": (4, 8, 16)}


def masked(max_batch: int = 8) -> graphs.Graph:
    """Per row the sum of values where the mask is 1, and the values doubled: whole numbers, so that
    equal means equal. The padding of `tokens` is masked out of the sum."""
    variable = ("batch", "tokens")
    return graphs.graph(
        "masked",
        [
            helper.make_node("Mul", ["x", "mask"], ["kept"]),
            helper.make_node("ReduceSum", ["kept", "axes"], ["sum"], keepdims=0),
            helper.make_node("Add", ["x", "x"], ["twice"]),
        ],
        [TensorSpec("x", DType.FP32, variable), TensorSpec("mask", DType.FP32, variable)],
        [TensorSpec("sum", DType.FP32, ("batch",)), TensorSpec("twice", DType.FP32, variable)],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
        max_batch=max_batch,
    )


def unmasked() -> graphs.Graph:
    """The mean over `tokens`: padding changes it."""
    return graphs.graph(
        "mean",
        [helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)],
        [TensorSpec("x", DType.FP32, ("batch", "tokens"))],
        [TensorSpec("y", DType.FP32, ("batch",))],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )


def on_twin(bundle, graph, **buckets):
    """(runner, what it compiled)."""
    twin = TwinProvider().with_options({"buckets": buckets})
    runner = twin.open(*bundle(graph))
    return runner, twin.runners[-1].compiled


def test_every_declared_shape_is_compiled_before_traffic_and_none_after(bundle):
    runner, compiled = on_twin(bundle, masked(), batch=(1, 8), **TOKENS)
    assert len(compiled) == 2 * 3
    for rows, tokens in ((1, 1), (2, 5), (7, 16), (8, 3)):
        x = np.ones((rows, tokens), np.float32)
        runner.run({"x": x, "mask": x})
    assert len(compiled) == 6
    assert compiled.total() == 6 + 4


def test_batches_are_powers_of_two_unless_declared(bundle):
    _, compiled = on_twin(bundle, graphs.tiny())
    assert sorted(shape[0] for ((_, shape),) in compiled) == [1, 2, 4, 8, 16, 32]


PAIR: dict[str, object] = {}


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_answers_are_those_without_padding(tmp_path_factory, data):
    if not PAIR:
        graph = masked()
        directory = graph.write(tmp_path_factory.mktemp("masked"))
        twin = TwinProvider().with_options({"buckets": {"batch": (2, 5), **TOKENS}})
        PAIR["plain"] = cpu.provider.open(directory, graph.parsed())
        PAIR["twin"] = twin.open(directory, graph.parsed())
        PAIR["compiled"] = twin.runners[-1].compiled
    rows = data.draw(st.integers(1, 8), "rows")
    tokens = data.draw(st.integers(0, 16), "tokens")
    seed = data.draw(st.integers(0, 2**32 - 1), "seed")
    random = np.random.default_rng(seed)
    inputs = {
        "x": random.integers(-99, 99, (rows, tokens)).astype(np.float32),
        "mask": random.integers(0, 2, (rows, tokens)).astype(np.float32),
    }
    outputs = data.draw(st.sampled_from([None, ["sum"], ["twice", "sum"]]), "outputs")
    plain, padded = PAIR["plain"].run(inputs, outputs), PAIR["twin"].run(inputs, outputs)
    assert list(plain) == list(padded)
    for name, array in plain.items():
        assert padded[name].shape == array.shape
        assert np.array_equal(padded[name], array)  # by value: -0 plus a padded 0 is 0
    assert len(PAIR["compiled"]) == 3 * 3  # 2, 5, and the largest batch of the model


def test_texts_are_padded_with_empty_ones(bundle):
    runner, _ = on_twin(bundle, graphs.identity(DType.BYTES, 1))
    texts = np.array([b"a", b"", "Grüße".encode()], dtype=object)
    assert runner.run({"x": texts})["y"].tolist() == texts.tolist()


def test_a_model_that_does_not_mask_its_padding_is_refused(bundle):
    with pytest.raises(InvalidBundle, match="padding axis 'tokens' changes the answers") as caught:
        on_twin(bundle, unmasked(), **TOKENS)
    assert caught.value.input == "y"


def declaring(graph, **buckets):
    return replace(graph, manifest={**graph.manifest, "buckets": buckets})


def test_a_bundle_that_declares_sizes_is_tried_with_padding_on_every_provider(bundle):
    with pytest.raises(InvalidBundle, match="padding axis 'tokens' changes the answers"):
        cpu.provider.open(*bundle(declaring(unmasked(), tokens=[4, 8])))
    cpu.provider.open(*bundle(declaring(masked(), tokens=[4, 8]))).close()


def test_sizes_that_the_bundle_declares_are_compiled_unless_others_are_asked_for(bundle):
    graph = declaring(masked(), tokens=[4, 8])
    _, compiled = on_twin(bundle, graph, batch=(8,))
    assert {shape[1] for shapes in compiled for _, shape in shapes} == {4, 8}
    _, compiled = on_twin(bundle, graph, batch=(8,), tokens=(6,))
    assert {shape[1] for shapes in compiled for _, shape in shapes} == {6}


def test_an_axis_without_sizes_is_refused_and_named(bundle):
    with pytest.raises(ProviderUnavailable, match="axis 'tokens' varies"):
        on_twin(bundle, masked())


def test_more_shapes_than_may_be_are_refused(bundle):
    sizes = tuple(range(1, MOST_SHAPES))
    with pytest.raises(ProviderUnavailable, match=f"{MOST_SHAPES} may be"):
        on_twin(bundle, masked(), tokens=sizes)


def test_what_is_larger_than_the_largest_is_refused_by_name(bundle):
    runner, compiled = on_twin(bundle, masked(), **TOKENS)
    before = len(compiled)
    x = np.ones((1, 17), np.float32)
    with pytest.raises(InvalidTensor, match="up to 16") as caught:
        runner.run({"x": x, "mask": x})
    assert caught.value.input == "x"
    assert len(compiled) == before


def test_an_output_that_varies_on_its_own_cannot_be_cut_back():
    graph = graphs.graph(
        "found",
        [helper.make_node("NonZero", ["x"], ["y"])],
        [TensorSpec("x", DType.FP32, ("batch",))],
        [TensorSpec("y", DType.INT64, (1, "found"))],
    )
    with pytest.raises(InvalidBundle, match="'found' is in no input") as caught:
        compiled(graph.parsed(), {})
    assert caught.value.input == "y"


@pytest.mark.parametrize("sizes", [(), (0, 4), (8, 4), (4, 4)])
def test_sizes_ascend_from_one(sizes):
    with pytest.raises(InvalidInput) as caught:
        TwinProvider().with_options({"buckets": {"tokens": sizes}})
    assert caught.value.input == "buckets"


def test_a_shape_that_fits_is_not_copied(bundle):
    """The hot path of full batches."""
    runner, _ = on_twin(bundle, graphs.tiny())
    seen = []
    inner = runner._inner
    runner._inner = type(
        "Spy", (), {"run": lambda _, inputs, outputs: seen.append(inputs) or inner.run(inputs)}
    )()
    x = np.ones((4, 4), np.float32)
    runner.run({"x": x})
    assert seen[0]["x"] is x
