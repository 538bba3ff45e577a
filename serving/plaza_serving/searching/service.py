"""The verbs on what is in an index: put, delete, search, list.

    put ─▶ what is new? ─▶ vectors (caller's key) ─▶ segment ─▶ merged with small ones ─▶ published
                ▲                                                                            │
                └──────────────────── somebody else published meanwhile ◀───────────────────┘

A document whose text is in the index already keeps its vector: feeding the same source again costs
what changed. Nothing of a document is logged; what is charged is what its embedding cost.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from plaza_core.errors import (
    ConcurrencyExceeded,
    Conflict,
    Forbidden,
    InvalidInput,
    PlazaError,
    QuotaExceeded,
)
from plaza_core.ids import OrganisationId
from plaza_core.indexes import IndexInfo, IndexMoved, IndexStore, Publication
from plaza_core.principal import TenantScope
from plaza_models.search.index import Index
from plaza_models.search.rank import Hit, search
from plaza_models.search.segment import Document, Segment, build
from plaza_models.search.wire import to_bytes
from plaza_serving.naming import renamed
from plaza_serving.searching.embedding import Embedder
from plaza_serving.searching.shelf import Shelf

T = TypeVar("T")
Mode = Literal["hybrid", "keywords", "vectors"]

MOST_DOCUMENTS = 100_000
"""Of one index: every search scans all its vectors."""
AT_ONCE = 4
"""Verbs of one organisation that may be at work at once in this process."""
THREADS = 8
_TRIES = 8


@dataclass(frozen=True, slots=True)
class Put:
    info: IndexInfo
    added: int
    replaced: int
    unchanged: int
    charge: int
    """Compute units for embedding."""


@dataclass(frozen=True, slots=True)
class Found:
    document: Document
    hit: Hit


@dataclass(frozen=True, slots=True)
class Answer:
    found: Sequence[Found]
    mode: Mode
    charge: int


@dataclass(slots=True)
class _Embedded:
    """Vectors made so far by one verb, for however many tries it takes."""

    called: Callable[[str], str]
    """A text -> the caller's name for it."""
    by_text: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    charge: int = 0


