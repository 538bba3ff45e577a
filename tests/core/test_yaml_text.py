"""YAML from strangers: read in bounded time, and only what JSON and a database can keep."""

from __future__ import annotations

import time

import pytest

from plaza_core.errors import InvalidBundle
from plaza_core.manifest import parse_manifest
from plaza_core.yaml_text import load_mapping

NINE = [f"{chr(98 + i)}: &{chr(98 + i)} " for i in range(9)]
BEFORE = [f"*{chr(97 + i)}" for i in range(9)]
HOSTILE = {
    "aliases of aliases": "a: &a [x]\n"
    + "".join(f"{k}[{', '.join([b] * 9)}]\n" for k, b in zip(NINE, BEFORE, strict=True)),
    "merges of merges": "a: &a {x: 1}\n"
    + "".join(f"{k}{{<<: [{', '.join([b] * 9)}]}}\n" for k, b in zip(NINE, BEFORE, strict=True)),
    "itself": "a: &a [*a]",
    "deep": "a: " + "[" * 100_000,
    "deep and closed": "a: " + "[" * 300 + "]" * 300,
    "to the base of 16": "a: 0x" + "f" * 200_000,
    "to the base of 8": "a: 0" + "7" * 200_000,
    "to the base of 2": "a: 0b" + "1" * 200_000,
    "to the base of 60": "a: 1" + ":59" * 80_000,
    "a fraction to the base of 60": "a: 1" + ":59" * 80_000 + ".5",
    "many digits": "a: " + "9" * 200_000,
    "more than 64 bits": "a: 9223372036854775808",
    "half a character": 'a: "\\ud800"',
    "half a character as a key": '{"\\ud800": 1}',
    "no character": 'a: "\\0"',
    "bytes": 'a: !!binary "gIGC/w=="',
    "a set": "a: !!set {x, y}",
    "pairs": "a: !!pairs [x: 1]",
    "a day": "a: !!timestamp 2001-01-01",
    "an object": 'a: !!python/object/apply:os.system ["id"]',
    "a list as a key": "? [x]\n: 1",
    "twice": "a: 1\na: 2",
    "questions": "? " * 120_000,
    "dashes": "- " * 120_000,
    "braces": "{" * 200_000,
    "quotes": "'" * 250_000,
    "documents": "---\n" * 60_000,
    "many values": "a: [" + "1," * 60_000 + "]",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml_is_refused_soon(name):
    started = time.process_time()
    with pytest.raises(InvalidBundle) as caught:
        load_mapping(HOSTILE[name], name="plaza.yaml")
    assert time.process_time() - started < 5
    assert caught.value.input == "plaza.yaml"
    assert len(caught.value.message) < 300


def test_ordinary_yaml_is_read_as_ever():
    text = "a: [1, -2.5, 0x10, 1e3, yes, null, 2001-01-01, 'text']\nb: {c: &c [x], d: *c}"
    assert load_mapping(text, name="x") == {
        "a": [1, -2.5, 16, "1e3", True, None, "2001-01-01", "text"],
        "b": {"c": ["x"], "d": ["x"]},
    }


MANIFEST = """
name: good
signature:
  inputs: [{name: x, datatype: FP32, shape: [batch, 4]}]
  outputs: [{name: y, datatype: FP32, shape: [batch, 4]}]
"""


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ("options: {a: .nan}", "options"),
        ("options: {a: [{b: -.inf}]}", "options"),
        ("samples: [" + "s.json, " * 65 + "]", "samples"),
        ("providers: [" + "cpu, " * 65 + "]", "providers"),
        ("family: " + "x" * 101, "family"),
        ("limits: {max_batch: 9223372036854775807}", "limits.max_batch"),
        ("x" * 1000 + ": 1", "x" * 200),
    ],
)
def test_a_manifest_has_bounds(more, where):
    with pytest.raises(InvalidBundle) as caught:
        parse_manifest(MANIFEST + more)
    assert caught.value.input == where


def test_a_row_that_no_machine_holds_is_no_row():
    text = MANIFEST.replace("[batch, 4]", "[batch, 2147483647, 2147483647]", 1)
    with pytest.raises(InvalidBundle, match="more elements than any machine") as caught:
        parse_manifest(text)
    assert caught.value.input == "signature.inputs[0].shape"
