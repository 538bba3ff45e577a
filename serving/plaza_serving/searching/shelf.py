"""Indexes in memory, as far as room goes; the store is the truth and is asked at every use.

    numbers of segments now ─▶ those not here are fetched ─▶ checked ─▶ the index of this moment

Several processes may change an index: each reads what the others published by its number. Segments
never change, so what is here of the same numbers is right.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

from plaza_core.errors import Conflict, NotFound
from plaza_core.indexes import IndexInfo, IndexStore
from plaza_core.principal import TenantScope
from plaza_models.search.index import Index
from plaza_models.search.segment import Segment
from plaza_models.search.wire import from_bytes

_TRIES = 5
_LOADERS = 16


class Shelf:
    """`most_bytes`: how much it keeps; those used longest ago leave. Thread-safe."""

    def __init__(self, store: IndexStore, most_bytes: int) -> None:
        self._store = store
        self._most = most_bytes
        self._kept: OrderedDict[str, tuple[tuple[int, ...], Index]] = OrderedDict()
        self._lock = threading.Lock()
        self._loading = [threading.Lock() for _ in range(_LOADERS)]

    @property
    def bytes(self) -> int:
        with self._lock:
            return sum(index.bytes for _, index in self._kept.values())

    def now(self, scope: TenantScope, name: str) -> tuple[IndexInfo, Index]:
        """As it was at some moment after the call began. Raises NotFound, DamagedIndex."""
        for _ in range(_TRIES):
            info = self._store.get(scope, name)
            with self._loading[hash(info.id) % _LOADERS]:
                try:
                    index = self._read(scope, info)
                except NotFound:  # a segment gave way between the two looks
                    continue
                self.keep(info, index)
                return info, index
        raise Conflict("the index is changing all the time; try again", input="index")

    def keep(self, info: IndexInfo, index: Index) -> None:
        with self._lock:
            known = self._kept.pop(info.id, ((), Index()))
            newer = known[0][-1:] > info.segments[-1:]
            self._kept[info.id] = known if newer else (info.segments, index)
            total = sum(one.bytes for _, one in self._kept.values())
            while total > self._most and self._kept:
                _, (_, gone) = self._kept.popitem(last=False)
                total -= gone.bytes

    def _read(self, scope: TenantScope, info: IndexInfo) -> Index:
        with self._lock:
            numbers, index = self._kept.get(info.id, ((), Index()))
        same = _alike(numbers, info.segments)
        if same == len(numbers) == len(info.segments):
            return index
        return index.with_tail(same, self._fetch(scope, info, info.segments[same:]))

    def _fetch(self, scope: TenantScope, info: IndexInfo, numbers: Sequence[int]) -> list[Segment]:
        return [from_bytes(self._store.segment(scope, info.id, number)) for number in numbers]


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How long they are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
