"""Counts for `plaza_serving.statistics`: per organisation and version, since this replica started.

Told of finished requests by worker threads, of dropped ones by the loop; costs about a microsecond
a request. Bounded: who or what left the table is forgotten, and there are at most as many sizes of
runs as the version may join rows.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from plaza_core.ids import ModelId, OrganisationId, VersionKey
from plaza_core.inference import Timing
from plaza_core.principal import Principal
from plaza_core.table import HubTable
from plaza_serving.dataplane.bills import Ran
from plaza_serving.dataplane.catalogue import Catalogue
from plaza_serving.dataplane.work import Finished, Work
from plaza_serving.statistics import BatchStatistics, Lasting, VersionStatistics

_Whose = tuple[OrganisationId, ModelId, int]


@dataclass(slots=True)
class _Size:
    """Runs of one size; times in µs."""

    runs: int = 0
    prepare_us: int = 0
    run_us: int = 0
    interpret_us: int = 0


@dataclass(slots=True)
class _Counts:
    last_us: int = 0
    rows: int = 0
    runs: int = 0
    succeeded: int = 0
    succeeded_ns: int = 0
    failed: int = 0
    failed_ns: int = 0
    queue_us: int = 0
    prepare_us: int = 0
    run_us: int = 0
    interpret_us: int = 0
    sizes: dict[int, _Size] = field(default_factory=dict)


class Counting:
    """Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[_Whose, _Counts] = {}

    def note(self, finished: Sequence[Finished], now_ns: int) -> None:
        """Requests of one batch, once each is settled."""
        shared: dict[tuple[_Whose, int], list[Finished]] = {}
        with self._lock:
            for done in finished:
                work = done.work
                whose = _whose(work)
                counts = self._of(whose)
                if done.outcome is None or work.dropped_as is not None:
                    _fail(counts, work, now_ns)
                    continue
                timing = done.outcome.timing
                counts.last_us = max(counts.last_us, work.admitted_unix_us)
                counts.succeeded += 1
                counts.succeeded_ns += now_ns - work.admitted_ns
                counts.rows += done.bill.rows
                counts.queue_us += timing.queue_us
                counts.prepare_us += timing.prepare_us
                counts.run_us += timing.run_us
                counts.interpret_us += timing.interpret_us
                if done.ran is not None:
                    shared.setdefault((whose, id(done.ran)), []).append(done)
            for (whose, _), together in shared.items():
                _count_run(self._counts[whose], together)

    def dropped(self, work: Work, now_ns: int) -> None:
        """A request that ended before it started."""
        with self._lock:
            _fail(self._of(_whose(work)), work, now_ns)

    def asked(
        self, catalogue: Catalogue, caller: Principal, name: str | None, version: str | None
    ) -> list[VersionStatistics]:
        """As `plaza_serving.plane.Plane.statistics`."""
        mine = caller.organisation
        if name is None:
            used = self.used(mine)
            return [
                self.of(mine, (model.id, one.version), catalogue.shortest_name(caller, model))
                for model in catalogue.models(caller)
                for one in model.versions
                if (model.id, one.version) in used
            ]
        if version is not None:
            found = catalogue.resolve(caller, name, version)
            return [self.of(mine, found.key, name)]
        model = catalogue.newest(caller, name).model
        numbers = sorted(one.version for one in model.versions)
        return [self.of(mine, (model.id, number), name) for number in numbers]

    def of(self, organisation: OrganisationId, key: VersionKey, name: str) -> VersionStatistics:
        """What this organisation had of this version; zeros where it had nothing."""
        with self._lock:
            counts = self._counts.get((organisation, *key))
            if counts is None:
                return VersionStatistics(name, key[1])
            return _told(name, key[1], counts)

    def used(self, organisation: OrganisationId) -> set[VersionKey]:
        """The versions that it had something of."""
        with self._lock:
            return {(model, version) for who, model, version in self._counts if who == organisation}

    def keep_only(self, table: HubTable) -> None:
        live = {(model.id, one.version) for model in table.models for one in model.versions}
        present = {key.organisation for key in table.keys}
        with self._lock:
            for whose in list(self._counts):
                if whose[0] not in present or whose[1:] not in live:
                    del self._counts[whose]

    def _of(self, whose: _Whose) -> _Counts:
        counts = self._counts.get(whose)
        if counts is None:
            counts = self._counts[whose] = _Counts()
        return counts


def _whose(work: Work) -> _Whose:
    return (work.principal.organisation, *work.target.key)


def _fail(counts: _Counts, work: Work, now_ns: int) -> None:
    counts.last_us = max(counts.last_us, work.admitted_unix_us)
    counts.failed += 1
    counts.failed_ns += now_ns - work.admitted_ns


def _count_run(counts: _Counts, together: Sequence[Finished]) -> None:
    """Requests of one organisation that shared a run."""
    ran, timings = together[0].ran, [d.outcome.timing for d in together if d.outcome is not None]
    assert ran is not None
    for size, runs in _sizes(ran, together[0].work):
        counts.runs += runs
        seen = counts.sizes.get(size)
        if seen is None:
            seen = counts.sizes[size] = _Size()
        seen.runs += runs
        _add(seen, timings, part=size * runs / ran.rows)


def _add(seen: _Size, timings: Sequence[Timing], part: float) -> None:
    seen.prepare_us += round(part * sum(timing.prepare_us for timing in timings))
    seen.run_us += round(part * timings[0].run_us)
    seen.interpret_us += round(part * sum(timing.interpret_us for timing in timings))


def _sizes(ran: Ran, work: Work) -> list[tuple[int, int]]:
    """(size, runs): more rows than a version joins were several runs, one after the other."""
    manifest = work.target.version.manifest
    most = manifest.limits.max_batch
    if ran.rows <= most or not manifest.signature_spec().batched:
        return [(ran.rows, 1)]
    full, rest = divmod(ran.rows, most)
    return [(most, full), (rest, 1)] if rest else [(most, full)]


def _told(name: str, version: int, counts: _Counts) -> VersionStatistics:
    def phase(us: int, count: int = counts.succeeded) -> Lasting:
        return Lasting(count, us * 1000)

    return VersionStatistics(
        name=name,
        version=version,
        last_ms=counts.last_us // 1000,
        rows=counts.rows,
        runs=counts.runs,
        succeeded=Lasting(counts.succeeded, counts.succeeded_ns),
        failed=Lasting(counts.failed, counts.failed_ns),
        queued=phase(counts.queue_us),
        prepare=phase(counts.prepare_us),
        run=phase(counts.run_us),
        interpret=phase(counts.interpret_us),
        batches=tuple(
            BatchStatistics(
                size,
                phase(seen.prepare_us, seen.runs),
                phase(seen.run_us, seen.runs),
                phase(seen.interpret_us, seen.runs),
            )
            for size, seen in sorted(counts.sizes.items())
        ),
    )
