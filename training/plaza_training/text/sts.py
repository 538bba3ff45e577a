"""How well cosines of vectors agree with people: SemEval's pairs, scored as the literature does.

Every pair has a score from 0 (unrelated) to 5 (the same), the mean of several people's. The measure
of a year is Spearman's correlation over all its pairs together. These sets are for measuring only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plaza_training.recipe import Metrics

YEARS = ("2013", "2014", "2015", "2016")
Vectors = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]
"""Texts to rows of length 1."""


@dataclass(frozen=True, slots=True)
class Pairs:
    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: NDArray[np.float64]


def read_pairs(folder: Path, year: str) -> Pairs:
    """All pairs of a year that people have scored; some parts have others beside them."""
    rows = [
        line.split("\t")
        for path in sorted(folder.glob(f"sts{year}-*.test.tsv"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    scored = [row for row in rows if row[0]]
    return Pairs(
        tuple(row[1] for row in scored),
        tuple(row[2] for row in scored),
        np.array([float(row[0]) for row in scored]),
    )


def sentences(folder: Path) -> frozenset[str]:
    """Every sentence of the years measured, as `plain` writes it: none of them may be learnt."""
    pairs = [read_pairs(folder, year) for year in YEARS]
    return frozenset(plain(text) for pair in pairs for text in (*pair.first, *pair.second))


def plain(text: str) -> str:
    """Without case and punctuation at the end, so that a sentence is known again."""
    return text.strip().lower().rstrip(".;!? ")


def score_pairs(folder: Path, embed: Embed) -> Metrics:
    """`sts13` … `sts16` and their mean `sts_mean`, each 100 × Spearman's correlation."""
    found = {}
    for year in YEARS:
        pairs = read_pairs(folder, year)
        left, right = embed(pairs.first), embed(pairs.second)
        found[f"sts{year[2:]}"] = 100 * spearman((left * right).sum(axis=1), pairs.scores)
    return {**found, "sts_mean": float(np.mean(list(found.values())))}


def spearman(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Correlation of ranks; equal values share the mean of their ranks."""
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    mean: NDArray[np.float64] = (last - (count - 1) / 2)[place]
    return mean
