"""The bundles that ship are what their cards say: same bytes, same answers, same numbers."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_accel.examination.certify import sample_tensors  # noqa: E402  after the skip
from plaza_models.tasks import ClassifyTask, EmbedTask, ForecastTask  # noqa: E402  after the skip
from plaza_training.card import command, read_front_matter  # noqa: E402
from plaza_training.data import locate  # noqa: E402
from plaza_training.data.forecasting import WEATHER  # noqa: E402
from plaza_training.data.sentences import BANKING77, CLINC150, ENGLISH_PAIRS  # noqa: E402
from plaza_training.forecast import measure, warned  # noqa: E402
from plaza_training.forecast.recipes import LEVELS, LOAD, SPEED  # noqa: E402
from plaza_training.forecast.watch import metrics_of  # noqa: E402
from plaza_training.forecast.windows import Windows  # noqa: E402
from plaza_training.served import serve  # noqa: E402
from plaza_training.text import embed, neighbours, scope, scoring, sts  # noqa: E402
from plaza_training.text.sets import read_banking, read_clinc  # noqa: E402

pytestmark = pytest.mark.torch

BUNDLES = Path(__file__).parents[2] / "models" / "bundles"
NAMES = (
    "assistant-intents",
    "banking-intents",
    "electricity-load-quantiles",
    "flusight-forecaster",
    "iso-ne-forecaster",
    "sentence-embedder",
    "traffic-speed-quantiles",
    "wet-bulb-forecaster",
)
LARGEST = 8_000_000
"""Bytes of a graph that ships."""


def card(name):
    return read_front_matter((BUNDLES / name / "CARD.md").read_text(encoding="utf-8"))


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def opened(runners):
    running = []

    def open_bundle(name):
        served = serve(BUNDLES / name, runners)
        running.append(served.runner)
        return served

    yield open_bundle
    for runner in running:
        runner.close()


def test_a_card_belongs_to_its_model(name):
    written = card(name)
    content = (BUNDLES / name / "model.onnx").read_bytes()
    assert written["model"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert written["model"]["bytes"] == len(content) <= LARGEST
    assert written["command"] == command(name, written["seed"])
    assert written["parity"]["max_abs_error"] <= 1e-4 * written["parity"]["largest_output"]


def test_a_model_may_be_shipped(name):
    written = card(name)
    assert written["licence"] in {"MIT", "CC-BY-4.0"}
    fit = {"MIT", "CC-BY-4.0", "CC-BY-3.0", "Apache-2.0", WEATHER.licence}
    assert {entry["licence"] for entry in written["data"]} <= fit


def test_a_model_beats_everything_simpler_that_its_card_names(name):
    written = card(name)
    for baseline in written["baselines"].values():
        larger = ("accuracy_percent", "nearest_percent", "separation_percent", "sts_mean")
        for metric in larger:
            if metric in baseline:
                assert written["metrics"][metric] > baseline[metric]
        for metric in ("mae", "pinball"):
            if metric in baseline:
                assert written["metrics"][metric] < baseline[metric]


def test_a_sample_is_answered(name, opened):
    served = opened(name)
    (path,) = served.manifest.samples
    sample = json.loads((BUNDLES / name / path).read_text())
    if "inputs" in sample:
        inputs = sample_tensors(BUNDLES / name, served.manifest)
        outputs = served.runner.run(inputs)
        assert all(np.isfinite(array).all() for array in outputs.values())
    elif served.manifest.family == "forecast.quantile":
        known = tuple(map(tuple, sample.get("known", ())))
        answer = served.ask(ForecastTask(tuple(sample["values"]), sample["horizon"], known=known))
        middle = answer.values[answer.quantiles.index(0.5)]
        assert all(20 < value < 80 for value in middle), "the sample swings around 50"
    elif served.manifest.family == "text.classify":
        answer = served.ask(ClassifyTask(tuple(sample["texts"]), sample["top_k"]))
        best = [result[0].label for result in answer.results]
        assert (
            best
            == {
                "assistant-intents": ["translate", "weather", "out-of-scope"],
                "banking-intents": ["card_swallowed", "pending_transfer", "change_pin"],
            }[name]
        )
    else:
        vectors = served.ask(EmbedTask(tuple(sample["texts"]))).vectors
        assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_joined_requests_are_answered_as_alone(opened):
    served = opened("banking-intents")
    tasks = [ClassifyTask((text,)) for text in ("where is my card", "top up failed", "new PIN")]
    for alone, joined in zip(map(served.ask, tasks), served.ask_all(tasks), strict=True):
        for one, other in zip(alone.results[0], joined.results[0], strict=True):
            assert one.label == other.label
            assert one.score == pytest.approx(other.score, abs=1e-6)


def agree(name, measured, without=()):
    """Other processors round differently, which may turn a near tie; nothing more may change.
    `without`: numbers that begin so are those of another test."""
    written = card(name)["metrics"]
    assert measured.keys() == {key for key in written if not key.startswith(tuple(without))}
    for metric, value in measured.items():
        assert value == pytest.approx(written[metric], rel=2e-3, abs=0.05), metric


@pytest.mark.data
def test_the_classifiers_card_is_true(opened, data_dir):
    held_out = read_banking(locate(BANKING77, data_dir), "test")
    agree("banking-intents", scoring.score(opened("banking-intents"), held_out))


@pytest.mark.data
def test_the_card_of_the_classifier_that_rejects_is_true(opened, data_dir):
    folder = locate(CLINC150, data_dir)
    inside, outside = (read_clinc(folder, part) for part in ("test", "oos_test"))
    agree("assistant-intents", scope.score(opened("assistant-intents"), inside, outside))


@pytest.mark.data
def test_the_embedders_card_is_true(opened, data_dir):
    folders = locate(BANKING77, data_dir), locate(CLINC150, data_dir)
    pairs = locate(ENGLISH_PAIRS, data_dir)
    learning, asking = (embed.read_both(*folders, split) for split in ("train", "test"))
    seed = card("sentence-embedder")["seed"]
    split = embed.hold_out(learning, asking, embed.HELD_OUT_INTENTS, seed)
    served = opened("sentence-embedder")
    measured = {
        **sts.score_pairs(pairs, lambda texts: neighbours.embed(served, texts)),
        **neighbours.score_served(served, split.queries, split.gallery),
    }
    agree("sentence-embedder", measured)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("electricity-load-quantiles", LOAD),
        pytest.param("traffic-speed-quantiles", SPEED, marks=pytest.mark.prove),
    ],
)
def test_a_forecasters_card_is_true(name, subject, opened, data_dir):
    series = subject.read(locate(subject.data, data_dir))
    chosen = card(name)["parameters"]
    held_out = Windows(
        series, chosen["context"], chosen["horizon"], chosen["train_until"], len(series)
    )
    found = measure.score_served(opened(name), held_out, LEVELS)[0]
    agree(name, found, without=("slow_", "jam_"))


@pytest.mark.data
@pytest.mark.parametrize(
    "subject",
    ["epidemic", "load", *(pytest.param(s, marks=pytest.mark.prove) for s in ("heat", "traffic"))],
)
def test_what_a_card_says_of_warnings_is_true(subject, opened, data_dir):
    """Through the exported graph and the family, as they are served."""
    about = warned.SUBJECTS[subject]
    found = metrics_of(warned.numbers(about.read(data_dir), opened(about.bundle)))
    written = card(about.bundle)["metrics"]
    for metric, value in found.items():
        assert value == pytest.approx(written[metric], rel=0.02, abs=0.5), metric
