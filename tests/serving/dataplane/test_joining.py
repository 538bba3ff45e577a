"""Requests of several lengths share runs, and nobody can tell from the answers or the bill."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import encoders
from plaza_accel.providers import cpu
from plaza_core.errors import InvalidTensor
from plaza_core.ids import RequestId
from plaza_core.inference import Call
from plaza_core.manifest import MANIFEST_FILE, parse_manifest
from plaza_core.testing import FakeClock, TensorFamily
from plaza_models.tasks import EmbedTask
from plaza_models.text.embed import open_family
from plaza_serving.dataplane.batch import BatchRunner
from plaza_serving.dataplane.joining import Joiner
from tests.accel.sessions.test_buckets import masked
from tests.serving.dataplane.test_batch import work

EMBEDDER = Path(__file__).parents[3] / "models" / "bundles" / "sentence-embedder"
TOKENS = {"tokens": (4, 8, 16)}
_ALPHABET = st.characters(codec="utf-8", categories=("L", "N", "Zs", "P"))
_WORDS = st.text(st.sampled_from("abcdefghij é7"), max_size=260)


@st.composite
def texts(draw):
    """With a letter in it, from one word to about 300 features."""
    return "a" + draw(st.one_of(_WORDS, st.text(_ALPHABET, max_size=40)))


class Recording:
    """Notes the shapes of the runs and takes 10 µs for each place of a row."""

    def __init__(self, inner, clock):
        self._inner, self._clock = inner, clock
        self.signature, self.provider = inner.signature, inner.provider
        self.shapes = []

    def run(self, inputs, outputs=None):
        first = next(iter(inputs.values()))
        self.shapes.append(first.shape)
        self._clock.advance(first.size * 1e-5)
        return self._inner.run(inputs, outputs)


@pytest.fixture(scope="module")
def embedder():
    manifest = parse_manifest((EMBEDDER / MANIFEST_FILE).read_bytes())
    runner = cpu.provider.open(EMBEDDER, manifest)
    yield manifest, runner, open_family(EMBEDDER, manifest)
    runner.close()


@pytest.fixture(scope="module")
def sums(tmp_path_factory):
    graph = masked(max_batch=64)
    runner = cpu.provider.open(graph.write(tmp_path_factory.mktemp("masked")), graph.parsed())
    yield runner
    runner.close()


def batch_runner(runner, family, buckets, clock):
    return BatchRunner(
        runner,
        family,
        max_batch=64,
        weight=1,
        buckets=buckets,
        clock=clock,
        cpu_ns=clock.monotonic_ns,
    )


def asking(task=None, tensors=None):
    one = work()
    one.call = Call(RequestId("r"), "m", None, tensors=tensors, task=task, family="text.embed")
    return one


def outcomes(run, works):
    done = {id(d.work): d for d in run(works)}
    return [done[id(one)] for one in works]


@given(st.lists(st.lists(texts(), min_size=1, max_size=3), min_size=1, max_size=8))
@settings(max_examples=40)
def test_joined_texts_have_the_vectors_of_each_alone_to_the_last_bit(embedder, requests):
    manifest, runner, family = embedder
    run = batch_runner(runner, family, manifest.buckets, FakeClock())
    tasks = [EmbedTask(tuple(request)) for request in requests]
    joined = outcomes(run, [asking(task) for task in tasks])
    for task, done in zip(tasks, joined, strict=True):
        (alone,) = outcomes(run, [asking(task)])
        wide = family._graph.reader.read(task.texts, "no", narrow=False)
        full = runner.run({"indices": wide.indices, "weights": wide.weights})
        prepared = family.prepare(task)
        for other in (alone.outcome.answer, family.interpret(full, prepared.context)):
            assert done.outcome.answer.vectors.tobytes() == other.vectors.tobytes()
            assert done.outcome.answer.tokens == other.tokens


@pytest.fixture(scope="module", params=["mean", "cls", "last"])
def encoder(request, tmp_path_factory):
    place = tmp_path_factory.mktemp("encoder")
    encoders.write(place, "encoder", encoders.SMALL, pooling=request.param)
    manifest = parse_manifest((place / MANIFEST_FILE).read_bytes())
    runner = cpu.provider.open(place, manifest)
    yield manifest, runner, open_family(place, manifest)
    runner.close()


@given(st.lists(st.lists(texts(), min_size=1, max_size=3), min_size=1, max_size=8))
@settings(max_examples=25)
def test_an_encoders_vectors_are_those_of_each_text_alone_without_padding(encoder, requests):
    """States of the small encoder are near 1; sums of other lengths round differently."""
    manifest, runner, family = encoder
    run = batch_runner(runner, family, manifest.buckets, FakeClock())
    tasks = [EmbedTask(tuple(request), cut="end") for request in requests]
    joined = outcomes(run, [asking(task) for task in tasks])
    for task, done in zip(tasks, joined, strict=True):
        answer = done.outcome.answer
        for text, vector in zip(task.texts, answer.vectors, strict=True):
            alone = family.prepare(EmbedTask((text,), cut="end"))
            plain = family.interpret(runner.run(alone.tensors), alone.context)
            np.testing.assert_allclose(vector, plain.vectors[0], atol=2e-6)


def test_texts_of_several_lengths_share_the_runs_of_an_encoder(encoder):
    manifest, runner, family = encoder
    clock = FakeClock()
    recording = Recording(runner, clock)
    run = batch_runner(recording, family, manifest.buckets, clock)
    words = (1, 2, 6, 3, 12, 9, 10, 20)
    works = [asking(EmbedTask((" ".join("a" * n),))) for n in words]
    charged = [done.bill.compute_us for done in outcomes(run, works)]
    assert sorted(recording.shapes) == [(1, 32), (3, 16), (4, 8)]
    assert charged == [80, 80, 80, 80, 160, 160, 160, 320]


@given(st.integers(1, 640), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_a_raw_row_of_any_width_is_answered_as_without_padding(embedder, width, seed):
    """Not to the last bit: an odd number of products is added up in another order."""
    manifest, runner, family = embedder
    random = np.random.default_rng(seed)
    row = {
        "indices": random.integers(0, 12_288, (1, width)),
        "weights": random.random((1, width), np.float32),
    }
    run = batch_runner(runner, family, manifest.buckets, FakeClock())
    (done,) = run([asking(tensors=row)])
    plain = runner.run(row)["vectors"]
    assert np.abs(done.outcome.tensors["vectors"] - plain).max() <= 1e-6 * np.abs(plain).max()


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 16)), min_size=1, max_size=10),
    st.integers(0, 2**32 - 1),
)
def test_what_is_padded_is_cut_back_and_what_is_charged_is_what_was_run(sums, sizes, seed):
    random = np.random.default_rng(seed)
    clock = FakeClock()
    recording = Recording(sums, clock)
    run = batch_runner(recording, TensorFamily(), TOKENS, clock)
    began_ns = clock.monotonic_ns()
    asked = [
        {
            "x": random.integers(-99, 99, size).astype(np.float32),
            "mask": random.integers(0, 2, size).astype(np.float32),
        }
        for size in sizes
    ]
    done = outcomes(run, [asking(tensors=tensors) for tensors in asked])
    for tensors, each in zip(asked, done, strict=True):
        plain = sums.run(tensors)
        assert each.outcome.tensors.keys() == plain.keys()
        for name, array in plain.items():
            assert np.array_equal(each.outcome.tensors[name], array)
    # The bills add up to the runs, and each is for one's own rows at one's own padded length.
    took_us = round((clock.monotonic_ns() - began_ns) / 1000)
    assert sum(d.bill.charge + d.bill.overrun for d in done) == took_us
    for (rows, tokens), each in zip(sizes, done, strict=True):
        padded = next(size for size in TOKENS["tokens"] if size >= tokens)
        assert each.bill.compute_us == 10 * rows * padded
    # Requests of one padded length share a run, so there are at most as many as lengths.
    lengths = [shape[1] for shape in recording.shapes]
    assert len(lengths) == len(set(lengths))
    assert set(lengths) <= set(TOKENS["tokens"])


def test_without_declared_sizes_only_equal_lengths_are_joined(sums):
    clock = FakeClock()
    recording = Recording(sums, clock)
    run = batch_runner(recording, TensorFamily(), {}, clock)
    ones = [np.ones((1, tokens), np.float32) for tokens in (3, 4, 3)]
    run([asking(tensors={"x": x, "mask": x}) for x in ones])
    assert sorted(recording.shapes) == [(1, 4), (2, 3)]


def test_a_request_beyond_the_largest_size_is_refused_and_spoils_no_other(sums):
    clock = FakeClock()
    run = batch_runner(sums, TensorFamily(), TOKENS, clock)
    short, long = (np.ones((1, tokens), np.float32) for tokens in (3, 17))
    good, bad = outcomes(run, [asking(tensors={"x": x, "mask": x}) for x in (short, long)])
    assert good.error is None
    assert isinstance(bad.error, InvalidTensor)
    assert "axis 'tokens' is 17 here" in bad.error.message
    assert bad.bill.charge == 0


@given(st.integers(1, 640))
def test_padding_is_bounded_by_the_steps_between_the_sizes(embedder, width):
    manifest, runner, _ = embedder
    row = {
        "indices": np.zeros((1, width), np.int64),
        "weights": np.zeros((1, width), np.float32),
    }
    fitted = Joiner(runner.signature, manifest.buckets).fit(row, 1)
    (padded,) = fitted.shape
    assert width <= padded < max(2 * width, 33)
