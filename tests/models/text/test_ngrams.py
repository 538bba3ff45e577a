"""Text becomes the same features on every machine, whatever its script."""

import string
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from plaza_core.errors import InvalidBundle, InvalidInput
from plaza_models.options import read_options
from plaza_models.text.ngrams import NgramOptions, bucket_counts, features, split

OPTIONS = NgramOptions(buckets=4096, width=256)
words = st.text(string.ascii_letters + string.digits + "äéΩ地铁ก", min_size=1, max_size=12)
texts = st.lists(words, min_size=1, max_size=8).map(" ".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("My CARD, hasn't arrived!", ["my", "card", "hasn", "t", "arrived"]),
        ("Ｆｕｌｌ　width ②", ["full", "width", "2"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("地铁2号线晚点", ["地", "铁", "2", "号", "线", "晚", "点"]),
        ("snake_case", ["snake", "case"]),
        ("e\u0301 \u00e9", ["é", "é"]),
        ("?! …", []),
    ],
)
def test_words_are_normalised_and_scripts_without_spaces_are_split(text, expected):
    assert split(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("《地铁》 2?", " 《地铁》 2? "),
        ("  A\u3000\n ①！", " a 1! "),
        ("no\x00th\u200bing \ud800", " nothing "),
        (" \x00\u3000\ud800 ", ""),
    ],
)
def test_where_every_character_is_a_word_nothing_but_what_is_invisible_is_lost(text, expected):
    assert "".join(split(text, "character")) == expected


def test_signs_and_borders_tell_texts_apart_where_every_character_is_a_word():
    options = NgramOptions(buckets=1 << 20, width=64, unit="character", characters=None)
    asked, told = (bucket_counts(split(text, "character"), options) for text in ("走吗?", "走吗."))
    assert len(asked) == len(told) == len(("·", "走", "吗", "?", "·走", "走吗", "吗?", "?·"))
    assert len(set(asked) & set(told)) == len(("·", "走", "吗", "·走", "走吗"))
    assert features(["走吗?"], options).words == len("·走吗?·")
    with pytest.raises(InvalidInput, match="no sign"):
        features(["\x00 "], options)


def test_features_are_pinned_because_trained_tables_depend_on_them():
    counts = bucket_counts(["my", "地"], NgramOptions(buckets=1 << 20, width=64))
    # Two trigrams and one 4-gram of " my ", two words, one pair of words.
    assert list(counts) == [234779, 744700, 341196, 470748, 673740, 896317]
    assert set(counts.values()) == {1}
    # A space at both ends, two characters, and pairs.
    signs = NgramOptions(buckets=1 << 20, width=64, unit="character", characters=None)
    assert list(bucket_counts(split("地?", "character"), signs)) == [
        281391,
        876632,
        896317,
        163990,
        1009832,
        586951,
    ]


def test_another_process_with_another_hash_seed_agrees():
    program = (
        "from plaza_models.text.ngrams import *; "
        "f = features(['the card 地铁'], NgramOptions(buckets=4096, width=256)); "
        "print(f.indices[0, :30].tolist())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }
    assert runs == {f"{features(['the card 地铁'], OPTIONS).indices[0, :30].tolist()}\n"}


@given(st.lists(texts, min_size=1, max_size=5))
def test_every_text_is_a_row_of_length_one_that_does_not_depend_on_its_neighbours(batch):
    together = features(batch, OPTIONS)
    assert together.indices.shape == together.weights.shape == (len(batch), OPTIONS.width)
    assert together.indices.min() >= 0
    assert together.indices.max() < OPTIONS.buckets
    np.testing.assert_allclose(np.linalg.norm(together.weights, axis=1), 1, rtol=1e-5)
    for row, text in enumerate(batch):
        alone = features([text], OPTIONS)
        assert (alone.indices[0] == together.indices[row]).all()
        assert (alone.weights[0] == together.weights[row]).all()
    assert together.words == sum(len(split(text)) for text in batch)


@given(texts)
def test_case_and_punctuation_do_not_matter(text):
    plain, loud = features([text], OPTIONS), features([f"  {text.upper()} !?"], OPTIONS)
    assert (plain.indices == loud.indices).all()
    assert (plain.weights == loud.weights).all()


def test_a_misspelt_word_shares_most_of_its_features():
    a, b = (set(bucket_counts(split(t), OPTIONS)) for t in ("statement", "statment"))
    assert len(a & b) >= len(a) // 3


def test_chinese_texts_with_common_words_share_features():
    a, b, c = (
        set(bucket_counts(split(t), OPTIONS)) for t in ("地铁晚点了", "今天地铁晚点", "我要办护照")
    )
    assert len(a & b) >= 5
    assert len(a & c) <= 1


@pytest.mark.parametrize(
    ("batch", "field", "says"),
    [
        ([], "texts", "at least one"),
        (["fine", ""], "texts[1]", "no letter"),
        (["fine", "so", "…"], "texts[2]", "no letter"),
        (["x" * 2001], "texts[0]", "2000 characters"),
        (["fine", " ".join(map(str, range(400)))], "texts[1]", "too long: it has"),
        (["fine", 3], "texts[1]", "string"),
    ],
)
def test_a_refusal_names_the_text(batch, field, says):
    with pytest.raises(InvalidInput, match=says) as refusal:
        features(batch, OPTIONS)
    assert refusal.value.input == field


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"width": 8}, "options.buckets"),
        ({"buckets": 1, "width": 8}, "options.buckets"),
        ({"buckets": 8, "width": 8, "words": 0}, "options.words"),
        ({"buckets": 8, "width": 8, "characters": [4, 3]}, "options"),
        ({"buckets": 8, "width": 8, "seed": 1}, "options.seed"),
        ({"buckets": 8, "width": 8, "unit": "line"}, "options.unit"),
    ],
)
def test_a_wrong_option_is_named(options, where):
    with pytest.raises(InvalidBundle) as refusal:
        read_options(NgramOptions, options)
    assert refusal.value.input == where


# ── cutting ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("unit", ["word", "character"])
@pytest.mark.parametrize("cut", ["end", "beginning"])
@given(text=st.text(min_size=1, max_size=400), width=st.integers(1, 60))
def test_a_cut_text_always_fits_and_is_a_part_of_the_whole(unit, cut, text, width):
    words = split(text, unit)
    assume(words)
    options = NgramOptions(buckets=1 << 20, width=width, unit=unit, words=2)
    read = features([text], options, cut)
    assert np.count_nonzero(read.weights[0]) <= width
    whole = NgramOptions(buckets=1 << 20, width=1 << 14, words=2)
    if read.words == len(words):
        return
    assert read.words >= 1
    kept = words[: read.words] if cut == "end" else words[len(words) - read.words :]
    if len(bucket_counts(kept, options)) <= width:  # whole words, not a part of one
        assert set(read.indices[0][read.weights[0] > 0]) == set(bucket_counts(kept, whole))
        more = words[: read.words + 1] if cut == "end" else words[len(words) - read.words - 1 :]
        assert len(bucket_counts(more, options)) > width


def test_more_characters_than_a_text_may_have_are_cut_at_the_end_asked_for():
    options = NgramOptions(buckets=64, width=4, words=1, characters=None, max_characters=5)
    first, last = (features(["aa bb cc dd"], options, cut) for cut in ("end", "beginning"))
    assert (first.words, last.words) == (2, 2)
    assert first.indices.tolist() == features(["aa bb"], options).indices.tolist()
    assert last.indices.tolist() == features(["cc dd"], options).indices.tolist()
