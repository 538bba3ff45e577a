"""Text -> what BM25 counts: words, and in scripts without spaces n-grams of characters.

    text ─NFKC, casefold─▶ runs ─┬ letters and digits ─▶ one word
                                 └ Han, kana, Thai …  ─▶ each character, each pair of neighbours

Pairs stand for the words that such scripts do not mark; single characters find what is asked for by
one. Terms are told apart by 64 bits of BLAKE2b, so that a vocabulary is an array of numbers: in a
million terms two have the same number with a probability of 3e-8, and then share their counts.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_SIGNS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0dff"
"""Signs that are no letters of their own and would cut words of their scripts apart."""
_RUN = re.compile(rf"([{_UNSPACED}]+)|(?:[^\W_{_UNSPACED}]|[{_SIGNS}])+")


def terms(text: str) -> Counter[int]:
    """How often each term occurs in `text`; empty where it has no letter or digit."""
    return Counter(map(_number, _terms(text)))


def _terms(text: str) -> Iterator[str]:
    for run in _RUN.finditer(unicodedata.normalize("NFKC", text).casefold()):
        found = run.group()
        if run.group(1) is None:
            yield found
        else:
            yield from found
            yield from map("".join, pairwise(found))


@lru_cache(maxsize=1 << 16)
def _number(term: str) -> int:
    return int.from_bytes(blake2b(term.encode(), digest_size=8).digest(), "little")
