"""A tokeniser is data: any text is read or refused by name, and never by a crash."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.errors import InvalidBundle, InvalidInput
from plaza_core.manifest import manifest_from
from plaza_models.tasks import ClassifyTask, EmbedTask
from plaza_models.text import classify, embed
from plaza_models.text.tokens import TokenOptions, TokenReader
from tests.models.text.texts import anything

pytest.importorskip("tokenizers", reason="needs the library of tokenisers")

PIECES = ("[UNK]", "card", "my", "##s", "late", "地", "铁", "a", "##b", "?", "7", "é")
FILE = {
    "version": "1.0",
    # A file made for another use says how long texts are; the options overrule it.
    "truncation": {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
    "padding": {
        "strategy": {"Fixed": 4},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    },
    "added_tokens": [],
    "normalizer": {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": False,
        "lowercase": True,
    },
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": None,
    "decoder": None,
    "model": {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {piece: number for number, piece in enumerate(PIECES)},
    },
}
WIDTH = 64
OPTIONS = TokenOptions(tokenizer="tokenizer.json", width=WIDTH, max_characters=300)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bundle")
    (directory / "tokenizer.json").write_text(json.dumps(FILE), encoding="utf-8")
    (directory / "labels.txt").write_text("one\ntwo\nthree\n")
    return directory


@pytest.fixture(scope="module")
def reader(bundle):
    return TokenReader.open(bundle, OPTIONS)


def manifest(family):
    def tensor(name, datatype, columns):
        return {"name": name, "datatype": datatype, "shape": ["batch", columns]}

    return manifest_from(
        {
            "name": "m",
            "family": family,
            "options": {"tokenizer": "tokenizer.json", "width": WIDTH, "max_characters": 300},
            "signature": {
                "inputs": [
                    tensor("indices", "INT64", "pieces"),
                    tensor("weights", "FP32", "pieces"),
                ],
                "outputs": [tensor("rows", "FP32", 3)],
            },
            "buckets": {"pieces": [16, 32, WIDTH]},
        }
    )


def test_words_become_pieces_in_their_order(reader):
    read = reader.read(["My CARDS late?", "地铁 7"], "no", narrow=True)
    assert read.indices.tolist() == [[2, 1, 3, 4, 9], [5, 6, 10, 0, 0]]
    assert read.weights.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert read.words == 8


def test_what_a_file_says_of_lengths_is_overruled(reader):
    assert len(reader.pieces("my card " * 30)) == 60
    assert reader.pieces("my") == [2]


@given(anything)
def test_any_text_is_read_or_refused_by_name(reader, text):
    if not reader.pieces(text[:300]):
        with pytest.raises(InvalidInput) as refusal:
            reader.read([text], "end", narrow=True)
        assert refusal.value.input == "texts[0]"
        return
    read = reader.read([text], "end", narrow=True)
    assert 1 <= read.words <= WIDTH
    assert read.indices.shape == (1, read.words)
    assert read.indices.min() >= 0
    assert read.indices.max() < reader.size
    assert (read.weights == 1).all()


@given(st.lists(anything.map("my ".__add__), min_size=1, max_size=4))
def test_a_text_does_not_depend_on_its_neighbours(reader, texts):
    together = reader.read(texts, "end", narrow=False)
    for row, text in enumerate(texts):
        alone = reader.read([text], "end", narrow=False)
        assert (alone.indices[0] == together.indices[row]).all()
        assert (alone.weights[0] == together.weights[row]).all()


@given(st.integers(1, 140))
def test_a_long_text_is_refused_or_cut_at_the_end_asked_for(reader, words):
    text = " ".join(["a"] * (words - 1) + ["7"])
    if words <= WIDTH:
        assert reader.read([text], "no", narrow=True).words == words
        return
    with pytest.raises(InvalidInput, match="too long: it has") as refusal:
        reader.read(["a", text], "no", narrow=True)
    assert refusal.value.input == "texts[1]"
    first, last = (reader.read([text], cut, narrow=True).indices[0] for cut in ("end", "beginning"))
    assert len(first) == len(last) == WIDTH
    assert (first[-1], last[-1]) == (PIECES.index("a"), PIECES.index("7"))


@pytest.mark.parametrize(
    ("texts", "field", "says"),
    [
        ([], "texts", "at least one"),
        (["my", ""], "texts[1]", "no letter"),
        (["\x00\u200b \n"], "texts[0]", "no letter"),
        (["a" * 301], "texts[0]", "300 characters"),
        (["my", 3], "texts[1]", "string"),
    ],
)
def test_a_refusal_names_the_text(reader, texts, field, says):
    with pytest.raises(InvalidInput, match=says) as refusal:
        reader.read(texts, "no", narrow=True)
    assert refusal.value.input == field


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"model": {}}', None])
def test_a_file_that_is_no_tokeniser_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(InvalidBundle) as refusal:
        TokenReader.open(tmp_path, OPTIONS)
    assert refusal.value.input == "options.tokenizer"


def test_both_families_read_pieces_where_the_bundle_has_a_tokeniser(bundle):
    table = np.random.default_rng(3).normal(size=(len(PIECES), 3)).astype(np.float32)

    def ask(family, task):
        prepared = family.prepare(task)
        rows = np.einsum(
            "bk,bkd->bd", prepared.tensors["weights"], table[prepared.tensors["indices"]]
        )
        return prepared, family.interpret({"rows": rows}, prepared.context)

    prepared, answer = ask(
        embed.open_family(bundle, manifest("text.embed")), EmbedTask(("my card",), normalise=False)
    )
    np.testing.assert_allclose(answer.vectors, [table[2] + table[1]], rtol=1e-6)
    assert answer.tokens == 2
    assert prepared.tensors["indices"].shape == (1, 2), "as wide as it must be, for the buckets"
    _, answer = ask(
        classify.open_family(bundle, manifest("text.classify")), ClassifyTask(("my card",))
    )
    assert {label.label for label in answer.results[0]} == {"one", "two", "three"}
