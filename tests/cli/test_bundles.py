"""`plaza models init` and `plaza models card` as they are typed."""

from __future__ import annotations

import json

import pytest

from benchmarks import graphs


@pytest.fixture
def model(elsewhere):
    (elsewhere / "net.onnx").write_bytes(graphs.tiny().model.SerializeToString())
    return elsewhere / "net.onnx"


def test_init_writes_a_bundle_and_says_what_comes_next(run, model):
    done = run("models", "init", "net.onnx")
    assert done.code == 0
    assert "plaza.yaml, samples/first.json, CARD.md" in done.out
    assert "plaza models register net" in done.err
    again = run("models", "init", "net.onnx")
    assert (again.code, "there is a plaza.yaml already" in again.err) == (1, True)
    assert run("models", "init", "net.onnx", "--force", "--name", "other").code == 0


def test_init_for_programs(run, model):
    done = run("--json", "models", "init", "net.onnx", "--out", "here")
    assert json.loads(done.out)["written"] == ["plaza.yaml", "samples/first.json", "CARD.md"]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--family", "txt.embed"], 1, "did you mean 'text.embed'?"),
        (["--shape", "z=1,2"], 1, "it has x, y"),
        (["--shape", "x"], 2, "NAME=batch,3,224,224"),
        (["--name", "Big Name"], 1, "found 'Big Name'"),
    ],
)
def test_init_tells_what_is_wrong(run, model, options, code, words):
    done = run("models", "init", "net.onnx", *options)
    assert done.code == code
    assert words in done.err


def test_init_of_something_else(run, elsewhere):
    (elsewhere / "net.onnx").write_bytes(b"\x80\x04.")
    done = run("models", "init", "net.onnx")
    assert (done.code, "not an ONNX model" in done.err) == (1, True)
