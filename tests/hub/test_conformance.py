"""The clients of `make conformance` that are in this environment, against the session's hub."""

import sys

import pytest

from benchmarks.conformance.environments import scripts
from benchmarks.conformance.running import keys, run

pytestmark = pytest.mark.hub
HERE = [script for script in scripts() if script.here()]


@pytest.fixture(scope="module")
def told(hub, tmp_path_factory):
    return keys(hub, tmp_path_factory.mktemp("conformance"))


def test_triton_is_among_them():
    assert {"triton_http", "triton_aio"} <= {script.path.stem for script in HERE}


@pytest.mark.parametrize("script", HERE, ids=lambda script: script.path.stem)
def test_a_client_finds_what_it_expects(told, script):
    report = run(script, sys.executable, told)
    assert report.passed, report.calls
