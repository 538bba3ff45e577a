"""What a family reads of a bundle is read in the sandbox first: here by a plug-in of somebody else
that trusts its tokenizer file as much as such code does."""

from __future__ import annotations

import json
import os

import pytest

from benchmarks import graphs
from plaza_accel.examination.examine import SandboxExaminer
from plaza_accel.gate.rules import Rule
from plaza_accel.sandbox.confinement import sandbox_support

pytestmark = pytest.mark.skipif(
    not sandbox_support()["usable"], reason="this kernel cannot confine a process"
)

PLUGIN = """
import ctypes, json, re

def open_family(directory, manifest):
    said = json.loads((directory / "tokenizer.json").read_text())
    if "pattern" in said:
        re.fullmatch(said["pattern"], said["probe"])
    if "address" in said:
        ctypes.string_at(said["address"])
    if "path" in said:
        open(said["path"]).read()
    return object()
"""
ENTRY = "[plaza.families]\ntrusting = trusting:open_family\n"


@pytest.fixture
def examine(tmp_path, monkeypatch):
    """examine(text) -> the verdict on an honest model whose tokenizer.json is `text`."""
    plugins = tmp_path / "plugins"
    about = plugins / "trusting-1.dist-info"
    about.mkdir(parents=True)
    (plugins / "trusting.py").write_text(PLUGIN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: trusting\nVersion: 1\n")
    (about / "entry_points.txt").write_text(ENTRY)
    paths = os.pathsep.join(filter(None, [str(plugins), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHONPATH", paths)

    def examined(text):
        graph = graphs.tiny()
        graph.manifest["family"] = "trusting"
        directory = graph.write(tmp_path / "bundle")
        (directory / "tokenizer.json").write_text(text)
        return SandboxExaminer().examine(directory, graph.parsed())

    return examined


def test_a_tokenizer_that_is_one_passes(examine):
    verdict = examine("{}")
    assert verdict.passed, verdict.reason


HOSTILE = {
    "nested for ever": ("[" * 100_000, Rule.FAMILY),
    "not text for a tokenizer": ("{", Rule.FAMILY),
    "a file outside": (json.dumps({"path": "/etc/passwd"}), Rule.FAMILY),
    "a pattern without end": (json.dumps({"pattern": "(a+)+b", "probe": "a" * 60}), Rule.TIME),
    "an address": (json.dumps({"address": 8}), Rule.CRASH),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_tokenizer_hurts_only_the_examining_child(examine, name):
    text, rule = HOSTILE[name]
    verdict = examine(text)
    assert (verdict.passed, verdict.rule) == (False, rule), verdict.reason
    assert "/etc" not in verdict.reason
