"""An index: a log of segments, and which of their documents are live. A value that never changes.

    segment 1 ─ segment 2 ─ segment 3 …      later ones replace and take out documents of earlier

What a log means is decided by the log alone: `Index.of` of its segments is the same however it came
about. Runs of segments at its end are merged as they grow (`tail`), each to about twice the size of
all after it, so that there are few and a document is copied a logarithmic number of times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from plaza_models.search.segment import Document, Mask, Segment, merge


@dataclass(frozen=True, eq=False)
class Index:
    segments: tuple[Segment, ...] = ()
    live: tuple[Mask, ...] = ()

    @classmethod
    def of(cls, segments: Sequence[Segment]) -> Index:
        return cls().with_tail(0, segments)

    def with_tail(self, start: int, added: Sequence[Segment]) -> Index:
        """The first `start` segments, then `added`, which does at least what was there did: it is
        more of the log, or the rest of it merged."""
        segments, live = list(self.segments[:start]), list(self.live[:start])
        for segment in added:
            for at, earlier in enumerate(segments):
                places = _places_in(earlier, segment)
                if places:
                    live[at] = live[at].copy()
                    live[at][places] = False
            segments.append(segment)
            live.append(np.ones(segment.documents, np.bool_))
        return Index(tuple(segments), tuple(live))

    @property
    def documents(self) -> int:
        return sum(int(mask.sum()) for mask in self.live)

    @property
    def bytes(self) -> int:
        return sum(segment.bytes for segment in self.segments)

    def find(self, name: str) -> tuple[int, int] | None:
        """(segment, place) of a live document."""
        for at in range(len(self.segments) - 1, -1, -1):
            place = self.segments[at].place_of.get(name)
            if place is not None and self.live[at][place]:
                return at, place
        return None

    def ids(self) -> Iterator[str]:
        """Of live documents, oldest first."""
        for segment, mask in zip(self.segments, self.live, strict=True):
            yield from (segment.ids[int(place)] for place in np.flatnonzero(mask))

    def document(self, place: int) -> Document:
        """By its place among all documents, live or not, counted through the segments."""
        for segment in self.segments:
            if place < segment.documents:
                return segment.document(place)
            place -= segment.documents
        raise IndexError(place)

    def tail(self, new: Segment) -> int:
        """Where the run begins that should be merged with `new`; all segments before it stay."""
        total, start = new.size, len(self.segments)
        for at in range(len(self.segments) - 1, -1, -1):
            size, lives = self.segments[at].size, int(self.live[at].sum())
            if size <= total or 2 * lives < self.segments[at].documents:
                start = at
            total += size
        return start

    def merged(self, start: int, new: Segment) -> Segment:
        """`new` and the segments from `start` on as one."""
        run = Index.of([*self.segments[start:], new])
        return (
            new if start == len(self.segments) else merge(run.segments, run.live, first=not start)
        )


def _places_in(earlier: Segment, later: Segment) -> list[int]:
    """Of those of `earlier` that `later` replaces or takes out."""
    known = earlier.place_of
    if later.size > earlier.documents:
        gone = later.place_of.keys() | set(later.removes)
        return [place for name, place in known.items() if name in gone]
    named = (name for names in (later.ids, later.removes) for name in names)
    return [known[name] for name in named if name in known]
