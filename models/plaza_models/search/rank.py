"""Which documents of an index answer a query best: BM25, cosines, and both fused by their ranks.

    query ─terms──▶ BM25 ────▶ ranks ─┐
                                      ├─ Σ 1 / (60 + rank) ─▶ hits
    query ─vector─▶ cosines ─▶ ranks ─┘

Statistics are of live documents only and counted anew for each query, so an index that grew piece
by piece answers as one that was built at once. Ties go to the document that was put first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plaza_models.search.index import Index
from plaza_models.search.terms import terms

K1, B = 1.2, 0.75
"""BM25's usual constants: how soon a repeated term counts no more, how much length matters."""
RRF = 60
"""The usual constant of reciprocal rank fusion."""
DEPTH = 200
"""How many of each list are fused at least."""

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hit:
    """One document by its place (`Index.document`). Ranks count from 1; None: not in that list."""

    place: int
    score: float
    """What hits are ordered by: BM25, the cosine, or of both the sum of reciprocal ranks."""
    keyword_rank: int | None = None
    keyword_score: float | None = None
    vector_rank: int | None = None
    cosine: float | None = None


def search(
    index: Index, query: str | None, vector: NDArray[np.float32] | None, limit: int
) -> list[Hit]:
    """The best `limit`, by what is given: words, a vector of length 1, or both."""
    words = np.zeros(0) if query is None else keyword_scores(index, query)
    cosines = np.zeros(0) if vector is None else vector_scores(index, vector)
    depth = limit if query is None or vector is None else max(DEPTH, 2 * limit)
    by_words = _best(words, depth, above=0.0)
    by_vector = _best(cosines, depth, above=-np.inf)
    if vector is None:
        return [
            Hit(place, float(words[place]), keyword_rank=rank, keyword_score=float(words[place]))
            for rank, place in enumerate(by_words, 1)
        ]
    if query is None:
        return [
            Hit(place, float(cosines[place]), vector_rank=rank, cosine=float(cosines[place]))
            for rank, place in enumerate(by_vector, 1)
        ]
    ranks = [{place: rank for rank, place in enumerate(b, 1)} for b in (by_words, by_vector)]
    fused = {
        place: sum(1 / (RRF + found[place]) for found in ranks if place in found)
        for place in sorted(ranks[0].keys() | ranks[1].keys())
    }
    return [
        Hit(
            place,
            fused[place],
            ranks[0].get(place),
            float(words[place]) if place in ranks[0] else None,
            ranks[1].get(place),
            float(cosines[place]) if cosines[place] > -np.inf else None,
        )
        for place in sorted(fused, key=lambda place: -fused[place])[:limit]
    ]


def keyword_scores(index: Index, query: str) -> Scores:
    """BM25 of every document, live or not; 0 for one without any of the words."""
    lengths = np.concatenate([np.zeros(0), *(segment.lengths for segment in index.segments)])
    scores = np.zeros(len(lengths))
    live = sum(int(mask.sum()) for mask in index.live)
    total = sum(
        int(segment.lengths[mask].sum())
        for segment, mask in zip(index.segments, index.live, strict=True)
    )
    if not total:
        return scores
    norms = K1 * (1 - B + B * lengths * (live / total))
    for term, wanted in sorted(terms(query).items()):
        places, counts = _postings(index, term)
        if not len(places):
            continue
        weight = np.log1p((live - len(places) + 0.5) / (len(places) + 0.5))
        scores[places] += wanted * weight * (K1 + 1) * counts / (counts + norms[places])
    return scores


def _postings(index: Index, term: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Places among all documents, and counts, of the live ones."""
    places, counts, base = [np.zeros(0, np.int64)], [np.zeros(0)], 0
    for segment, mask in zip(index.segments, index.live, strict=True):
        part = segment.postings(term)
        kept = mask[segment.places[part]]
        places.append(segment.places[part][kept].astype(np.int64) + base)
        counts.append(segment.counts[part][kept].astype(np.float64))
        base += segment.documents
    return np.concatenate(places), np.concatenate(counts)


def vector_scores(index: Index, vector: NDArray[np.float32]) -> Scores:
    """The cosine of every document with `vector`; -inf for those that are dead or have none."""
    found = [np.zeros(0)]
    for segment, mask in zip(index.segments, index.live, strict=True):
        if segment.documents and segment.vectors.shape[1] == len(vector):
            usable = mask & segment.directed
            # Not `@`: BLAS would wake threads for it, and on busy cores wait for them (14 ms
            # instead of 0.3 for 10,000 rows).
            cosines = np.einsum("ij,j->i", segment.vectors, vector)
            found.append(np.where(usable, cosines, -np.inf))
        else:
            found.append(np.full(segment.documents, -np.inf))
    return np.concatenate(found)


def _best(scores: Scores, count: int, *, above: float) -> list[int]:
    """Places of the highest `count` scores that are over `above`, best first, ties by place."""
    if len(scores) > count:
        least = np.partition(scores, len(scores) - count)[len(scores) - count]
        candidates = np.flatnonzero((scores >= least) & (scores > above))
    else:
        candidates = np.flatnonzero(scores > above)
    order = np.argsort(-scores[candidates], kind="stable")
    return [int(place) for place in candidates[order][:count]]
