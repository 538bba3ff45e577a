"""Certificates that sandboxed children make of real bundles, and how answers are compared."""

from __future__ import annotations

import itertools
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import numpy_helper

from benchmarks import graphs
from plaza_accel.examination import certify as body
from plaza_accel.examination.certifier import Place, SandboxCertifier, _Measured, _refusal
from plaza_accel.examination.environment import cpu_features, environment_of
from plaza_accel.providers.cpu import provider
from plaza_accel.sandbox.confinement import sandbox_support
from plaza_core.certificate import CertificateKey
from plaza_core.errors import InvalidInput, ModelFailed
from plaza_core.ids import Digest
from plaza_core.tensors import DType, Signature, TensorSpec
from plaza_core.testing import FakeClock
from tests.accel.examination.children import children
from tests.accel.hostile import corpus, making

pytestmark = pytest.mark.skipif(
    not sandbox_support()["usable"], reason="this kernel cannot confine a process"
)

DIGEST = Digest("b" * 64)
Y = TensorSpec("y", DType.FP32, ("batch", 2))
SIGNATURE = Signature((Y,), (Y,))


def certifier(*places, timeout_s=20):
    return SandboxCertifier(
        places or [Place("cpu")], FakeClock(), timeout_s=timeout_s, memory_mb=1500
    )


def test_a_good_bundle_gets_all_that_a_certificate_says(bundle):
    made = certifier().certify(*bundle(graphs.tiny()), DIGEST, "cpu")
    assert (made.passed, made.rule, made.parity) == (True, None, None)
    assert made.placement == {"CPUExecutionProvider": 1}
    assert set(made.latency_us) == {1, 4, 16}
    assert made.rows_per_second > 0
    assert made.load_us > 0
    assert made.peak_bytes > 0
    # The child is where the replica is: same interpreter, same machine, same words.
    assert made.key == CertificateKey.of(DIGEST, environment_of(provider))


def test_a_hostile_bundle_gets_one_that_is_not_passed_and_says_where(bundle):
    directory, manifest = bundle(graphs.tiny())
    (directory / "model.onnx").write_bytes(b"\x80\x04K\x01.")
    made = certifier().certify(directory, manifest, DIGEST, "cpu")
    assert not made.passed
    assert made.reason
    assert not made.latency_us
    assert made.key.environment == environment_of(provider)


def test_one_that_never_ends_is_refused_in_time(tmp_path):
    case = corpus.CORPUS["endless loop"]()
    directory = case.write(tmp_path / "bundle")
    made = certifier(timeout_s=3).certify(directory, case.parsed, DIGEST, "cpu")
    assert (made.passed, "not finished after 3 s" in made.reason) == (False, True)


def test_an_operator_may_give_small_models_that_compute_much_more_time(tmp_path):
    case = corpus.CORPUS["endless loop"]()
    directory = case.write(tmp_path / "bundle")
    hasty = SandboxCertifier(
        [Place("cpu")], FakeClock(), timeout_s=20, memory_mb=1500, least_cpu_s=2
    )
    made = hasty.certify(directory, case.parsed, DIGEST, "cpu")
    assert (made.rule, "(2 s for a bundle of its size)" in made.reason) == ("time", True)


def test_ten_at_once_are_all_certified(bundle):
    """More than there are processors: what each waits for one is not held against it."""
    honest, before = [bundle(graphs.conv()) for _ in range(10)], children()
    with ThreadPoolExecutor(10) as pool:
        made = list(pool.map(lambda one: certifier().certify(*one, DIGEST, "cpu"), honest))
    assert [(each.passed, each.reason) for each in made] == [(True, "passed")] * 10
    assert children() <= before


