"""Further sentences to ask a teacher about, made of those that there are.

    words left out, replaced by any other, or by one that the teacher takes for its like
    the beginning of one sentence and the end of another; a few words in a row

Most are poor English and some mean something else than what they were made of. That does no harm:
nobody says what they mean but the teacher, of each of them as it is. The likes of a word are mostly
words that no sentence has, so the pupil comes to know them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from plaza_training.progress import Progress
from plaza_training.text import memory
from plaza_training.text.teacher import Teacher

_LIKES = 10
"""Words that may stand for one."""
_SPLICED, _REPLACED = 0.35, 0.85
"""A sentence is spliced with the first chance, has words replaced up to the second, else is cut."""
_LEFT_OUT, _ANY = 0.15, 0.3
"""A word is left out with the first chance, and any other put in its place up to the second."""
_RATES, _LOSSES = (0.15, 0.3, 0.5), (0.0, 0.1)
"""Of a sentence whose words are replaced by likes: shares of replaced words, of lost ones."""

Likes = Mapping[str, Sequence[str]]


def varied(texts: Sequence[str], likes: Likes, times: int, seed: int) -> tuple[str, ...]:
    """`times` rough and `times` gentle variations of each text, without those that are twice."""
    random = np.random.default_rng(seed)
    split = [text.split() for text in texts]
    words = [word for one in split for word in one]
    found = []
    for _ in range(times):
        others = random.permutation(len(split))
        for own, other in zip(split, others, strict=True):
            found.append(_rough(own, split[other], words, random))
            found.append(_gentle(own, likes, random))
    known = set(texts)
    return tuple(text for text in dict.fromkeys(map(" ".join, found)) if text and text not in known)


def _rough(
    own: Sequence[str], other: Sequence[str], words: Sequence[str], random: np.random.Generator
) -> Sequence[str]:
    kind = random.random()
    if kind < _SPLICED:
        return [*own[: 1 + _draw(random, len(own))], *other[_draw(random, len(other)) :]]
    if kind >= _REPLACED:
        length = min(len(own), int(random.integers(2, 7)))
        first = _draw(random, len(own) - length + 1)
        return own[first : first + length]
    chances = random.random(len(own))
    return [
        words[_draw(random, len(words))] if chance < _ANY else word
        for word, chance in zip(own, chances, strict=True)
        if chance >= _LEFT_OUT
    ]


def _gentle(own: Sequence[str], likes: Likes, random: np.random.Generator) -> Sequence[str]:
    lost = random.choice(_LOSSES)
    replaced = lost + random.choice(_RATES)
    chances = random.random(len(own))
    return [
        likes[word][_draw(random, len(likes[word]))]
        if chance < replaced and word in likes
        else word
        for word, chance in zip(own, chances, strict=True)
        if chance >= lost
    ]


def _draw(random: np.random.Generator, below: int) -> int:
    return int(random.integers(below))


def likes_of(
    texts: Sequence[str], teacher: Teacher, data_dir: Path, progress: Progress
) -> dict[str, list[str]]:
    """Of each word that is one piece of the teacher's vocabulary: those it sees nearest, alone."""
    vocabulary = teacher.tokenizer.get_vocab()
    words = sorted(w for w in vocabulary if w.isascii() and w.isalpha() and len(w) > 1)
    vectors = memory.ask_alone(teacher, [vocabulary[w] for w in words], data_dir, progress)
    place = {word: number for number, word in enumerate(words)}
    found = {}
    for word in sorted({w for text in texts for w in text.split()} & place.keys()):
        order = np.argsort(-(vectors @ vectors[place[word]]), kind="stable")
        found[word] = [words[n] for n in order[1 : _LIKES + 1]]
    return found
