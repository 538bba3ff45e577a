"""`plaza models quantize` as it is typed: what is written, what is refused, and what it says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from benchmarks import graphs
from plaza_accel.examination.examine import SandboxExaminer
from plaza_accel.sandbox.confinement import sandbox_support
from plaza_core.card import parse_card
from plaza_registry.bundle import read_bundle

pytestmark = pytest.mark.skipif(
    not sandbox_support()["usable"], reason="this kernel cannot confine a process"
)
BUNDLES = Path(__file__).parents[2] / "models" / "bundles"
LOAD = BUNDLES / "electricity-load-quantiles"


@pytest.fixture
def intents(elsewhere):
    """The shipped classifier with its table in 32 bits, as training left it."""
    directory = elsewhere / "intents"
    shutil.copytree(BUNDLES / "banking-intents", directory)
    model = onnx.load(directory / "model.onnx")
    for one in model.graph.initializer:
        if one.data_type == onnx.TensorProto.FLOAT16:
            values = numpy_helper.to_array(one).astype(np.float32)
            one.CopyFrom(numpy_helper.from_array(values, one.name))
    onnx.save(model, directory / "model.onnx")
    return directory


def test_a_shipped_model_becomes_a_smaller_bundle_that_the_gate_takes(run, elsewhere):
    done = run("--json", "models", "quantize", LOAD, "--output", "small")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    bundle, original = read_bundle(elsewhere / "small"), read_bundle(LOAD)
    assert said["digest"] == bundle.digest != original.digest
    assert said["of"] == original.digest
    assert said["bytes_after"] < said["bytes_before"] / 3
    assert said["compared"]["basis"] == "samples"
    assert 0 < said["drop"] == said["compared"]["mean"] < 0.02
    assert bundle.manifest == original.manifest
    examined = SandboxExaminer().examine(bundle.directory, bundle.manifest)
    assert examined.passed, examined.why
    assert "plaza models register small" in done.err
    # Its card claims nothing that was measured on the original.
    before, after = parse_card(original.card), parse_card(bundle.card)
    assert before.front.metrics
    assert set(after.front.metrics) == {"mean_difference", "largest_difference"}
    assert after.front.licence == before.front.licence
    assert after.front.data == before.front.data
    assert after.front.model_extra["of_the_original"]["metrics"]
    assert before.body in after.body


def test_a_classifier_is_judged_by_its_labels_on_all_samples(run, intents):
    texts = {"texts": ["how do I change my PIN", "my card is lost"], "top_k": 1}
    (intents.parent / "more.json").write_text(json.dumps(texts))
    done = run("--json", "models", "quantize", intents, "--samples", "more.json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert said["labels"] is True
    assert said["compared"]["rows"] == 5
    assert said["drop"] == 0
    assert said["bytes_after"] < said["bytes_before"] / 3
    assert (intents.parent / "intents-int8" / "labels.txt").is_file()


def test_beyond_the_limit_nothing_is_written_and_the_loss_is_told(run, elsewhere):
    done = run("models", "quantize", LOAD, "--output", "small", "--max-drop", "0.000001")
    assert done.code == 1
    assert "not written" in done.err
    assert "0.00% may be" in done.err
    assert "mean difference" in done.out
    assert list(elsewhere.iterdir()) == []


def test_convolutions_are_left_alone_and_told_why(run, elsewhere):
    directory = graphs.conv(width=32, layers=3).write(elsewhere / "conv")
    done = run("models", "quantize", directory)
    assert done.code == 1
    assert "convolutions are left alone" in done.err
    assert not (elsewhere / "conv-int8").exists()


def test_convolutions_all_the_same_say_whether_it_pays(run, elsewhere):
    directory = graphs.conv(width=32, layers=3).write(elsewhere / "conv")
    done = run("--json", "models", "quantize", directory, "--convolutions", "--max-drop", "0.5")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    times = said["compared"]
    assert said["slower"] == (times["us_after"] >= times["us_before"])
    assert said["slower"] == ("it does not pay in time" in done.err)
    assert "compared on random tensors" in done.err


def test_a_model_whose_weights_are_small_already_is_told_so(run, elsewhere):
    done = run("models", "quantize", BUNDLES / "sentence-embedder", "--output", "small")
    assert done.code == 1
    assert "nothing was written" in done.err
    assert list(elsewhere.iterdir()) == []


def test_what_is_there_already_is_never_replaced(run, elsewhere):
    (elsewhere / "small").mkdir()
    done = run("models", "quantize", LOAD, "--output", "small")
    assert (done.code, "there is something of that name already" in done.err) == (1, True)
    assert list((elsewhere / "small").iterdir()) == []
