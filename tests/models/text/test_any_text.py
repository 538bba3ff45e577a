"""Long texts, mixed scripts, emoji, control characters, nothing at all: every kind of text model
answers each of them or refuses it by name."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import encoders
from plaza_core.errors import InvalidInput
from plaza_core.manifest import manifest_from
from plaza_models.tasks import ClassifyTask, EmbedTask
from plaza_models.text import classify, embed
from tests.models.text.texts import anything

pytest.importorskip("tokenizers", reason="needs the library of tokenisers")

NGRAMS = {"buckets": 512, "width": 64, "max_characters": 300}
PIECES = {"tokenizer": "tokenizer.json", "width": 64, "max_characters": 300}
BAG = {"indices": "INT64", "weights": "FP32"}
KINDS = {
    "n-grams": (NGRAMS, BAG),
    "signs": ({**NGRAMS, "unit": "character", "words": 3}, BAG),
    "pieces": (PIECES, BAG),
    "attention": ({**PIECES, "pooling": "none"}, {encoders.IDS: "INT64", encoders.MASK: "INT64"}),
}
FAMILIES = {"text.embed": (embed, EmbedTask), "text.classify": (classify, ClassifyTask)}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module", params=KINDS)
def opened(request, family, tmp_path_factory):
    """The family over a bundle of that kind, and what its tasks are."""
    place = tmp_path_factory.mktemp("bundle")
    (place / "tokenizer.json").write_text(json.dumps(encoders.tokenizer(letters=1)))
    (place / "labels.txt").write_text("one\ntwo\nthree\n")
    options, inputs = KINDS[request.param]
    manifest = manifest_from(
        {
            "name": "m",
            "family": family,
            "options": options,
            "signature": {
                "inputs": [
                    {"name": name, "datatype": kind, "shape": ["batch", "features"]}
                    for name, kind in inputs.items()
                ],
                "outputs": [{"name": "row", "datatype": "FP32", "shape": ["batch", 3]}],
            },
            "buckets": {"features": [16, 64]},
        }
    )
    module, task = FAMILIES[family]
    return module.open_family(place, manifest), task


@given(anything, st.sampled_from(("no", "end", "beginning")))
@settings(max_examples=60)
def test_a_text_is_answered_or_refused_by_name(opened, text, cut):
    family, task = opened
    refused = None
    try:
        prepared = family.prepare(task((text,), cut=cut))
    except InvalidInput as refusal:
        refused = refusal.input
    if refused is not None:
        assert refused == "texts[0]"
        return
    widths = {array.shape for array in prepared.tensors.values()}
    assert len(widths) == 1
    assert 1 <= widths.pop()[1] <= 64
    row = np.float32([[1, 2, len(text)]])
    answer = family.interpret({"row": row}, prepared.context)
    if task is EmbedTask:
        assert np.isfinite(answer.vectors).all()
    else:
        assert sum(label.score for label in answer.results[0]) == pytest.approx(1)


@pytest.mark.parametrize("text", ["", " \n\t", "\x00", "\u200b", "\ufeff"])
def test_a_text_with_nothing_in_it_is_refused(opened, text):
    family, task = opened
    with pytest.raises(InvalidInput, match="no letter") as refusal:
        family.prepare(task(("a", text)))
    assert refusal.value.input == "texts[1]"


def test_a_text_far_too_long_is_refused_or_cut(opened):
    family, task = opened
    long = "a b 7 " * 20_000
    with pytest.raises(InvalidInput, match="300 characters"):
        family.prepare(task((long,)))
    assert family.prepare(task((long,), cut="end")).rows == 1
