"""One immutable piece of an index: documents, their vectors and their postings, as flat arrays.

    documents ─build─▶ segment          segments, what of them is live ─merge─▶ one segment

A segment also says which documents it takes out of the segments before it: those it holds anew,
and those in `removes`. Postings are columns (term ▸ place, count), sorted by term, then place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaza_models.search.terms import terms

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Document:
    """`facts` is whatever its owner keeps with it, as JSON; it is not searched."""

    id: str
    text: str = field(repr=False)
    facts: str = field(default="{}", repr=False)


class Texts(Sequence[str]):
    """Strings in one piece of UTF-8: no object for each, and written as it is."""

    def __init__(self, blob: bytes, ends: NDArray[np.int64]) -> None:
        self.blob = blob
        self.ends = ends

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        encoded = [text.encode() for text in texts]
        return cls(b"".join(encoded), np.array(list(accumulate(map(len, encoded))), np.int64))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(len(self)))]
        return self.blob[int(self.ends[at - 1]) if at else 0 : int(self.ends[at])].decode()


@dataclass(frozen=True, eq=False)
class Segment:
    ids: Texts
    removes: Texts
    """Ids that are not in `ids`."""
    texts: Texts
    facts: Texts
    vectors: NDArray[np.float32]
    """(documents, dimension), rows of length 1 or 0; dimension 0 where the index has no model."""
    terms: NDArray[np.uint64]
    """Ascending."""
    ends: NDArray[np.int64]
    """Where each term's postings end."""
    places: NDArray[np.int32]
    counts: NDArray[np.int32]
    lengths: NDArray[np.int64]
    """Terms of each document."""

    @property
    def documents(self) -> int:
        return len(self.ids)

    @property
    def size(self) -> int:
        """What merging it costs, counted in documents."""
        return len(self.ids) + len(self.removes)

    @cached_property
    def place_of(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.ids)}

    @cached_property
    def directed(self) -> Mask:
        """Which documents have a vector."""
        return np.asarray(self.vectors.any(axis=1))

    @cached_property
    def bytes(self) -> int:
        """About what it takes in memory."""
        arrays = (self.vectors, self.terms, self.ends, self.places, self.counts, self.lengths)
        texts = (self.ids, self.removes, self.texts, self.facts)
        ids = 150 * len(self.ids)  # `place_of`
        return sum(a.nbytes for a in arrays) + sum(len(t.blob) + t.ends.nbytes for t in texts) + ids

    def document(self, place: int) -> Document:
        return Document(self.ids[place], self.texts[place], self.facts[place])

    def postings(self, term: int) -> slice:
        """Of one term, in `places` and `counts`; empty where there are none."""
        at = int(np.searchsorted(self.terms, np.uint64(term)))
        if at == len(self.terms) or int(self.terms[at]) != term:
            return slice(0, 0)
        return slice(int(self.ends[at - 1]) if at else 0, int(self.ends[at]))


def build(
    documents: Sequence[Document],
    vectors: NDArray[np.float32] | None = None,
    removes: Iterable[str] = (),
) -> Segment:
    """Of documents with different ids. Vectors are brought to length 1 and rounded to 16 bits."""
    held = {document.id for document in documents}
    if len(held) != len(documents):
        raise ValueError("a segment holds a document once")
    counted = [terms(document.text) for document in documents]
    widths = [len(counts) for counts in counted]
    place = np.repeat(np.arange(len(documents), dtype=np.int32), widths)
    term = np.fromiter((t for c in counted for t in c), np.uint64, len(place))
    count = np.fromiter((n for c in counted for n in c.values()), np.int32, len(place))
    if vectors is None:
        vectors = np.zeros((len(documents), 0), np.float32)
    if len(vectors) != len(documents):
        raise ValueError("there must be one vector for each document")
    return Segment(
        Texts.of(document.id for document in documents),
        Texts.of(sorted(set(removes) - held)),
        Texts.of(document.text for document in documents),
        Texts.of(document.facts for document in documents),
        _rounded(vectors),
        *_grouped(term, place, count),
        np.array([counts.total() for counts in counted], np.int64),
    )


def merge(segments: Sequence[Segment], live: Sequence[Mask], *, first: bool) -> Segment:
    """One segment that does to those before it what these, a run in order, do together.

    `live` says of each what later ones of the run have left of it. `first`: nothing is before it,
    so there is nothing to take out either.
    """
    old_places = [np.flatnonzero(mask) for mask in live]
    pairs = list(zip(segments, old_places, strict=True))
    kept = {name for segment, places in pairs for name in _chosen(segment.ids, places)}
    gone: set[str] = set()
    if not first:
        gone = {n for s in segments for names in (s.ids, s.removes) for n in names} - kept
    columns = _joined(segments, live)
    dimension = max((segment.vectors.shape[1] for segment in segments), default=0)
    vectors = [s.vectors[places] for s, places in pairs if s.documents]

    def texts(of: Callable[[Segment], Texts]) -> Texts:
        return Texts.of(text for segment, places in pairs for text in _chosen(of(segment), places))

    return Segment(
        texts(lambda segment: segment.ids),
        Texts.of(sorted(gone)),
        texts(lambda segment: segment.texts),
        texts(lambda segment: segment.facts),
        np.concatenate([np.zeros((0, dimension), np.float32), *vectors]),
        *_grouped(*columns),
        np.concatenate([np.zeros(0, np.int64), *(s.lengths[places] for s, places in pairs)]),
    )


def _chosen(texts: Texts, places: NDArray[np.int64]) -> Iterable[str]:
    return (texts[int(place)] for place in places)


_Columns = tuple[NDArray[np.uint64], NDArray[np.int32], NDArray[np.int32]]


def _joined(segments: Sequence[Segment], live: Sequence[Mask]) -> _Columns:
    """(term, place, count) of all postings of live documents, at their places in the run."""
    term, place, count = [np.zeros(0, np.uint64)], [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    base = 0
    for segment, mask in zip(segments, live, strict=True):
        kept = mask[segment.places]
        moved = np.cumsum(mask) - 1 + base
        term.append(np.repeat(segment.terms, np.diff(segment.ends, prepend=0))[kept])
        place.append(moved[segment.places[kept]].astype(np.int32))
        count.append(segment.counts[kept])
        base += int(mask.sum())
    return np.concatenate(term), np.concatenate(place), np.concatenate(count)


def _grouped(
    term: NDArray[np.uint64], place: NDArray[np.int32], count: NDArray[np.int32]
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """Columns in order of place -> terms, ends, places, counts in order of term, then place."""
    order = np.argsort(term, kind="stable")
    distinct, sizes = np.unique(term[order], return_counts=True)
    return distinct, np.cumsum(sizes, dtype=np.int64), place[order], count[order]


def _rounded(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    short: NDArray[np.float16] = (vectors / np.maximum(lengths, 1e-12)).astype(np.float16)
    return short.astype(np.float32)