def test_a_hundred_megabytes_of_weights_are_certified(bundle):
    """Time and memory are in proportion to what was sent."""
    side, layers = 1024, 25
    draw = np.random.default_rng(0)
    names = ["x", *(f"h{i}" for i in range(1, layers)), "y"]
    nodes = [
        making.node("MatMul", [before, f"w{i}"], [after])
        for i, (before, after) in enumerate(itertools.pairwise(names))
    ]
    weights = [
        numpy_helper.from_array(draw.standard_normal((side, side), np.float32) / 32, f"w{i}")
        for i in range(layers)
    ]
    x, y = (TensorSpec(name, DType.FP32, ("batch", side)) for name in ("x", "y"))
    graph = making.plain(*nodes, weights=weights, inputs=[x], outputs=[y])
    made = SandboxCertifier([Place("cpu")], FakeClock(), timeout_s=30, memory_mb=3072).certify(
        *bundle(graph), DIGEST, "cpu"
    )
    assert made.passed, made.reason
    assert set(made.latency_us) == {1, 4, 16}
    assert made.peak_bytes > 90 << 20


def test_a_provider_that_no_pool_has_is_refused_naming_those_there_are(bundle):
    with pytest.raises(InvalidInput, match="there are: cpu") as caught:
        certifier().certify(*bundle(graphs.tiny()), DIGEST, "cann")
    assert caught.value.input == "provider"


def test_a_provider_that_cannot_be_used_here_is_said_by_the_certificate(bundle):
    made = certifier(Place("nonesuch")).certify(*bundle(graphs.tiny()), DIGEST, "nonesuch")
    assert not made.passed
    assert "nonesuch" in made.reason
    assert made.key.provider == "nonesuch"


def test_options_of_the_pool_reach_the_provider(bundle):
    odd = certifier(Place("cpu", {"intra_op": 0}, sys.executable))
    made = odd.certify(*bundle(graphs.tiny()), DIGEST, "cpu")
    assert (made.passed, "intra_op" in made.reason) == (False, True)


@pytest.mark.parametrize(
    ("ours", "passes"),
    [([[1.0, 2.0]], True), ([[1.0, 2.001]], True), ([[1.0, 2.1]], False), ([[1.0, np.nan]], False)],
)
def test_answers_are_held_against_the_tolerance(ours, passes):
    theirs = {"y": np.array([[1.0, 2.0]], np.float32)}
    parity = body.compare_answers(SIGNATURE, {"y": np.array(ours, np.float32)}, theirs)
    measured = _Measured(
        placement={}, latency_us={1: 1}, rows_per_second=1, peak_bytes=1, load_us=1, parity=parity
    )
    refusal = _refusal(measured, "openvino")
    assert (refusal is None) == passes
    if refusal is not None:
        assert refusal[0] == "parity"


def test_another_provider_without_a_comparison_is_refused():
    measured = _Measured(
        placement={}, latency_us={1: 1}, rows_per_second=1, peak_bytes=1, load_us=1
    )
    assert _refusal(measured, "cpu") is None
    assert _refusal(measured, "openvino")[0] == "parity"


floats = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    hnp.array_shapes(max_dims=2, max_side=3),
    elements=st.floats(width=32),
)


@given(floats)
def test_every_answer_equals_itself_also_where_it_is_no_number(array):
    signature = Signature((Y,), (Y,))
    parity = body.compare_answers(signature, {"y": array}, {"y": array.copy()})
    assert (parity.max_abs, parity.max_rel) == (0, 0)


@pytest.mark.parametrize(
    "theirs",
    [np.array([1, 3]), np.array([1.0, 2.0]), np.array([[1, 2]]), np.array([b"1", b"2"], object)],
)
def test_what_is_not_of_floats_is_equal_or_wrong(theirs):
    spec = TensorSpec("y", DType.INT64, (2,))
    ours = {"y": np.array([1, 2])}
    parity = body.compare_answers(Signature((spec,), (spec,)), ours, {"y": theirs})
    assert parity.max_rel == 1


