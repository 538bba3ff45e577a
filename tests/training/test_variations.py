"""Variations of sentences: many, none twice, made of what is there and of what is like it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_training.progress import Silent  # noqa: E402  after the skip
from plaza_training.text.variations import likes_of, varied  # noqa: E402

pytestmark = pytest.mark.torch

TEXTS = ("the lamp at the gate is dark", "collect my rubbish please", "hello", "a hole in the road")
LIKES = {"lamp": ("lantern", "light"), "rubbish": ("waste",), "road": ("street", "lane")}
WORDS = {word for text in TEXTS for word in text.split()}


def test_variations_are_new_each_once_and_follow_from_the_seed():
    found = varied(TEXTS, LIKES, 20, seed=3)
    assert found == varied(TEXTS, LIKES, 20, seed=3) != varied(TEXTS, LIKES, 20, seed=4)
    assert len(found) == len(set(found)) > 60
    assert "" not in found
    assert not set(found) & set(TEXTS)


def test_every_word_was_there_or_is_like_one_that_was():
    words = {word for text in varied(TEXTS, LIKES, 20, seed=3) for word in text.split()}
    likes = {like for some in LIKES.values() for like in some}
    assert likes < words
    assert words <= WORDS | likes


class Scribe:
    """A teacher to whom numbers near one another are alike."""

    class tokenizer:  # noqa: N801 an attribute's name
        @staticmethod
        def get_vocab():
            words = [f"w{letter}" for letter in "abcdefghijklmnop"]
            return {"[CLS]": 0, "##s": 1, "7": 2, **{w: n for n, w in enumerate(words, start=3)}}

    @staticmethod
    def marked(piece):
        return (0, piece, 0)

    @staticmethod
    def encode_pieces(pieces, progress):
        angle = np.array([piece for _, piece, _ in pieces]) / 20
        return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def test_likes_are_the_nearest_whole_words_but_not_the_word_itself(tmp_path):
    likes = likes_of(["wa unknown 7", "wh"], Scribe(), tmp_path, Silent())
    assert set(likes) == {"wa", "wh"}
    assert likes["wa"][:3] == ["wb", "wc", "wd"]
    assert set(likes["wh"][:2]) == {"wg", "wi"}
    assert all(len(some) == 10 for some in likes.values())
