"""`plaza models init` and `plaza models card` as they are typed."""

from __future__ import annotations

import json

import pytest

from benchmarks import graphs
from plaza_core.principal import Right
from tests.client.sockets import serving
from tests.serving.control.conftest import open_world
from tests.tenancy.world import make_version


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


@pytest.fixture
def command(run, elsewhere, tmp_path):
    """`plaza …` as the operator of a hub with the organisation `acme` and its model `cars`."""
    (tmp_path / "state").mkdir()
    world = open_world(tmp_path / "state")
    tenancy = world.parts.tenancy
    operator = tenancy.authenticate(world.operator)
    tenancy.organisations.create(tenancy.platform(operator, Right.TENANTS_WRITE), "acme")
    scope = tenancy.scope(operator, Right.MODELS_WRITE, organisation="acme")
    tenancy.records.add_version(scope, make_version(name="cars", card="# Old words\n"))
    with serving(world.app) as address:
        yield lambda *more: run("--control", address, "--key", world.operator, *more)
    world.parts.close_waits()
    tenancy.close()


ACME = ("--organisation", "acme")


def test_a_card_is_shown_corrected_and_its_past_is_kept(command, elsewhere):
    assert "# Old words" in command("models", "card", "cars@1", *ACME).out
    (elsewhere / "new.md").write_text("# Better words\n")
    done = command("models", "card", "cars@1", "--set", "new.md", *ACME)
    assert (done.code, "2" in done.out) == (0, True)
    assert "# Better words" in command("models", "card", "cars@1", *ACME).out
    assert "# Old words" in command("models", "card", "cars@1", "--revision", "1", *ACME).out
    listed = command("models", "card", "cars@1", "--revisions", *ACME)
    assert [line.split()[0] for line in listed.out.splitlines()[1:] if line.strip()] == ["2", "1"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("cars",), 2, "NAME@VERSION"),
        (("cars@x",), 2, "NAME@VERSION"),
        (("cars@1", "--revision", "9"), 2, "has 1 revisions"),
        (("cars@2",), 1, "model_not_found"),
        (("cars@1", "--set", "wrong.md"), 1, "did you mean 'licence'?"),
    ],
)
def test_a_card_that_cannot_be_shown_or_set(command, elsewhere, arguments, code, words):
    (elsewhere / "wrong.md").write_text("---\nlicense: MIT\n---\n")
    done = command("models", "card", *arguments, *ACME)
    assert done.code == code
    assert words in done.err
