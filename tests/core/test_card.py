"""A card is typed where machines read it, free where people do, and never stops what is served."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plaza_core.card import Card, Metric, card_from, parse_card, read_card
from plaza_core.errors import InvalidBundle

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "contracts/card.schema.json").read_text())

WHOLE = """\
---
licence: Apache-2.0
data:
- bdd100k
- {name: kitti, licence: CC-BY-NC-SA-3.0, source: "https://example.org"}
split: 500 held-out frames
metrics:
  ap50: 0.91
  latency_ms: {value: 12.5, split: one thread of the test machine}
intended_use: Counting vehicles from fixed cameras.
out_of_scope: Telling people apart.
camera: left
recorded: 2026-03-01
---
# Detector

Words.
"""


def refused(text: str) -> tuple[str, str]:
    with pytest.raises(InvalidBundle) as caught:
        parse_card(text)
    return caught.value.input, caught.value.message


def test_a_whole_card():
    card = parse_card(WHOLE)
    assert card.front.licence == "Apache-2.0"
    assert [source.name for source in card.front.data] == ["bdd100k", "kitti"]
    assert card.front.measured() == {
        "ap50": Metric(value=0.91, split="500 held-out frames"),
        "latency_ms": Metric(value=12.5, split="one thread of the test machine"),
    }
    assert card.front.model_extra == {"camera": "left", "recorded": "2026-03-01"}
    assert card.body == "# Detector\n\nWords.\n"


@pytest.mark.parametrize("text", ["", "# Just words\n", "--- not a rule\n", "text\n---\nmore\n"])
def test_text_alone_is_a_card(text):
    card = parse_card(text)
    assert (card.front, card.body) == (Card(), text)


def test_the_front_matter_may_be_empty():
    assert parse_card("---\n---\nWords") == parse_card("Words")


@pytest.mark.parametrize("path", sorted(ROOT.glob("models/bundles/*/CARD.md")), ids=str)
def test_the_shipped_cards_are_typed(path):
    front = parse_card(path.read_text()).front
    assert front.licence
    assert front.data
    assert all(metric.split for metric in front.measured().values())
    jsonschema.validate(front.model_dump(mode="json"), SCHEMA)


@pytest.mark.parametrize(
    ("front", "where", "words"),
    [
        ("license: MIT", "license", "did you mean 'licence'?"),
        ("metric: {a: 1}", "metric", "did you mean 'metrics'?"),
        ("intended-use: x", "intended-use", "did you mean 'intended_use'?"),
        ("metrics: {ap50: good}", "metrics.ap50", "found 'good'; expected"),
        ("metrics: {ap50: true}", "metrics.ap50", "found True; expected"),
        ("metrics: {ap50: {value: high}}", "metrics.ap50.value", "found 'high'; expected a number"),
        ("metrics: {ap50: .nan}", "metrics.ap50.value", "expected a number"),
        ("metrics: [1]", "metrics", "found [1]; expected a mapping"),
        ("metrics: {a: {value: 1, splits: x}}", "metrics.a.splits", "did you mean 'split'?"),
        ("data: [{nam: a}]", "data[0].nam", "did you mean 'name'?"),
        ("data: [{title: a}]", "data[0].name", "this field is missing"),
        ("licence: [MIT]", "licence", "found ['MIT']; expected text"),
    ],
)
def test_what_is_wrong_is_told_by_field_with_what_is_allowed(front, where, words):
    place, message = refused(f"---\n{front}\n---\n")
    assert place == f"CARD.md: {where}"
    assert words in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("---\nlicence: MIT\n", "does not end"),
        ("---\n- a list\n---\n", "expected a mapping"),
        ("---\na: [\n---\n", "line 2, column 1"),
        ("---\na: 1\na: 2\n---\n", "line 2, column 1: 'a' is there twice"),
        ("---\na: !!python/object/apply:os.system [echo]\n---\n", "could not determine"),
        ("---\na: &a [*a]\n---\n", "too deep"),
        ("---\n" + "a: " + "[" * 5000 + "\n---\n", "not valid YAML"),
        ("---\n? [1, 2]\n: 3\n---\n", "a key is text"),
    ],
)
def test_what_is_no_front_matter(text, words):
    place, message = refused(text)
    assert place == "CARD.md"
    assert words in message


def test_anchors_cannot_multiply_a_card():
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "too many values" in refused("---\n" + "\n".join(lines) + "\n---\n")[1]


def test_a_card_that_is_kept_already_is_text_at_least():
    text = "---\nlicense: MIT\n---\nWords"
    assert read_card(text).body == text
    assert read_card(WHOLE) == parse_card(WHOLE)


value = st.none() | st.text(max_size=5) | st.integers() | st.just([]) | st.just(["x"]) | st.just({})
facts = st.dictionaries(st.sampled_from(list(Card.model_fields)), value, max_size=4)


@given(facts)
@settings(suppress_health_check=[HealthCheck.too_slow])  # documents are built from a schema
def test_the_schema_and_the_hub_agree(front):
    """What the schema takes the hub takes, and the other way round."""
    front = yaml.safe_load(yaml.safe_dump(front))
    fits = jsonschema.Draft202012Validator(SCHEMA).is_valid(front)
    try:
        card_from(front)
    except InvalidBundle:
        taken = False
    else:
        taken = True
    assert taken == fits