class Searching:
    """Thread-safe; every verb blocks, so servers `run` it. `key` is the text of the caller's key,
    None for a person."""

    def __init__(
        self,
        store: IndexStore,
        embedder: Embedder,
        *,
        memory_bytes: int,
        most_documents: int = MOST_DOCUMENTS,
    ) -> None:
        self.store = store
        self.shelf = Shelf(store, memory_bytes)
        self._embedder = embedder
        self._most = most_documents
        self._inside: Counter[OrganisationId | None] = Counter()
        self._threads = ThreadPoolExecutor(THREADS, "search")
        self._lock = threading.Lock()

    async def run(self, scope: TenantScope, verb: Callable[[], T]) -> T:
        """A verb on threads of its own: those of the admin API must stay free for replicas, who
        ask for budget while a verb waits for them. Nobody gets all of these either.

        Raises ConcurrencyExceeded when so many of the organisation are at work.
        """
        with self._turn(scope.organisation):
            return await asyncio.get_running_loop().run_in_executor(self._threads, verb)

    def put(
        self, scope: TenantScope, name: str, documents: Sequence[Document], key: str | None
    ) -> Put:
        """Add documents, or replace those of the same id; all of them or, on an error, none.

        Raises NotFound, InvalidInput for an id that comes twice, QuotaExceeded, Forbidden where an
        embedding needs a key, and what the model's endpoint refuses with.
        """
        _once_each(documents)
        made = _Embedded(lambda text: f"documents.{_place(documents, text)}.text")
        for _ in range(_TRIES):
            info, index = self.shelf.now(scope, name)
            known = {one.id: _known(index, one.id) for one in documents}
            fresh = [one for one in documents if known[one.id] != one]
            if index.documents + sum(known[one.id] is None for one in fresh) > self._most:
                raise QuotaExceeded(f"an index holds {self._most:,} documents", input="documents")
            if fresh:
                vectors = self._vectors(info, index, fresh, key, made)
                try:
                    info = self._publish(scope, info, index, build(fresh, vectors))
                except IndexMoved:
                    continue
            added = sum(known[one.id] is None for one in fresh)
            unchanged = len(documents) - len(fresh)
            return Put(info, added, len(fresh) - added, unchanged, made.charge)
        raise _too_busy()

    def delete(self, scope: TenantScope, name: str, ids: Collection[str]) -> tuple[IndexInfo, int]:
        """Returns how many of `ids` there were. Raises NotFound for the index alone."""
        for _ in range(_TRIES):
            info, index = self.shelf.now(scope, name)
            gone = [one for one in set(ids) if index.find(one) is not None]
            try:
                if gone:
                    none = np.zeros((0, _dimension(index)), np.float32)
                    info = self._publish(scope, info, index, build([], none, gone))
            except IndexMoved:
                continue
            return info, len(gone)
        raise _too_busy()

    def search(
        self,
        scope: TenantScope,
        name: str,
        query: str,
        *,
        limit: int,
        mode: Mode | None,
        key: str | None,
    ) -> Answer:
        """The best documents, best first. `mode` None: hybrid where the index has a model."""
        info, index = self.shelf.now(scope, name)
        mode = mode or ("keywords" if info.model is None else "hybrid")
        if mode != "keywords" and info.model is None:
            raise InvalidInput("this index has no model, only words", input="mode")
        made = _Embedded(lambda _: "query")
        vector = None
        if mode != "keywords" and index.documents:
            self._embed(info, [query], key, made)
            vector = _unit(made.by_text[query])
        hits = search(index, None if mode == "vectors" else query, vector, limit)
        found = [Found(index.document(hit.place), hit) for hit in hits]
        return Answer(found, mode, made.charge)

    def documents(
        self, scope: TenantScope, name: str, *, after: str | None, limit: int
    ) -> list[Document]:
        """By id, those behind `after`."""
        _, index = self.shelf.now(scope, name)
        ids = sorted(index.ids())
        later = (one for one in ids if after is None or one > after)
        found = (_known(index, one) for one in islice(later, limit))
        return [document for document in found if document is not None]

    # ── inside ───────────────────────────────────────────────────────────────────────────────────
    @contextmanager
    def _turn(self, whose: OrganisationId | None) -> Iterator[None]:
        with self._lock:
            if self._inside[whose] >= AT_ONCE:
                raise ConcurrencyExceeded(
                    f"{AT_ONCE} requests of this organisation to its indexes are at work",
                    retry_after=1,
                )
            self._inside[whose] += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside[whose] -= 1

    def _publish(
        self, scope: TenantScope, info: IndexInfo, index: Index, new: Segment
    ) -> IndexInfo:
        start = index.tail(new)
        merged = index.merged(start, new)
        after = index.with_tail(start, [merged])
        publication = Publication(info.generation, start, to_bytes(merged), after.documents)
        published = self.store.publish(scope, info.id, publication)
        self.shelf.keep(published, after)
        return published

    def _vectors(
        self,
        info: IndexInfo,
        index: Index,
        documents: Sequence[Document],
        key: str | None,
        made: _Embedded,
    ) -> NDArray[np.float32] | None:
        """None where the index has no model."""
        if info.model is None:
            return None
        for one in documents:
            at = index.find(one.id)
            if at is not None and index.segments[at[0]].texts[at[1]] == one.text:
                made.by_text[one.text] = index.segments[at[0]].vectors[at[1]]
        self._embed(info, [one.text for one in documents], key, made)
        return np.stack([made.by_text[one.text] for one in documents])

    def _embed(
        self, info: IndexInfo, texts: Sequence[str], key: str | None, made: _Embedded
    ) -> None:
        """Into `made`, what is not there."""
        missing = list(dict.fromkeys(text for text in texts if text not in made.by_text))
        if not missing:
            return
        if key is None:
            raise Forbidden("embedding is charged to a key: send one, or search by keywords")
        assert info.model is not None
        assert info.version is not None
        try:
            vectors = self._embedder.embed(key, info.model, info.version, missing)
        except PlazaError as error:
            raise renamed(error, "texts", lambda at: _called(made, missing, at)) from None
        made.by_text.update(zip(missing, vectors.rows, strict=True))
        made.charge += vectors.charge


def _once_each(documents: Sequence[Document]) -> None:
    seen: set[str] = set()
    for place, one in enumerate(documents):
        if one.id in seen:
            raise InvalidInput("this id comes twice", input=f"documents.{place}.id")
        seen.add(one.id)


def _called(made: _Embedded, texts: Sequence[str], place: int | None) -> str:
    """The model's own process counts, so the place may be none."""
    return made.called(texts[place]) if place is not None and place < len(texts) else "text"


def _place(documents: Sequence[Document], text: str) -> int:
    return next(place for place, one in enumerate(documents) if one.text == text)


def _known(index: Index, name: str) -> Document | None:
    at = index.find(name)
    return None if at is None else index.segments[at[0]].document(at[1])


def _dimension(index: Index) -> int:
    return max((segment.vectors.shape[1] for segment in index.segments), default=0)


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


def _too_busy() -> Conflict:
    return Conflict("the index is changing all the time; try again", input="index")
