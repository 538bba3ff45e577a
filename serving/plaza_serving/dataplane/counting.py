"""Counts what versions did for whom, for the doors' statistics. In memory, since the replica began.

Organisations see their own: how much others use a public model is nobody's business. Noted once per
batch, by the worker that settles it, so that the event loop pays nothing.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence

from plaza_core.ids import ModelId, OrganisationId
from plaza_core.principal import Principal
from plaza_serving.dataplane.catalogue import Catalogue
from plaza_serving.dataplane.work import Finished, Work
from plaza_serving.statistics import Counted, Phases, VersionStatistics

MOST = 4096
"""Of (organisation, version); beyond that those used longest ago are forgotten."""
_MOST_SIZES = 64

Key = tuple[OrganisationId, ModelId, int]


class Counting:
    """Implements `plaza_serving.statistics.Statistics`."""

    def __init__(self, catalogue: Callable[[], Catalogue], unix_us: Callable[[], int]) -> None:
        self._catalogue = catalogue
        self._unix_us = unix_us
        self._counts: dict[Key, VersionStatistics] = {}
        self._lock = threading.Lock()

    def note(self, finished: Sequence[Finished], now_ns: int) -> None:
        """What a worker has settled. Any thread."""
        now_ms = self._unix_us() // 1000
        seen: set[tuple[int, int]] = set()
        with self._lock:
            for done in finished:
                counts = self._of(done.work)
                counts.last_unix_ms = now_ms
                total_us = (now_ns - done.work.admitted_ns) // 1000
                if done.outcome is None or done.work.dropped_as is not None:
                    counts.fail.add(total_us)
                    continue
                counts.success.add(total_us)
                _add(counts, done, seen)

    def dropped(self, work: Work, now_ns: int) -> None:
        """A request that was admitted and never ran."""
        with self._lock:
            self._of(work).fail.add((now_ns - work.admitted_ns) // 1000)

    def _of(self, work: Work) -> VersionStatistics:
        key: Key = (work.principal.organisation, *work.version_key)
        counts = self._counts.get(key)
        if counts is None:
            if len(self._counts) >= MOST:
                oldest = min(self._counts, key=lambda one: self._counts[one].last_unix_ms)
                del self._counts[oldest]
            counts = self._counts[key] = VersionStatistics()
        return counts

    def of(self, principal: Principal, name: str, version: str | None) -> list[Counted]:
        catalogue = self._catalogue()
        if not name:
            named = [
                (catalogue.shortest_name(principal, model), model, one.version)
                for model in catalogue.models(principal)
                for one in model.versions
            ]
        else:
            found = catalogue.resolve(principal, name, version)
            versions = [found.version] if version is not None else found.model.versions
            named = [(name, found.model, one.version) for one in versions]
        with self._lock:
            return [
                Counted(label, number, copy.deepcopy(self._counts.get(key, VersionStatistics())))
                for label, model, number in named
                for key in [(principal.organisation, model.id, number)]
            ]


def _add(counts: VersionStatistics, done: Finished, seen: set[tuple[int, int]]) -> None:
    assert done.outcome is not None
    timing = done.outcome.timing
    counts.queue.add(timing.queue_us)
    counts.inferences += done.bill.rows
    _spend(counts.phases, done)
    run = (id(done.ran), id(counts))
    if done.ran is None or run in seen:
        return
    seen.add(run)
    counts.executions += 1
    if done.ran.rows in counts.batches or len(counts.batches) < _MOST_SIZES:
        _spend(counts.batches.setdefault(done.ran.rows, Phases()), done)


def _spend(phases: Phases, done: Finished) -> None:
    assert done.outcome is not None
    phases.input.add(done.outcome.timing.prepare_us)
    phases.infer.add(done.outcome.timing.run_us)
    phases.output.add(done.outcome.timing.interpret_us)
