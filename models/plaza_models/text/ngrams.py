"""Text -> hashed n-grams: the one tokeniser of every text family, equal on every machine.

    text ─NFKC, casefold─▶ words ─▶ n-grams of words, n-grams of characters inside each word
         ─crc32─▶ buckets ─▶ indices and weights of fixed width

A word is a run of letters and digits; a character of a script written without spaces (Han, kana,
Thai …) is a word by itself, so Chinese text works through n-grams of words. Character n-grams
see a word with its borders marked, which makes them robust against misspelling.

With `unit` character, every character is a word, spaces and punctuation too: in a headline they
tell as much as letters do.

crc32 is not a cryptographic hash: whoever wants collisions can make them, and harms only the
answer to their own text. Python's own `hash` would differ from process to process.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from plaza_core.errors import InvalidInput
from plaza_models.options import Options
from plaza_models.tasks import Cut

# Scripts written without spaces: Thai to Myanmar, kana and Han with their extensions.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_WIDTH = 4
"""Bytes of one character in UTF-32, the encoding that is hashed: slices stay aligned."""
_SPACE = " "
_BORDER = _SPACE.encode("utf-32-le")
_WORDS_SEED = 0x9E3779B9
Unit = Literal["word", "character"]


class NgramOptions(Options):
    """How text becomes features. Training and serving read the same options."""

    buckets: int = Field(ge=2, le=1 << 24, description="rows of the model's table")
    width: int = Field(ge=1, le=65_536, description="features a text may have at most")
    unit: Unit = Field(
        default="word",
        description="what a word is: a run of letters and digits, or every character with spaces "
        "and punctuation, a space at both ends",
    )
    words: int = Field(default=2, ge=1, le=4, description="longest n-gram of words")
    characters: tuple[int, int] | None = Field(
        default=(3, 4), description="shortest and longest n-gram of characters, or none"
    )
    max_characters: int = Field(default=2_000, ge=1, le=100_000, description="longest text")

    @model_validator(mode="after")
    def _ordered(self) -> NgramOptions:
        if self.characters and not 1 <= self.characters[0] <= self.characters[1] <= 16:
            raise ValueError("characters must be 1 <= shortest <= longest <= 16")
        return self


@dataclass(frozen=True, slots=True)
class Features:
    """Texts as the graphs take them. Unused places hold index 0 with weight 0."""

    indices: NDArray[np.int64]
    """(texts, width)"""
    weights: NDArray[np.float32]
    """(texts, width); the weights of a text have length 1 (Euclidean)."""
    counts: tuple[int, ...]
    """Words or pieces read of each text."""

    @property
    def words(self) -> int:
        """Over all texts."""
        return sum(self.counts)


class NgramReader:
    """Texts as a text family wants them, by n-grams."""

    def __init__(self, options: NgramOptions) -> None:
        self._options = options
        self.width = options.width
        self.size = options.buckets

    def read(self, texts: Sequence[str], cut: Cut, *, narrow: bool) -> Features:
        """As `features`."""
        return features(texts, self._options, cut, narrow=narrow)


def split(text: str, unit: Unit = "word") -> list[str]:
    """Normalised words of `text`, in order; none where there is nothing to be read."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    if unit == "word":
        return _WORD.findall(plain)
    seen = "".join(letter for letter in plain if letter.isprintable() or letter.isspace())
    return [_SPACE, *_SPACE.join(parts), _SPACE] if (parts := seen.split()) else []


def bucket_counts(words: Sequence[str], options: NgramOptions) -> dict[int, int]:
    """Bucket -> how many n-grams of `words` fall into it, in order of first appearance."""
    buckets = options.buckets
    found: list[int] = []
    hashes = []
    for word in words:
        code = word.encode("utf-32-le")
        hashes.append(crc32(code, _WORDS_SEED))
        if options.characters and len(code) > _WIDTH:
            marked = _BORDER + code + _BORDER
            end = len(marked) + 1
            for size in range(options.characters[0], options.characters[1] + 1):
                span = size * _WIDTH
                found += [
                    crc32(marked[last - span : last], size) % buckets
                    for last in range(span, end, _WIDTH)
                ]
    for first in range(len(hashes)):
        chain = 0
        for following in hashes[first : first + options.words]:
            chain = crc32(following.to_bytes(4, "little"), chain)
            found.append(chain % buckets)
    return Counter(found)


def features(
    texts: Sequence[str], options: NgramOptions, cut: Cut = "no", *, narrow: bool = False
) -> Features:
    """Features of every text, one row each. A bucket's weight grows with the root of its count.
    `narrow`: no wider than the widest of these texts needs.

    Raises InvalidInput naming `texts`, or `texts[i]` when that text is empty, or too long and not
    to be `cut`.
    """
    if not texts:
        raise InvalidInput("send at least one text", input="texts")
    read = [_read(text, options, cut, f"texts[{row}]") for row, text in enumerate(texts)]
    width = max(len(counts) for _, counts in read) if narrow else options.width
    indices = np.zeros((len(texts), width), np.int64)
    weights = np.zeros((len(texts), width), np.float32)
    for row, (_, counts) in enumerate(read):
        filled = len(counts)
        indices[row, :filled] = np.fromiter(counts.keys(), np.int64, filled)
        raw = np.fromiter(counts.values(), np.float32, filled)
        weights[row, :filled] = np.sqrt(raw / raw.sum())
    return Features(indices, weights, tuple(len(words) for words, _ in read))


def _read(
    text: str, options: NgramOptions, cut: Cut, where: str
) -> tuple[list[str], dict[int, int]]:
    if not isinstance(text, str):
        raise InvalidInput("a text must be a string", input=where)
    most = options.max_characters
    if len(text) > most:
        if cut == "no":
            raise InvalidInput(
                f"a text may have {most} characters, this has {len(text)}", input=where
            )
        text = text[:most] if cut == "end" else text[-most:]
    words = split(text, options.unit)
    if not words:
        or_sign = "" if options.unit == "word" else " and no sign"
        raise InvalidInput(f"the text has no letter and no digit{or_sign}", input=where)
    counts = bucket_counts(words, options)
    if len(counts) > options.width:
        if cut != "no":
            words = _fitting(words, options, cut)
            return words, bucket_counts(words, options)
        raise InvalidInput(
            f"the text is too long: it has {len(counts)} features and the model reads "
            f"{options.width}",
            input=where,
        )
    return words, counts


def _fitting(words: Sequence[str], options: NgramOptions, cut: Cut) -> list[str]:
    """As many whole words as the model reads, from one end; of a first word too long its part."""

    def features_of(count: int) -> int:
        return len(bucket_counts(_part(words, count, cut), options))

    def features_within(count: int) -> int:
        return len(bucket_counts([_part(word, count, cut)], options))

    # More words never have fewer features, so the number is found by halving. Of one word that is
    # only nearly so; what halving ends at fits all the same.
    kept = bisect_right(range(len(words) + 1), options.width, key=features_of) - 1
    if kept:
        return list(_part(words, kept, cut))
    (word,) = _part(words, 1, cut)
    letters = bisect_right(range(1, len(word) + 1), options.width, key=features_within)
    return [_part(word, letters, cut)]


_Parts = TypeVar("_Parts", bound=Sequence[str])


def _part(whole: _Parts, count: int, cut: Cut) -> _Parts:
    """`count` items of one end, the other one cut off."""
    return whole[:count] if cut == "end" else whole[len(whole) - count :]  # type: ignore[return-value]  # a slice has its own type
