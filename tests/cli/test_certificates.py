"""`plaza models certify` and `plaza models certificates` as they are typed."""

from __future__ import annotations

import json

import pytest

from benchmarks import graphs
from plaza_core.testing import FakeClock
from plaza_core.testing_certificates import TrustingCertifier
from tests.client.sockets import serving
from tests.serving.control.conftest import open_world


@pytest.fixture
def certifier():
    return TrustingCertifier(FakeClock())


@pytest.fixture
def command(run, elsewhere, tmp_path, certifier):
    """`plaza …` as the operator of a hub that has the model `cars`."""
    (tmp_path / "state").mkdir()
    world = open_world(tmp_path / "state", certifier=certifier)
    graph = graphs.tiny()
    graph.manifest["name"] = "cars"
    graph.write(elsewhere / "cars")
    with serving(world.app) as address:
        hub = ("--control", address, "--key", world.operator)
        assert run(*hub, "models", "register", "cars").code == 0
        yield lambda *more: run(*hub, *more)
    world.parts.close_waits()
    world.parts.tenancy.close()


def test_a_version_is_certified_and_shown(command):
    done = command("models", "certify", "cars@1", "--provider", "cpu")
    assert (done.code, "a processor" in done.out) == (0, True)
    listed = command("models", "certificates", "cars")
    assert (listed.code, "onnxruntime 1" in listed.out) == (0, True)


def test_for_programs_it_is_all_there(command):
    command("models", "certify", "cars@1", "--provider", "cpu")
    (one,) = json.loads(command("--json", "models", "certificates", "cars", "--version", "1").out)
    assert (one["provider"], one["passed"], one["pools"][0]["pool"]) == ("cpu", True, "main")


def test_one_that_does_not_pass_ends_with_its_reason(command, certifier):
    certifier.refuses["cpu"] = "its answers differ"
    done = command("models", "certify", "cars@1", "--provider", "cpu")
    assert (done.code, "not certified: its answers differ" in done.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("cars", "--provider", "cpu"), 2, "NAME@VERSION"),
        (("cars@1",), 2, "provider"),
        (("cars@9", "--provider", "cpu"), 1, "model_not_found"),
        (("cars@1", "--provider", "cann"), 1, "provider"),
    ],
)
def test_what_cannot_be_certified(command, arguments, code, words):
    done = command("models", "certify", *arguments)
    assert (done.code, words in done.err) == (code, True)