def test_samples_of_the_bundle_are_used_where_they_are_tensors(bundle):
    directory, manifest = bundle(graphs.tiny())
    manifest = manifest.model_copy(update={"samples": ["a.txt", "other.json", "first.json"]})
    assert body.sample_tensors(directory, manifest) is None
    (directory / "other.json").write_text('{"texts": ["hello"]}')
    (spec,) = manifest.signature_spec().inputs
    shape = [2, *spec.shape[1:]]
    values = list(range(int(np.prod(shape))))
    entry = {"name": spec.name, "datatype": "FP32", "shape": shape, "data": values}
    (directory / "first.json").write_text(json.dumps({"inputs": [entry]}))
    sample = body.sample_tensors(directory, manifest)
    assert sample[spec.name].tolist() == np.reshape(values, shape).tolist()
    again = body.repeated(manifest.signature_spec(), sample, 3)[spec.name]
    assert again.tolist() == [*sample[spec.name].tolist(), sample[spec.name][0].tolist()]


ODD = {
    "deep": "[" * 100_000,
    "empty lists": '{"inputs": [' + "[], " * 1_000_000 + "[]]}",
    "a shape of no memory": (4 << 60, "[]"),
    "no rows": (0, "[]"),
    "no numbers": (1, "[NaN, Infinity, -Infinity, 1e999]"),
    "a number of many digits": (1, "[" + "9" * 400_000 + ", 1, 1, 1]"),
    "texts": (1, '["1", "a", "b", "c"]'),
    "lists in the shape": ("[1]", "[0, 0, 0, 0]"),
    "large": (1, "[0, 0, 0, 0]" + " " * (9 << 20)),
    "holes": None,
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_sample_is_none_and_refuses_no_model(bundle, name):
    directory, manifest = bundle(graphs.tiny())
    manifest = manifest.model_copy(update={"samples": ["s.json"]})
    odd = ODD[name]
    if isinstance(odd, tuple):
        odd = f'{{"inputs": [{{"name": "x", "shape": [{odd[0]}, 4], "data": {odd[1]}}}]}}'
    if odd is None:
        with (directory / "s.json").open("wb") as file:
            file.truncate(1 << 40)
    else:
        (directory / "s.json").write_text(odd)
    made = certifier().certify(directory, manifest, DIGEST, "cpu")
    assert made.passed, made.reason
    assert made.peak_bytes < 64 << 20  # of the model, not of the sample


def test_random_rows_differ_and_are_the_same_each_time():
    one, two = (body.random_tensors(SIGNATURE)["y"] for _ in range(2))
    assert one.tolist() == two.tolist()
    assert len({tuple(row) for row in one.tolist()}) == len(one)


class Narrow:
    """A runner with memory for four rows."""

    def run(self, inputs):
        if len(inputs["y"]) > 4:
            raise ModelFailed("the model ran out of memory on this input") from MemoryError()
        return inputs


def test_a_batch_for_which_there_is_no_memory_is_left_out_and_refuses_nothing(bundle):
    _, manifest = bundle(graphs.tiny())
    narrow = manifest.model_copy(
        update={
            "signature": type(manifest.signature).model_validate(
                {"inputs": [_entry(Y)], "outputs": [_entry(Y)]}
            )
        }
    )
    sample = body.random_tensors(SIGNATURE)
    assert set(body.time_batches(Narrow(), narrow, sample, first_us=1)) == {4}
    assert body.time_batches(Narrow(), narrow, sample, first_us=10**6) == {}


def _entry(spec):
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


@pytest.mark.parametrize(
    ("cpuinfo", "features"),
    [
        (
            "model name\t: X\nflags\t\t: fpu avx2 sse4_2 fma ht avx512_vnni\n",
            "avx2 avx512_vnni fma sse4_2",
        ),
        ("Features\t: fp asimd evtstrm bf16 sve2\n", "asimd bf16 sve2"),
        ("", ""),
    ],
)
def test_features_are_those_that_choose_kernels(cpuinfo, features):
    assert cpu_features(cpuinfo) == features
