"""Finding texts that mean the same: how embeddings are scored, and what they are compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plaza_models.tasks import EmbedTask
from plaza_training.recipe import Metrics
from plaza_training.served import Served
from plaza_training.text.bags import Bags
from plaza_training.text.sets import Examples

Matrix = NDArray[np.float32]
_NEAREST = 10


def score(similar: Matrix, queries: Sequence[str], gallery: Sequence[str]) -> Metrics:
    """`similar` (queries, gallery) against the labels of both.

    nearest: the most similar text has the query's label. nearest_10: share of the ten most
    similar that have it. separation: chance that a text of the same label is more similar than
    one of another label (area under the ROC curve, mean over queries).
    """
    order = np.argsort(-similar, axis=1, kind="stable")
    same = np.array(gallery)[order] == np.array(queries)[:, None]
    return {
        "nearest_percent": float(same[:, 0].mean() * 100),
        "nearest_10_percent": float(same[:, :_NEAREST].mean() * 100),
        "separation_percent": float(np.mean([_auc(row) for row in same]) * 100),
    }


def score_served(served: Served, queries: Examples, gallery: Examples) -> Metrics:
    """Ask the served bundle for every text, one by one."""
    found = embed(served, queries.texts), embed(served, gallery.texts)
    return score(found[0] @ found[1].T, queries.labels, gallery.labels)


def embed(served: Served, texts: Sequence[str]) -> Matrix:
    tasks = (EmbedTask((text,)) for text in texts)
    return np.concatenate([answer.vectors for answer in served.ask_all(tasks, joined=64)])


def tfidf(queries: Bags, gallery: Bags, rarity: Matrix) -> Matrix:
    """Cosine of the same hashed n-grams weighted by rarity, without anything learnt."""
    table = _dense(gallery, range(len(gallery)), rarity)
    block = 256
    parts = [
        _dense(queries, range(start, min(start + block, len(queries))), rarity) @ table.T
        for start in range(0, len(queries), block)
    ]
    return np.concatenate(parts)


def _dense(bags: Bags, rows: Sequence[int], rarity: Matrix) -> Matrix:
    out = np.zeros((len(rows), len(rarity)), np.float32)
    for place, row in enumerate(rows):
        weights = bags.weights[row] * rarity[bags.indices[row]]
        out[place, bags.indices[row]] = weights / max(float(np.linalg.norm(weights)), 1e-12)
    return out


def _auc(same: NDArray[np.bool_]) -> float:
    """Of one ranking, best first: the share of (same, other) pairs in the right order."""
    positives = int(same.sum())
    others = len(same) - positives
    if not positives or not others:
        raise ValueError("a ranking needs texts of the same and of another label")
    others_before = np.cumsum(~same)[same].sum()
    return 1 - float(others_before) / (positives * others)
